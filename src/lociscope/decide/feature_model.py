"""Apply the heads of the features recipe: from compartment features to 28 probabilities, stored as plain arrays."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lociscope.decide.logistic import logit, sigmoid
from lociscope.decide.trees import Trees
from lociscope.errors import Code, LociscopeError
from lociscope.images.segmentation.features import FEATURES
from lociscope.labels import N_LABELS
from lociscope.storage.atomic import atomic_write
from lociscope.storage.schema import CORRUPT_FILE_ERRORS, check_schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

SCHEMA = 1
LIMIT = 3.0
"""Standardised features are clipped to ± this, so that nothing unheard-of outweighs all else."""
MAX_HEADS = 64
MAX_BYTES = 1 << 28
"""Most bytes to which a file unpacks."""


@dataclass(frozen=True, slots=True, eq=False)
class FeatureModel:
    """The heads of a features Run, as kept in `best.npz`.

    Attributes:
        mean: (features,) of the training fields.
        spread: (features,) standard deviations.
        weights: (features, 28) of the linear head, or None.
        intercepts: (28,), or None.
        trees: The boosted head, or None.
    """

    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    weights: NDArray[np.float64] | None
    intercepts: NDArray[np.float64] | None
    trees: Trees | None

    def predict(self, features: np.ndarray) -> NDArray[np.float64]:
        """Return probabilities of the 28 locations.

        Args:
            features: (n, len(FEATURES)), NaN where unknown.

        Returns:
            (n, 28) in 0–1.
        """
        logits = []
        if self.weights is not None and self.intercepts is not None:
            logits.append(standardize(features, self.mean, self.spread) @ self.weights + self.intercepts)
        if self.trees is not None:
            logits.append(self.trees.logits(features))
        return sigmoid(np.mean(logits, axis=0))

    def write(self, path: Path) -> None:
        """Write the heads as arrays only."""
        with atomic_write(path) as part:
            part.write_bytes(_pack(self.to_arrays()))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file of `write`; nothing in it is executed.

        Raises:
            LociscopeError: The file is missing, damaged, of a newer schema, or of other features.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise LociscopeError(
                f"Cannot read '{path}': {error.strerror or error}. Check the path.", code=Code.NOT_FOUND
            ) from error
        return cls.from_arrays(_unpack(data, f"'{path}'"), f"'{path}'")

    def to_arrays(self) -> dict[str, Any]:
        """Return the arrays that `from_arrays` takes."""
        arrays: dict[str, Any] = {"mean": self.mean, "spread": self.spread}
        arrays |= {"weights": self.weights, "intercepts": self.intercepts}
        if self.trees is not None:
            arrays |= {f"trees.{each.name}": getattr(self.trees, each.name) for each in fields(Trees)}
        return {key: value for key, value in arrays.items() if value is not None}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], what: str) -> Self:
        """Return the heads that arrays describe.

        Raises:
            LociscopeError: An array is missing, has another shape, or describes trees without end.
        """
        try:
            trees = (
                {each.name: arrays[f"trees.{each.name}"] for each in fields(Trees)} if "trees.root" in arrays else {}
            )
            made = cls(
                arrays["mean"],
                arrays["spread"],
                arrays.get("weights"),
                arrays.get("intercepts"),
                Trees(**trees) if trees else None,
            )
            if made.trees is not None:
                made.trees.check(len(FEATURES))
            if made.predict(np.full((1, len(FEATURES)), np.nan)).shape != (1, N_LABELS):
                raise ValueError("it does not predict 28 classes")
        except (*CORRUPT_FILE_ERRORS, IndexError) as error:
            raise LociscopeError(f"{what} is damaged ({error}). Train again.", code=Code.CORRUPT) from error
        return made


def encode_heads(models: Sequence[FeatureModel]) -> bytes:
    """Return the bytes of `features.npz`: the heads of one training, or of each fold."""
    arrays = {f"{number}.{key}": value for number, each in enumerate(models) for key, value in each.to_arrays().items()}
    return _pack({"heads": np.array(len(models)), **arrays})


def parse_heads(data: bytes, what: str) -> tuple[FeatureModel, ...]:
    """Parse the bytes of `encode_heads`; nothing in them is executed.

    Args:
        data: The contents of the file.
        what: The file, as the error message calls it.

    Raises:
        LociscopeError: The bytes are damaged, of a newer schema, or of other features.
    """
    arrays = _unpack(data, what)
    stored = arrays.get("heads", np.array(0))
    number = int(stored) if stored.shape == () and stored.dtype.kind in "iu" else 0
    if not 1 <= number <= MAX_HEADS:
        raise LociscopeError(f"{what} has {number} heads, expected 1–{MAX_HEADS}. Export it again.", code=Code.CORRUPT)
    parts = [
        {key.partition(".")[2]: value for key, value in arrays.items() if key.startswith(f"{each}.")}
        for each in range(number)
    ]
    return tuple(FeatureModel.from_arrays(part, what) for part in parts)


def predict_heads(heads: Sequence[FeatureModel], features: np.ndarray) -> NDArray[np.float64]:
    """Return probabilities (n, 28) from features (n, len(FEATURES)): of several heads the mean of their log odds."""
    made = [each.predict(features) for each in heads]
    return made[0] if len(made) == 1 else sigmoid(np.mean([logit(each) for each in made], axis=0))


def _pack(arrays: Mapping[str, Any]) -> bytes:
    data = io.BytesIO()
    np.savez_compressed(data, schema=SCHEMA, features=np.array(FEATURES), **arrays)
    return data.getvalue()


def _unpack(data: bytes, what: str) -> dict[str, np.ndarray]:
    """Return the arrays of a file that was fitted to the features of this lociscope."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(member.file_size for member in archive.infolist()) > MAX_BYTES:
                raise LociscopeError(
                    f"{what} unpacks to more than {MAX_BYTES >> 20} MiB. Train again.", code=Code.TOO_LARGE
                )
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in stored.files}
    except CORRUPT_FILE_ERRORS as error:
        raise LociscopeError(f"{what} is damaged ({error}). Train again.", code=Code.CORRUPT) from error
    check_schema(arrays.get("schema"), SCHEMA, what)
    if arrays.get("features", np.array(())).tolist() != list(FEATURES):
        raise LociscopeError(
            f"{what} was fitted to other features than this lociscope measures. Train it again.",
            code=Code.INVALID_VALUE,
        )
    return arrays


def standardize(features: np.ndarray, mean: np.ndarray, spread: np.ndarray) -> NDArray[np.float64]:
    """Return features centred, scaled and clipped to ± `LIMIT`; 0, the mean, where unknown."""
    return np.asarray(np.nan_to_num(np.clip((features - mean) / spread, -LIMIT, LIMIT)))
