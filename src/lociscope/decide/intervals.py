"""Bootstrap intervals of scores, over fields or groups of fields, and paired comparisons.

Fields of one antibody (or specimen, or well) are not independent, so whole groups are resampled where groups are
given. Intervals are percentile intervals (Efron & Tibshirani 1993, chapter 13), shifted by the difference between
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
"""Weights in memory at once (rows × resamples): 16 MB."""


Metric = Callable[..., SupportsFloat]
"""A function that scores arrays of equal length. Those of `metrics` resample fast, others row by row."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A score with its interval.

    Attributes:
        value: The score of all rows.
        low: Lower end; NaN where no resample could be scored.
        high: Upper end.
        n: Number of independent units (fields, or groups of them) that were resampled.
        level: Coverage, 0–1.
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


def _number_units(rows: int, groups: np.ndarray | None) -> tuple[np.ndarray, int]:
    """Return the number of the unit of each row, and how many units there are."""
    if groups is None:
        return np.arange(rows), rows
    if len(groups) != rows:
        raise LociscopeError(
            f"`groups` has {len(groups)} entries and the arrays have {rows} rows. Pass one group per row.",
            code=Code.INVALID_VALUE,
        )
    unique, index = np.unique(np.asarray(groups), return_inverse=True)
    return index, len(unique)


def resample_weights(unit: np.ndarray, units: int, n: int, seed: int) -> Iterator[np.ndarray]:
    """Yield how often each row counts in each of n resamples, in chunks (b, rows) of float64.

    Args:
        unit: (rows,) the number of the unit that each row belongs to.
        units: Number of units; as many are sampled with replacement for each resample.
        n: Number of resamples.
        seed: Random seed.
    """
    rng = np.random.default_rng(seed)
    step = max(1, CHUNK // max(len(unit), units))
    for start in range(0, n, step):
        b = min(step, n - start)
        sampled = rng.integers(units, size=(b, units)) + units * np.arange(b)[:, None]
        counts = np.bincount(sampled.ravel(), minlength=b * units).reshape(b, units)
        yield counts[:, unit].astype(np.float64)


def _score_resamples(metric: Metric, weights: np.ndarray, arrays: tuple[np.ndarray, ...]) -> np.ndarray:
    if isinstance(metric, ClassMetric | RowMetric):
        return metric.score_resamples(weights, arrays[0], arrays[1])
    picks = [np.repeat(np.arange(len(row)), row.astype(np.int64)) for row in weights]
    return np.array([float(metric(*(array[pick] for array in arrays))) for pick in picks])


def _check_lengths(arrays: tuple[np.ndarray, ...]) -> int:
    if len({len(array) for array in arrays}) != 1:
        raise LociscopeError(
            f"Arrays to resample must have equal lengths; received {[len(a) for a in arrays]}. Pass one row per field.",
            code=Code.INVALID_VALUE,
        )
    return len(arrays[0])


def percentile_interval(value: float, resamples: np.ndarray, units: int, level: float) -> Interval:
    """Return the interval of a score, or of a difference of scores, from its resamples.

    Args:
        value: The score of all rows.
        resamples: (n,) scores of the resamples; NaN where one could not be scored.
        units: Number of fields or groups that were resampled.
        level: Coverage, 0–1.
    """
    defined = resamples[~np.isnan(resamples)]
    if defined.size == 0:
        return Interval(value, float("nan"), float("nan"), units, level)
    low, median, high = np.quantile(defined, [(1 - level) / 2, 0.5, (1 + level) / 2])
    # Resamples repeat rows and lose rare classes, which increases means over classes: with 40 fields all quantiles may
    # exceed the score itself. The interval is shifted by that bias, within the range of such a score.
    bias = median - value
    minimum, maximum = (0.0 if defined.min() >= 0 else -np.inf), (1.0 if defined.max() <= 1 else np.inf)
    low, high = np.clip([low - bias, high - bias], minimum, maximum)
    return Interval(value, float(low), float(high), units, level)


def bootstrap_scores(
    metric: Metric, *arrays: np.ndarray, groups: np.ndarray | None = None, n: int = 1000, seed: int = 0
) -> tuple[np.ndarray, int]:
    """Return the scores of resamples; with one seed the rows are the same for all arrays, so differences are paired.

    Args:
        metric: Scores the arrays.
        arrays: Arguments of the metric, all with the same number of rows.
        groups: As for `bootstrap`.
        n: Number of resamples.
        seed: Random seed.

    Returns:
        (n,) scores, and the number of fields or groups that were resampled.
    """
    unit, units = _number_units(_check_lengths(arrays), groups)
    resamples = [_score_resamples(metric, weights, arrays) for weights in resample_weights(unit, units, n, seed)]
    return np.concatenate(resamples), units


def bootstrap(
    metric: Metric,
    *arrays: np.ndarray,
    groups: np.ndarray | None = None,
    n: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Return a score with its bootstrap interval.

    Args:
        metric: Scores the arrays, for example `metrics.macro_f1`.
        arrays: Arguments of the metric, for example truth and decisions, all with the same number of rows.
        groups: (rows,) names of the groups that are resampled whole, for example antibodies; by default each row.
        n: Number of resamples.
        seed: Random seed.
        level: Coverage of the interval, 0–1.

    Returns:
        The score of all rows, and its interval.

    Raises:
        LociscopeError: The arrays have different lengths, or the metric rejects them.
    """
    resamples, units = bootstrap_scores(metric, *arrays, groups=groups, n=n, seed=seed)
    return percentile_interval(float(metric(*arrays)), resamples, units, level)


def bootstrap_classes(
    metric: ClassMetric,
    truth: np.ndarray,
    values: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    n: int = 200,
    seed: int = 0,
    level: float = 0.95,
) -> list[Interval]:
    """Return the score of each class with its bootstrap interval; NaN for a class without positives.

    Args:
        metric: Scores the classes.
        truth: (rows, classes).
        values: (rows, classes), decisions or scores.
        groups: As for `bootstrap`.
        n: Number of resamples.
        seed: Random seed.
        level: Coverage.
    """
    unit, units = _number_units(len(truth), groups)
    known = truth.astype(bool)
    score = metric(truth, values).per_class
    with np.errstate(invalid="ignore"):
        chunks = [metric.per_class(known, values, weights) for weights in resample_weights(unit, units, n, seed)]
    resamples = np.concatenate(chunks)
    return [
        percentile_interval(float(each), column, units, level) for each, column in zip(score, resamples.T, strict=True)
    ]


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
    """Return the mean score of several predictions of the same fields, as from repeated cross-validation.

    Args:
        metric: Scores (truth, predictions).
        truth: (rows, classes).
        repeats: (r, rows, classes).
        others: (r, rows, classes) whose mean score is subtracted, for a paired gain; default none.
        groups: As for `bootstrap`.
        n: Number of resamples.
        seed: Random seed.
        level: Coverage.

    Returns:
        The mean over repeats, and the interval of that mean: fields are resampled, repeats are not.
    """
    unit, units = _number_units(len(truth), groups)
    signed = [(1.0, each) for each in repeats] + [(-1.0, each) for each in ([] if others is None else others)]
    value = sum(sign * float(metric(truth, each)) for sign, each in signed) / len(repeats)
    resamples = [
        np.sum([sign * metric.score_resamples(weights, truth, each) for sign, each in signed], axis=0) / len(repeats)
        for weights in resample_weights(unit, units, n, seed)
    ]
    return percentile_interval(value, np.concatenate(resamples), units, level)


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
    """Return the gain of one set of predictions over another on the same fields, which are resampled together.

    Args:
        metric: Scores (truth, predictions).
        truth: (rows, classes).
        ours: (rows, classes).
        theirs: (rows, classes).
        groups: As for `bootstrap`.
        n: Number of resamples.
        seed: Random seed.
        level: Coverage; 0.90 two-sided is a one-sided test at 5 %.

    Returns:
        metric(truth, ours) − metric(truth, theirs), and its interval.
    """
    unit, units = _number_units(_check_lengths((truth, ours, theirs)), groups)
    resamples = [
        _score_resamples(metric, weights, (truth, ours)) - _score_resamples(metric, weights, (truth, theirs))
        for weights in resample_weights(unit, units, n, seed)
    ]
    gain = float(metric(truth, ours)) - float(metric(truth, theirs))
    return percentile_interval(gain, np.concatenate(resamples), units, level)
