"""Heads of the features recipe: from compartment features to 28 probabilities, stored as plain arrays.

One logistic regression and one boosted forest for each class, fitted with scikit-learn; applying them needs numpy only.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lociscope.decide.logistic import sigmoid
from lociscope.errors import Code, LociscopeError, MissingExtraError, UsageError, suggest
from lociscope.images.segmentation.features import FEATURES
from lociscope.labels import N_LABELS
from lociscope.models.trees import Growth, Trees, fit_trees, is_learnable, rate_logit
from lociscope.storage.atomic import atomic_write
from lociscope.storage.schema import CORRUPT_FILE_ERRORS, check_schema

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

NAME = "features"
"""What `[network] name` says."""
SCHEMA = 1
LIMIT = 3.0
"""Standardised features are clipped to ± this, so that nothing unheard-of outweighs all else."""
UNSEEN = {"red": ("red", "focus", "bundle"), "yellow": ("yellow",)}
"""Words by which the features are known that cannot be measured without a stain."""


class Options(BaseModel):
    """The options of `[network]` where its name is `features`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    head: Literal["linear", "boosting", "both"] = Field(
        "both", description="Logistic regression, boosted trees, or the mean of their logits."
    )
    strength: float = Field(
        0.02, gt=0, le=100, description="Inverse of the linear head's penalty for a class with a tenth of the fields."
    )
    trees: int = Field(80, ge=1, le=2000, description="Trees of each class.")
    rate: float = Field(0.08, gt=0, le=1, description="Learning rate of the trees.")
    leaves: int = Field(6, ge=2, le=64, description="Leaves of a tree.")
    blind: float = Field(
        0.1, ge=0, lt=1, description="Share of training fields whose red, and as many whose yellow, is hidden."
    )


def read_options(options: dict[str, Any]) -> Options:
    """Check the keys of `[network]` besides its name.

    Raises:
        UsageError: An unknown key, or a value out of its range.
    """
    try:
        return Options.model_validate(options)
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        if first["type"] == "extra_forbidden":
            remedy = suggest(key, Options.model_fields)
            raise UsageError(f"Network 'features' has no option {key!r}.{remedy}", code=Code.UNKNOWN_NAME) from error
        raise UsageError(
            f"Network 'features': {key}: {first['msg']}, received {first['input']!r}. Correct [network] in the recipe.",
            code=Code.INVALID_VALUE,
        ) from error


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
        arrays: dict[str, Any] = {"schema": SCHEMA, "features": np.array(FEATURES), "mean": self.mean}
        arrays |= {"spread": self.spread, "weights": self.weights, "intercepts": self.intercepts}
        if self.trees is not None:
            arrays |= {f"trees.{each.name}": getattr(self.trees, each.name) for each in fields(Trees)}
        with atomic_write(path) as part, part.open("wb") as file:
            np.savez_compressed(file, **{key: value for key, value in arrays.items() if value is not None})

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file of `write`; nothing in it is executed.

        Raises:
            LociscopeError: The file is missing, damaged, of a newer schema, or of other features.
        """
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                arrays = {key: stored[key] for key in stored.files}
        except OSError as error:
            raise LociscopeError(
                f"Cannot read '{path}': {error.strerror or error}. Check the path.", code=Code.NOT_FOUND
            ) from error
        except (*CORRUPT_FILE_ERRORS, zipfile.BadZipFile) as error:
            raise LociscopeError(f"'{path}' is damaged ({error}). Train again.", code=Code.CORRUPT) from error
        check_schema(arrays.get("schema"), SCHEMA, f"'{path}'")
        if tuple(arrays.get("features", ())) != FEATURES:
            raise LociscopeError(
                f"'{path}' was fitted to other features than this lociscope measures. Train it again.",
                code=Code.INVALID_VALUE,
            )
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
            made.predict(np.full((1, len(FEATURES)), np.nan))
        except CORRUPT_FILE_ERRORS as error:
            raise LociscopeError(f"'{path}' is damaged ({error}). Train again.", code=Code.CORRUPT) from error
        return made


def standardize(features: np.ndarray, mean: np.ndarray, spread: np.ndarray) -> NDArray[np.float64]:
    """Return features centred, scaled and clipped to ± `LIMIT`; 0, the mean, where unknown."""
    return np.asarray(np.nan_to_num(np.clip((features - mean) / spread, -LIMIT, LIMIT)))


def hide_stains(features: np.ndarray, share: float, seed: int) -> NDArray[np.float64]:
    """Return features with some rows missing the features that need red or yellow, as for fields without that stain."""
    rng = np.random.default_rng(seed)
    made = np.array(features, np.float64)
    for words in UNSEEN.values():
        columns = np.array([any(word in name for word in words) for name in FEATURES])
        rows = rng.random(len(made)) < share
        made[rows[:, None] & columns] = np.nan
    return made


def fit_model(
    features: np.ndarray,
    truth: np.ndarray,
    options: Options,
    seed: int = 0,
    progress: Callable[[int, str], None] | None = None,
) -> FeatureModel:
    """Fit the heads.

    Args:
        features: (n, len(FEATURES)), NaN where unknown.
        truth: (n, 28), 0 or 1.
        options: Of the recipe.
        seed: Decides what is hidden and which features each split of the trees looks at.
        progress: Called with (classes done, name of the head).

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    known = hide_stains(features, options.blind, seed)
    empty = np.isnan(known).all(axis=0)
    known[:, empty] = 0
    mean, spread = np.nanmean(known, axis=0), np.maximum(np.nanstd(known, axis=0), 1e-6)
    weights = intercepts = trees = None
    if options.head != "boosting":
        weights, intercepts = _fit_linear(standardize(known, mean, spread), truth, options, progress)
    if options.head != "linear":
        trees = fit_trees(known, truth, Growth(options.trees, options.rate, options.leaves, seed), progress)
    return FeatureModel(mean, spread, weights, intercepts, trees)


def _fit_linear(
    inputs: np.ndarray, truth: np.ndarray, options: Options, progress: Callable[[int, str], None] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit one regression for each class; the penalty grows as positives become few, with their square root."""
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        raise MissingExtraError("Fitting features", "fit") from None
    weights, intercepts = np.zeros((inputs.shape[1], N_LABELS)), np.zeros(N_LABELS)
    for label in range(N_LABELS):
        known = truth[:, label]
        intercepts[label] = rate_logit(known)
        if is_learnable(known):
            strength = options.strength * np.sqrt(10 * known.mean())
            model = LogisticRegression(C=strength, max_iter=1000).fit(inputs, known)
            weights[:, label], intercepts[label] = model.coef_[0], model.intercept_[0]
        if progress:
            progress(label + 1, "linear")
    return weights, intercepts
