"""Measure calibration: reliability in bins of equal count, pooled and by groups of classes.

The calibration error of a class with five positives cannot be estimated, so classes are pooled by their frequency.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from lociscope.decide.checks import check_probability, check_truth

GROUPS: tuple[tuple[str, int, int], ...] = (
    ("fewer than 20 positives", 0, 20),
    ("20 to 99 positives", 20, 100),
    ("100 positives and more", 100, 1 << 62),
)
"""Groups of classes by their number of positives: name, from, below."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """A reliability diagram and its summary.

    Attributes:
        name: The group of classes.
        classes: The classes that are pooled.
        predicted: (bins,) mean probability in each bin, ascending.
        observed: (bins,) share of positives in each bin.
        low: (bins,) lower end of the 95 % Wilson interval of the share.
        high: (bins,) upper end.
        error: Mean |predicted − observed| over decisions: the expected calibration error.
        positives: Number of positive decisions.
    """

    name: str
    classes: tuple[int, ...]
    predicted: np.ndarray
    observed: np.ndarray
    low: np.ndarray
    high: np.ndarray
    error: float
    positives: int


def reliability(
    truth: np.ndarray,
    probability: np.ndarray,
    *,
    bins: int = 15,
    equal: Literal["count", "positives"] = "count",
    name: str = "all classes",
) -> Reliability:
    """Pool all decisions and bin them by probability.

    Args:
        truth: (n, classes), 0 or 1.
        probability: (n, classes), 0–1.
        bins: Number of bins.
        equal: What all bins have the same amount of: decisions (`count`, for the error), or expected positives (for a
            plot: with equal counts nearly all bins would be at 0, where 26 of 28 decisions are).
        name: Name of the pool.
    """
    truth = check_truth(truth)
    p = check_probability(probability, truth).ravel()
    order = np.argsort(p, kind="stable")
    p, y = p[order], truth.ravel()[order]
    mass = np.cumsum(np.ones(len(p)) if equal == "count" else p)
    edges = np.unique(np.searchsorted(mass, mass[-1] * np.arange(1, bins) / bins, side="right"))
    parts = [part for part in np.split(np.arange(len(p)), edges) if len(part)]
    count = np.array([len(part) for part in parts])
    predicted = np.array([p[part].mean() for part in parts])
    observed = np.array([y[part].mean() for part in parts])
    low, high = wilson(observed, count)
    error = float((np.abs(predicted - observed) * count).sum() / count.sum())
    return Reliability(name, tuple(range(truth.shape[1])), predicted, observed, low, high, error, int(truth.sum()))


def reliability_by_group(
    truth: np.ndarray,
    probability: np.ndarray,
    *,
    bins: int = 15,
    equal: Literal["count", "positives"] = "count",
) -> list[Reliability]:
    """Return the reliability of all classes, and that of each of `GROUPS` that has classes with positives."""
    truth = check_truth(truth)
    positives = truth.sum(axis=0)
    result = [reliability(truth, probability, bins=bins, equal=equal)]
    for name, start, below in GROUPS:
        columns = np.flatnonzero((positives >= max(start, 1)) & (positives < below))
        if columns.size:
            pooled = reliability(truth[:, columns], probability[:, columns], bins=bins, equal=equal, name=name)
            result.append(replace(pooled, classes=tuple(columns.tolist())))
    return result


def wilson(share: np.ndarray, n: np.ndarray, z: float = 1.96) -> tuple[np.ndarray, np.ndarray]:
    """Return the Wilson interval (1927) of shares of n trials: lower and upper ends within 0–1."""
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return np.maximum(centre - half, 0), np.minimum(centre + half, 1)
