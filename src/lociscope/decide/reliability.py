"""How far probabilities may be believed: reliability in bins of equal count, pooled and by groups of classes.

A class with five positives has no calibration error of its own: classes are pooled by how common they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from lociscope.decide.checks import check_probability, check_truth
from lociscope.decide.intervals import Interval, bootstrap
from lociscope.decide.metrics import brier, log_loss

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
        classes: Which classes are pooled.
        predicted: (bins,) mean probability in each bin, ascending.
        observed: (bins,) share of positives in each bin.
        low: (bins,) lower end of the share's 95 % Wilson interval.
        high: (bins,) upper end.
        error: Mean |predicted − observed| over decisions: the expected calibration error.
        positives: How many decisions are positives.
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
    """Pools all decisions and bins them by probability.

    Args:
        truth: (n, classes), 0 or 1.
        probability: (n, classes), 0–1.
        bins: How many bins.
        equal: What the bins hold alike of: decisions (`count`, for the error), or expected positives (for a
            drawing: of equal counts nearly all bins lie at 0, where 26 of 28 decisions are).
        name: What the pool is called.
    """
    known = check_truth(truth)
    p = check_probability(probability, known).ravel()
    order = np.argsort(p, kind="stable")
    p, y = p[order], known.ravel()[order]
    mass = np.cumsum(np.ones(len(p)) if equal == "count" else p)
    edges = np.unique(np.searchsorted(mass, mass[-1] * np.arange(1, bins) / bins, side="right"))
    parts = [part for part in np.split(np.arange(len(p)), edges) if len(part)]
    count = np.array([len(part) for part in parts])
    predicted = np.array([p[part].mean() for part in parts])
    observed = np.array([y[part].mean() for part in parts])
    low, high = wilson(observed, count)
    error = float((np.abs(predicted - observed) * count).sum() / count.sum())
    return Reliability(name, tuple(range(known.shape[1])), predicted, observed, low, high, error, int(known.sum()))


def reliability_by_group(
    truth: np.ndarray,
    probability: np.ndarray,
    *,
    bins: int = 15,
    equal: Literal["count", "positives"] = "count",
) -> list[Reliability]:
    """The pool of all classes, and one of each of `GROUPS` that has classes with positives."""
    known = check_truth(truth)
    found = known.sum(axis=0)
    result = [reliability(known, probability, bins=bins, equal=equal)]
    for name, least, below in GROUPS:
        columns = np.flatnonzero((found >= max(least, 1)) & (found < below))
        if columns.size:
            part = reliability(known[:, columns], probability[:, columns], bins=bins, equal=equal, name=name)
            result.append(replace(part, classes=tuple(columns.tolist())))
    return result


def proper_scores(
    truth: np.ndarray, probability: np.ndarray, *, groups: np.ndarray | None = None, seed: int = 0
) -> dict[str, Interval]:
    """Brier score and log loss, each with its bootstrap interval over fields or groups of them."""
    return {
        metric.name: bootstrap(metric, truth, probability, groups=groups, seed=seed) for metric in (brier, log_loss)
    }


def wilson(share: np.ndarray, n: np.ndarray, z: float = 1.96) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's interval (1927) of shares of n trials: lower and upper ends within 0–1."""
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return np.maximum(centre - half, 0), np.minimum(centre + half, 1)
