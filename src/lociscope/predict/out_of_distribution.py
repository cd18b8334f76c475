"""Recognise fields that are unlike those that a model was trained on: out-of-distribution detection.

A bundle's `detector.npz` holds what `lociscope.predict.fit_detector` learned. A score above its threshold gives a field
the status `unlike-training`.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from lociscope.channels import BLUE, CHANNEL_NAMES, RED, YELLOW
from lociscope.errors import Code, LociscopeError
from lociscope.images.appearance import APPEARANCE, PER_PLANE
from lociscope.storage.schema import CORRUPT_FILE_ERRORS, check_schema

if TYPE_CHECKING:
    from lociscope.artifacts.bundle import Bundle

SCHEMA = 1
STATUS = "unlike-training"
MAX_BYTES = 1 << 26
MAX_DISTANCE = 20.0
_CLIP = 5.0
"""Deviations at which one measure stops to count: a single odd measure, such as a scale bar gives, is not enough."""

_EMPTY_SCORE = 1e3
"""Score of a field that shows neither nuclei nor microtubules nor ER."""


@dataclass(frozen=True, slots=True)
class Density:
    """A Gaussian, after Tipping and Bishop's probabilistic PCA (1999): `axes` and one variance for all others.

    Attributes:
        mean: (d,).
        axes: (d, k), orthonormal.
        variance: (k + 1,); the last is that of the directions that are not among the axes.
    """

    mean: np.ndarray
    axes: np.ndarray
    variance: np.ndarray

    def distance(self, rows: np.ndarray) -> np.ndarray:
        """Return the Mahalanobis distance of (n, d), divided by √d: near 1 for rows of the Gaussian."""
        rest = rows - self.mean
        along = rest @ self.axes
        beside = np.maximum((rest**2).sum(axis=1) - (along**2).sum(axis=1), 0)
        return np.asarray(
            np.sqrt(((along**2 / self.variance[:-1]).sum(axis=1) + beside / self.variance[-1]) / len(self.mean))
        )


@dataclass(frozen=True, slots=True)
class Detector:
    """Scores fields: below the threshold they are like those that the model knows.

    The score is a logistic regression between known fields and generated pictures (outlier exposure, Hendrycks et al.,
    ICLR 2019) on the measures of `lociscope.images.appearance` as deviations from those of known fields, their squares,
    and the Mahalanobis distances of the measures and of the embedding (Lee et al., NeurIPS 2018).

    Attributes:
        names: Names of the k measures.
        centre: (k,) of float.
        scale: (k,) of float.
        covariance: (k, k) of the clipped deviations of known fields.
        embedding: The density of the embedding; d is 0 for a model without.
        weights: (2 k + 3,): of deviations, squares, the two distances, and the intercept.
        threshold: The score above which a field is unlike known ones.
    """

    names: tuple[str, ...]
    centre: np.ndarray
    scale: np.ndarray
    covariance: np.ndarray
    embedding: Density
    weights: np.ndarray
    threshold: float

    def score(self, appearance: np.ndarray, embedding: np.ndarray | None) -> np.ndarray:
        """Return the scores of fields.

        Args:
            appearance: (n, k), NaN where a channel is empty.
            embedding: (n, d), or None for a model without embeddings.

        Returns:
            (n,); log odds that a field is not one of stained cells.
        """
        scores = self.make_features(appearance, embedding) @ self.weights[:-1] + self.weights[-1]
        return np.asarray(np.where(_shows_cells(appearance), scores, _EMPTY_SCORE))

    def clip(self, appearance: np.ndarray) -> np.ndarray:
        """Return measures as deviations from known fields that level off at `_CLIP`."""
        return np.asarray(_CLIP * np.tanh((appearance - self.centre) / (self.scale * _CLIP)))

    def make_features(self, appearance: np.ndarray, embedding: np.ndarray | None) -> np.ndarray:
        """Return what the weights are for: (n, 2 k + 2)."""
        deviation = self.clip(appearance)
        seen = ~np.isnan(deviation)
        distances = [np.log(np.minimum(measure_distances(deviation, self.covariance), MAX_DISTANCE))]
        if embedding is None or not len(self.embedding.mean):
            distances.append(np.zeros(len(appearance)))
        else:
            distances.append(np.log(self.embedding.distance(embedding) + 0.1))
        known = np.where(seen, deviation, 0)
        squares = np.where(seen, (known**2 - 1) / 2, 0)
        return np.concatenate([known, squares, 3 * np.stack(distances, axis=1)], axis=1)


def mark_unlike(
    detector: Detector, status: list[str], appearances: list[np.ndarray | None], embedding: np.ndarray | None
) -> list[str]:
    """Return the status of each field, `unlike-training` where its score is above the threshold.

    Args:
        detector: The detector of the bundle.
        status: The status that the probabilities give.
        appearances: (k,) of each field; a field without keeps its status.
        embedding: (n, d), or None for a model without embeddings.
    """
    made = list(status)
    rows = [row for row, appearance in enumerate(appearances) if appearance is not None]
    if rows:
        some = np.stack([appearance for appearance in appearances if appearance is not None])
        for row, score in zip(rows, detector.score(some, None if embedding is None else embedding[rows]), strict=True):
            made[row] = STATUS if score > detector.threshold else made[row]
    return made


def measure_distances(rows: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Return the Mahalanobis distance of each row from 0, over the values that are not NaN, divided by √(their number).

    Args:
        rows: (n, k), with NaN.
        covariance: (k, k).

    Returns:
        (n,); `MAX_DISTANCE` for a row without values.
    """
    seen = ~np.isnan(rows)
    distances = np.full(len(rows), MAX_DISTANCE)
    for pattern in np.unique(seen, axis=0):
        if pattern.any():
            same = np.flatnonzero((seen == pattern).all(axis=1))
            some = rows[np.ix_(same, pattern)]
            solved = np.linalg.solve(covariance[np.ix_(pattern, pattern)], some.T).T
            distances[same] = np.sqrt(np.maximum((some * solved).sum(axis=1), 1e-9) / pattern.sum())
    return distances


def _shows_cells(appearance: np.ndarray) -> np.ndarray:
    """Return whether each field shows anything in the nucleus, microtubule or ER channel."""
    firsts = [len(PER_PLANE) * number for number in (RED, BLUE, YELLOW)]
    return np.asarray(~np.isnan(appearance[:, firsts]).all(axis=1))


def encode_detector(detector: Detector) -> bytes:
    """Return the bytes of `detector.npz`."""
    arrays = io.BytesIO()
    density = {f"embedding_{each.name}": getattr(detector.embedding, each.name) for each in fields(Density)}
    own = {each.name: getattr(detector, each.name) for each in fields(Detector) if each.name != "embedding"}
    values = {
        name: np.asarray(value, str if name == "names" else np.float32) for name, value in (own | density).items()
    }
    np.savez_compressed(arrays, allow_pickle=False, schema=SCHEMA, **values)
    return arrays.getvalue()


def read_detector(bundle: Bundle) -> Detector | None:
    """Read the detector of a bundle.

    Returns:
        The detector, or None where the bundle has none.

    Raises:
        LociscopeError: `detector.npz` is damaged, too large, of a newer schema, or for other measures.
    """
    if bundle.detector is None:
        return None
    what = f"Bundle '{bundle.folder}': detector.npz"
    try:
        with zipfile.ZipFile(io.BytesIO(bundle.detector)) as archive:
            if sum(member.file_size for member in archive.infolist()) > MAX_BYTES:
                raise LociscopeError(
                    f"{what} unpacks to more than {MAX_BYTES >> 20} MiB. Fit it again.", code=Code.TOO_LARGE
                )
        with np.load(io.BytesIO(bundle.detector), allow_pickle=False) as arrays:
            values = {name: arrays[name] for name in arrays.files}
        check_schema(values.pop("schema"), SCHEMA, what)
        names = tuple(values.pop("names").tolist())
        density = Density(*(values.pop(f"embedding_{each.name}") for each in fields(Density)))
        detector = Detector(names=names, embedding=density, threshold=float(values.pop("threshold")), **values)
        _check_shapes(detector)
    except CORRUPT_FILE_ERRORS as error:
        raise LociscopeError(
            f"{what} is damaged ({error}). Fit it again with `lociscope ood`.", code=Code.CORRUPT
        ) from error
    if names != APPEARANCE:
        raise LociscopeError(
            f"{what} is for other measures than this lociscope makes. Fit it again with `lociscope ood`.",
            code=Code.UNSUPPORTED_VERSION,
        )
    return detector


def _check_shapes(detector: Detector) -> None:
    """Raise a ValueError if the arrays of a detector do not fit together, or hold values that are not finite."""
    k, (d, axes) = len(detector.names), detector.embedding.axes.shape
    expected = {"centre": (k,), "scale": (k,), "covariance": (k, k), "weights": (2 * k + 3,)}
    found = {name: getattr(detector, name) for name in expected}
    found |= {"mean": detector.embedding.mean, "variance": detector.embedding.variance}
    for name, shape in (expected | {"mean": (d,), "variance": (axes + 1,)}).items():
        if found[name].shape != shape or found[name].dtype != np.float32 or not np.isfinite(found[name]).all():
            raise ValueError(f"{name} has {found[name].shape} of {found[name].dtype}, expected finite {shape}")
    if not np.isfinite(detector.threshold) or len(PER_PLANE) * len(CHANNEL_NAMES) > k:
        raise ValueError(f"threshold {detector.threshold} for {k} measures")
