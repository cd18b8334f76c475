"""Fit the out-of-distribution detector of a bundle from fields that its model knows and pictures of other things."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lociscope.channels import GREEN, RED, YELLOW
from lociscope.decide.logistic import weighted_logistic
from lociscope.images.appearance import APPEARANCE, MIN_SIDE, measure_tiles
from lociscope.images.extent import make_tiles
from lociscope.images.preprocess import HPA_FIELD_UM
from lociscope.predict.out_of_distribution import Density, Detector

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lociscope.images.field import Field
    from lociscope.predict.predictor import Predictor

FALSE_ALARMS = 0.04
"""Share of known fields that may be marked, by default."""

DETECTED = 0.99
"""Share of generated pictures that should be marked; the threshold is raised as long as they are."""

MIN_KNOWN = 100
"""Fewest known fields from which a detector is fitted."""

MAX_AXES = 64
_SHRINKAGE, _EMBEDDING_SHRINKAGE = 0.1, 0.3
_PENALTY, _WEIGHT = 3.0, 1000.0
_FOLDS = 5
_CROPS = (0.4, 0.9)
_EMPTY = 1e-6


@dataclass(frozen=True, slots=True)
class Rows:
    """What a detector sees of n fields.

    Attributes:
        appearance: (n, k) of float32.
        embedding: (n, d) of float32; d is 0 for a model without embeddings.
        group: (n,) of int: rows of one field have one number.
    """

    appearance: np.ndarray
    embedding: np.ndarray
    group: np.ndarray

    def take(self, which: np.ndarray) -> Rows:
        """Return some rows."""
        return Rows(self.appearance[which], self.embedding[which], self.group[which])

    def __len__(self) -> int:
        return len(self.appearance)

    @staticmethod
    def join(parts: Iterable[Rows]) -> Rows:
        """Concatenate rows; equal numbers of groups in two parts are one group."""
        columns = zip(*((part.appearance, part.embedding, part.group) for part in parts), strict=True)
        return Rows(*map(np.concatenate, columns))


@dataclass(frozen=True, slots=True)
class DetectorFit:
    """A detector and how it was fitted.

    Attributes:
        detector: The detector.
        false_alarms: Share of the fields that set the threshold that may lie above it.
        held_out: Scores of these fields, each by a detector that was fitted without it.
        unlike: Share of the generated pictures above the threshold, also cross-fitted.
    """

    detector: Detector
    false_alarms: float
    held_out: np.ndarray
    unlike: float


def can_fit(predictor: Predictor) -> bool:
    """Return whether the input of a model is large enough to be measured."""
    return min(predictor.bundle.card.input.height, predictor.bundle.card.input.width) >= MIN_SIDE


def make_variants(field: Field, seed: int) -> list[Field]:
    """Return a field, a crop of it, and copies of it with an empty channel, as they occur where a stain was not made.

    Args:
        field: The field.
        seed: Of the crop.
    """
    rng = np.random.default_rng(seed)
    size = field.pixel_size or HPA_FIELD_UM / max(field.pixels.shape[:2])
    side = int(min(field.pixels.shape[:2]) * rng.uniform(*_CROPS))
    top, left = (int(rng.integers(length - side + 1)) for length in field.pixels.shape[:2])
    crop = replace(field, pixels=field.pixels[top : top + side, left : left + side], pixel_size=size)
    variants = [field, crop]
    for channel in (YELLOW, RED if seed % 2 else GREEN):
        pixels = field.pixels.copy()
        pixels[..., channel] = 0
        variants.append(replace(field, pixels=pixels))
    return variants


def measure_rows(predictor: Predictor, fields: Iterable[Field]) -> Rows:
    """Measure fields as a detector sees them.

    Args:
        predictor: The model, which need not have a detector.
        fields: At least one.
    """
    with_embedding = "embedding" in predictor.engine.outputs
    appearances, embeddings = [], []
    for field in fields:
        tiles = make_tiles(field, predictor.bundle.card.input)
        appearances.append(measure_tiles(tiles.scaled))
        outputs = (
            predictor.engine.run(tiles.pixels, ("embedding",)) if with_embedding else {"embedding": np.empty((1, 0))}
        )
        embeddings.append(outputs["embedding"].mean(axis=0).astype(np.float32))
    groups = np.arange(len(appearances))
    return Rows(np.stack(appearances), np.stack(embeddings), groups)


def fit_detector(simulated: Rows, real: Rows | None, unlike: Rows, false_alarms: float = FALSE_ALARMS) -> DetectorFit:
    """Fit a detector and its threshold.

    At least the threshold is that of conformal prediction (Vovk et al. 2005): at most the share `false_alarms` of new
    fields, exchangeable with those that set it, lie above. Real fields set it where there are any, or else those of the
    training's reference. It is higher if the share `DETECTED` of the pictures is then still marked: few fields leave a
    wide gap between the two, and new fields may lie in it.

    Args:
        simulated: Fields like those of the training, and variants of them.
        real: Other known fields, or None.
        unlike: Pictures of other things than stained cells.
        false_alarms: Share of known fields that may be marked, 0–1.

    Returns:
        The detector, fitted to all rows, with the threshold from cross-fitting.
    """
    judged = simulated if real is None else real
    scores, of_unlike = np.empty(len(judged)), np.empty(len(unlike))
    for fold in range(_FOLDS):
        left_out, left_out_unlike = judged.group % _FOLDS == fold, np.arange(len(unlike)) % _FOLDS == fold
        rest, others = judged.take(~left_out), unlike.take(~left_out_unlike)
        detector = _fit(rest, None, others) if real is None else _fit(simulated, rest, others)
        scores[left_out] = _score(detector, judged.take(left_out))
        of_unlike[left_out_unlike] = _score(detector, unlike.take(left_out_unlike))
    # Several rows of one field are not independent: its highest score counts.
    highest = np.array([scores[judged.group == number].max() for number in np.unique(judged.group)])
    threshold = max(find_threshold(highest, false_alarms), float(np.quantile(of_unlike, 1 - DETECTED)))
    detector = replace(_fit(simulated, real, unlike), threshold=threshold)
    return DetectorFit(detector, false_alarms, highest, float((of_unlike > threshold).mean()))


def find_threshold(scores: np.ndarray, false_alarms: float) -> float:
    """Return the conformal threshold of scores; for few scores, their maximum."""
    rank = math.ceil((len(scores) + 1) * (1 - false_alarms))
    return float(np.sort(scores)[min(rank, len(scores)) - 1])


def _score(detector: Detector, rows: Rows) -> np.ndarray:
    return detector.score(rows.appearance, rows.embedding if rows.embedding.shape[1] else None)


def _fit(simulated: Rows, real: Rows | None, unlike: Rows) -> Detector:
    """Fit all but the threshold; simulated and real fields have the same weight, however many there are."""
    known = simulated if real is None else Rows.join([simulated, real])
    share = np.full(len(known), 1 / len(simulated))
    share[len(simulated) :] = 0 if real is None else 1 / len(real)
    centre = np.nanmedian(simulated.appearance, axis=0)
    scale = np.sqrt(_weighted_moments(known.appearance - centre, share).diagonal()) + _EMPTY
    k = len(APPEARANCE)
    bare = Detector(
        APPEARANCE, centre, scale, np.eye(k), _fit_density(known.embedding), np.zeros(2 * k + 3), threshold=0.0
    )
    deviation = bare.clip(known.appearance)
    moments = _weighted_moments(deviation, share)
    spread = np.sqrt(moments.diagonal()) + _EMPTY
    correlation = (1 - _SHRINKAGE) * moments / np.outer(spread, spread) + _SHRINKAGE * np.eye(k)
    bare = replace(bare, covariance=correlation * np.outer(spread, spread))
    return replace(bare, weights=_fit_weights(bare, known, share, unlike))


def _weighted_moments(rows: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return the second moments (k, k) about 0 over pairs of values that are not NaN."""
    seen = ~np.isnan(rows)
    filled = np.where(seen, rows, 0)
    counts = (seen * share[:, None]).T @ seen.astype(float)
    return np.asarray((filled * share[:, None]).T @ filled / np.maximum(counts, _EMPTY))


def _fit_density(rows: np.ndarray) -> Density:
    """Fit a Gaussian with `MAX_AXES` axes whose variances are shrunk towards their mean."""
    n, d = rows.shape
    if not d:
        return Density(np.zeros(0), np.zeros((0, 0)), np.ones(1))
    mean = rows.mean(axis=0)
    _, singular, axes = np.linalg.svd(rows - mean, full_matrices=False)
    variance = singular**2 / n
    variance = (1 - _EMBEDDING_SHRINKAGE) * variance + _EMBEDDING_SHRINKAGE * variance.sum() / d
    most = min(MAX_AXES, len(variance))
    rest = variance[most:].mean() if most < len(variance) else variance[-1]
    return Density(mean, axes[:most].T, np.append(variance[:most], rest) + _EMPTY**2)


def _fit_weights(bare: Detector, known: Rows, share: np.ndarray, unlike: Rows) -> np.ndarray:
    """Fit the logistic regression, in which known fields and other pictures have the same weight."""
    features = [
        bare.make_features(rows.appearance, rows.embedding if rows.embedding.shape[1] else None)
        for rows in (known, unlike)
    ]
    design = np.concatenate(features)
    truth = np.repeat([0.0, 1.0], [len(known), len(unlike)])
    weight = np.concatenate([share / share.sum(), np.full(len(unlike), 1 / len(unlike))]) * _WEIGHT
    return weighted_logistic(design, truth, weight, _PENALTY)
