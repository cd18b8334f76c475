"""How sure a score is: bootstrap intervals over fields or groups of fields, and paired comparisons.

Fields of one antibody (or specimen, or well) are not independent, so whole groups are drawn where groups are
given. Intervals are percentile intervals (Efron & Tibshirani 1993, chapter 13), moved by the difference between
the median resample and the score.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import SupportsFloat

import numpy as np

from lociscope.decide.metrics import ClassMetric, RowMetric
from lociscope.errors import Code, LociscopeError

CHUNK = 2_000_000
"""Weights held at once (rows × resamples): 16 MB."""


Metric = Callable[..., SupportsFloat]
"""Anything that scores arrays of equal length. Those of `metrics` resample fast, others row by row."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its interval.

    Attributes:
        value: The score of all rows.
        low: Lower end; NaN where no resample could be scored.
        high: Upper end.
        n: How many independent units (fields, or groups of them) it rests on.
        level: Its coverage, 0–1.
    """

    value: float
    low: float
    high: float
    n: int
    level: float = 0.95

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


def _units(rows: int, groups: np.ndarray | None) -> tuple[np.ndarray, int]:
    if groups is None:
        return np.arange(rows), rows
    if len(groups) != rows:
        raise LociscopeError(
            f"Groups name {len(groups)} rows, the arrays have {rows}; pass one group per row.", code=Code.INVALID_VALUE
        )
    unique, index = np.unique(np.asarray(groups), return_inverse=True)
    return index, len(unique)


def resample_weights(unit: np.ndarray, units: int, n: int, seed: int) -> Iterator[np.ndarray]:
    """How often each row counts in each of n resamples, in chunks (b, rows) of float64.

    Args:
        unit: (rows,) the number of the unit that each row belongs to.
        units: How many units there are; so many are drawn with replacement for each resample.
        n: Resamples.
        seed: Decides all draws.
    """
    rng = np.random.default_rng(seed)
    step = max(1, CHUNK // max(len(unit), units))
    for start in range(0, n, step):
        b = min(step, n - start)
        drawn = rng.integers(units, size=(b, units)) + units * np.arange(b)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=b * units).reshape(b, units)
        yield counts[:, unit].astype(np.float64)


def _scores(metric: Metric, weights: np.ndarray, arrays: tuple[np.ndarray, ...]) -> np.ndarray:
    if isinstance(metric, ClassMetric | RowMetric):
        return metric.score_resamples(weights, arrays[0], arrays[1])
    picks = [np.repeat(np.arange(len(row)), row.astype(np.int64)) for row in weights]
    return np.array([float(metric(*(array[pick] for array in arrays))) for pick in picks])


def _checked_lengths(arrays: tuple[np.ndarray, ...]) -> int:
    if len({len(array) for array in arrays}) != 1:
        raise LociscopeError(
            f"Arrays to resample need equal lengths; received {[len(a) for a in arrays]}.", code=Code.INVALID_VALUE
        )
    return len(arrays[0])


def percentile_interval(value: float, draws: np.ndarray, units: int, level: float) -> Interval:
    """The interval of a score, or of a difference of scores, from its resamples.

    Args:
        value: The score of all rows.
        draws: (n,) the scores of resamples; NaN where one could not be scored.
        units: How many fields or groups were drawn from.
        level: Coverage, 0–1.
    """
    known = draws[~np.isnan(draws)]
    if known.size == 0:
        return Interval(value, float("nan"), float("nan"), units, level)
    low, middle, high = np.quantile(known, [(1 - level) / 2, 0.5, (1 + level) / 2])
    # Resamples repeat rows and lose rare classes, which lifts means over classes: the quantiles of 40 fields may
    # all lie above the score itself. The interval is moved by that bias, within what such a score can be.
    bias = middle - value
    least, most = (0.0 if known.min() >= 0 else -np.inf), (1.0 if known.max() <= 1 else np.inf)
    low, high = np.clip([low - bias, high - bias], least, most)
    return Interval(value, float(low), float(high), units, level)


def bootstrap_scores(
    metric: Metric, *arrays: np.ndarray, groups: np.ndarray | None = None, n: int = 1000, seed: int = 0
) -> tuple[np.ndarray, int]:
    """What a metric gives on resamples: with one seed they are the same for all arrays, so differences are paired.

    Args:
        metric: Scores the arrays.
        arrays: What it takes, all with the same number of rows.
        groups: As for `bootstrap`.
        n: Resamples.
        seed: Decides all draws.

    Returns:
        (n,) scores, and how many fields or groups were drawn from.
    """
    unit, units = _units(_checked_lengths(arrays), groups)
    draws = [_scores(metric, weights, arrays) for weights in resample_weights(unit, units, n, seed)]
    return np.concatenate(draws), units


def bootstrap(
    metric: Metric,
    *arrays: np.ndarray,
    groups: np.ndarray | None = None,
    n: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """A score with its bootstrap interval.

    Args:
        metric: Scores the arrays, for example `metrics.macro_f1`.
        arrays: What it takes, for example truth and decisions, all with the same number of rows.
        groups: (rows,) names of the groups that are drawn whole, for example antibodies; default: rows.
        n: Resamples.
        seed: Decides all draws.
        level: Coverage of the interval, 0–1.

    Returns:
        The score of all rows, and its interval.

    Raises:
        LociscopeError: Arrays of unlike length, or what the metric refuses.
    """
    draws, units = bootstrap_scores(metric, *arrays, groups=groups, n=n, seed=seed)
    return percentile_interval(float(metric(*arrays)), draws, units, level)


def repeated_bootstrap(
    metric: ClassMetric | RowMetric,
    truth: np.ndarray,
    repeats: np.ndarray,
    others: np.ndarray | None = None,
    *,
    groups: np.ndarray | None = None,
    n: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """The mean score of several predictions of the same fields, as repeated cross-validation makes them.

    Args:
        metric: Scores (truth, predictions).
        truth: (rows, classes).
        repeats: (r, rows, classes).
        others: (r, rows, classes) whose mean score is subtracted, for a paired gain; default none.
        groups: As for `bootstrap`.
        n: Resamples.
        seed: Decides all draws.
        level: Coverage.

    Returns:
        The mean over repeats, and the interval of that mean: fields are drawn, repeats are not.
    """
    unit, units = _units(len(truth), groups)
    signed = [(1.0, each) for each in repeats] + [(-1.0, each) for each in ([] if others is None else others)]
    value = sum(sign * float(metric(truth, each)) for sign, each in signed) / len(repeats)
    draws = [
        np.sum([sign * metric.score_resamples(weights, truth, each) for sign, each in signed], axis=0) / len(repeats)
        for weights in resample_weights(unit, units, n, seed)
    ]
    return percentile_interval(value, np.concatenate(draws), units, level)


def paired_bootstrap(
    metric: Metric,
    truth: np.ndarray,
    ours: np.ndarray,
    theirs: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    n: int = 1000,
    seed: int = 0,
    level: float = 0.90,
) -> Interval:
    """The gain of one set of predictions over another on the same fields, drawn together.

    Args:
        metric: Scores (truth, predictions).
        truth: (rows, classes).
        ours: (rows, classes).
        theirs: (rows, classes).
        groups: As for `bootstrap`.
        n: Resamples.
        seed: Decides all draws.
        level: Coverage; 0.90 two-sided is a one-sided test at 5 %.

    Returns:
        metric(truth, ours) − metric(truth, theirs), and its interval.
    """
    unit, units = _units(_checked_lengths((truth, ours, theirs)), groups)
    draws = [
        _scores(metric, weights, (truth, ours)) - _scores(metric, weights, (truth, theirs))
        for weights in resample_weights(unit, units, n, seed)
    ]
    gain = float(metric(truth, ours)) - float(metric(truth, theirs))
    return percentile_interval(gain, np.concatenate(draws), units, level)


def paired_permutation(
    metric: ClassMetric | RowMetric,
    truth: np.ndarray,
    ours: np.ndarray,
    theirs: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    n: int = 1000,
    seed: int = 0,
) -> float:
    """Two-sided p value of the hypothesis that the two sets of predictions may be exchanged field by field.

    Args:
        metric: Scores (truth, predictions).
        truth: (rows, classes).
        ours: (rows, classes).
        theirs: (rows, classes).
        groups: Groups are exchanged whole.
        n: Random exchanges; the smallest p is 1 / (n + 1).
        seed: Decides all draws.

    Returns:
        The share of exchanges (the observed one counted in) whose difference is at least the observed one.
    """
    unit, units = _units(_checked_lengths((truth, ours, theirs)), groups)
    rng = np.random.default_rng(seed)
    both = (np.concatenate([truth, truth]), np.concatenate([ours, theirs]))
    at_least = 1
    identity = np.concatenate([np.ones(len(unit)), np.zeros(len(unit))])[None]
    observed = abs(float((metric.score_resamples(identity, *both) - metric.score_resamples(1 - identity, *both))[0]))
    step = max(1, CHUNK // len(unit))
    for start in range(0, n, step):
        kept = rng.integers(2, size=(min(step, n - start), units))[:, unit].astype(np.float64)
        weights = np.concatenate([kept, 1 - kept], axis=1)
        gains = metric.score_resamples(weights, *both) - metric.score_resamples(1 - weights, *both)
        at_least += int((np.abs(gains) >= observed - 1e-12).sum())
    return at_least / (n + 1)
