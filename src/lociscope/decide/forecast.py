"""Forecast the macro-F1 on new fields, where some classes have very few fields to estimate it from.

A class with one field scores 0 or 1 in a cross-validation, and a bootstrap repeats that luck: in eight random halves of
3,107 real fields the bootstrap interval of one half missed the score of the other half three times. Here the labels of
new fields are sampled: for a class with n positives, its truth has the weight n / (n + 20) and its calibrated
probability the rest. That covered eight of eight (`docs/logbooks/decide.md`).
"""

from __future__ import annotations

import numpy as np

from lociscope.decide.intervals import Interval
from lociscope.decide.metrics import f1_per_class, nan_means

PSEUDO_COUNT = 20.0
"""Number of positives at which truth and probability have equal weight."""

SAMPLES = 400


def forecast(
    truth: np.ndarray,
    probability: np.ndarray,
    decided: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Forecast the macro-F1 on as many new fields.

    Args:
        truth: (n, classes), 0 or 1.
        probability: (repeats, n, classes), calibrated, from fits without the field.
        decided: (repeats, n, classes), decisions of the same fits.
        groups: (n,) group names; whole groups are resampled.
        level: Coverage of the interval.
        seed: Random seed.

    Returns:
        The mean over the samples, and an interval √2 as wide as theirs: the forecast is as uncertain as a new sample.
    """
    rng = np.random.default_rng(seed)
    positives = truth.astype(np.float64).sum(axis=0)
    weight = positives / (positives + PSEUDO_COUNT)
    chance = weight * truth + (1 - weight) * probability
    units = _list_units(len(truth), groups)
    scores = np.empty(SAMPLES)
    for sample in range(SAMPLES):
        repeat = sample % len(probability)
        picked = rng.integers(len(units), size=len(units))
        rows = picked if groups is None else np.concatenate([units[unit] for unit in picked])
        labels = rng.random((len(rows), truth.shape[1])) < chance[repeat, rows]
        scores[sample] = nan_means(f1_per_class(labels, decided[repeat, rows])[None])[0]
    defined = scores[~np.isnan(scores)]
    if not defined.size:
        return Interval(float("nan"), float("nan"), float("nan"), len(units), level)
    centre = defined.mean()
    low, high = centre + np.sqrt(2) * (np.quantile(defined, [(1 - level) / 2, (1 + level) / 2]) - centre)
    return Interval(float(centre), float(max(low, 0)), float(min(high, 1)), len(units), level)


def _list_units(n: int, groups: np.ndarray | None) -> list[np.ndarray]:
    """Return the rows of each unit that is resampled as a whole."""
    if groups is None:
        return np.split(np.arange(n), n)
    unit = np.unique(groups, return_inverse=True)[1]
    order = np.argsort(unit, kind="stable")
    return np.split(order, np.cumsum(np.bincount(unit))[:-1])
