"""The macro-F1 to expect on new fields, where some classes have next to no fields to tell it from.

A class with one field scores 0 or 1 in a cross-validation, and a bootstrap repeats that luck: in eight random halves of
3,107 real fields the bootstrap interval of one half missed the other half's score three times. Here new fields are
drawn with labels of their own: where a class has n positives, its truth counts n / (n + 20) and its calibrated
probability the rest. That covered eight of eight (`docs/logbooks/decide.md`).
"""

from __future__ import annotations

import numpy as np

from lociscope.decide.intervals import Interval
from lociscope.decide.metrics import f1_per_class, nan_means

PSEUDO_COUNT = 20.0
"""Positives at which truth and probability count alike."""

DRAWS = 400


def forecast(
    truth: np.ndarray,
    probability: np.ndarray,
    decided: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Macro-F1 of as many new fields.

    Args:
        truth: (n, classes), 0 or 1.
        probability: (repeats, n, classes), calibrated, of fits that had not seen the field.
        decided: (repeats, n, classes), the decisions of the same fits.
        groups: (n,) names of groups that are drawn whole.
        level: Coverage of the interval.
        seed: Decides all draws.

    Returns:
        Mean over the draws, and an interval √2 as wide as theirs: the figure itself is as uncertain as a new draw.
    """
    rng = np.random.default_rng(seed)
    known = truth.astype(np.float64)
    trust = known.sum(axis=0) / (known.sum(axis=0) + PSEUDO_COUNT)
    likely = trust * known + (1 - trust) * probability
    units = _units(len(truth), groups)
    scores = np.empty(DRAWS)
    for draw in range(DRAWS):
        repeat = draw % len(probability)
        picked = rng.integers(len(units), size=len(units))
        rows = picked if groups is None else np.concatenate([units[unit] for unit in picked])
        labels = rng.random((len(rows), truth.shape[1])) < likely[repeat, rows]
        scores[draw] = nan_means(f1_per_class(labels, decided[repeat, rows])[None])[0]
    known_scores = scores[~np.isnan(scores)]
    if not known_scores.size:
        return Interval(float("nan"), float("nan"), float("nan"), len(units), level)
    centre = known_scores.mean()
    low, high = centre + np.sqrt(2) * (np.quantile(known_scores, [(1 - level) / 2, (1 + level) / 2]) - centre)
    return Interval(float(centre), float(max(low, 0)), float(min(high, 1)), len(units), level)


def _units(n: int, groups: np.ndarray | None) -> list[np.ndarray]:
    """The rows of each unit that is drawn whole."""
    if groups is None:
        return np.split(np.arange(n), n)
    unit = np.unique(groups, return_inverse=True)[1]
    order = np.argsort(unit, kind="stable")
    return np.split(order, np.cumsum(np.bincount(unit))[:-1])
