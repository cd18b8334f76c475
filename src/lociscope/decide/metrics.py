"""Score predictions against truth, per class (F1, average precision, AUC) or per field (LRAP, Jaccard …).

Every metric here is a mean over classes or over fields and can be computed from row weights for a thousand resamples at
once, which `intervals.bootstrap` uses. A class without positives has no score: it is NaN per class, is listed in
`Macro.unscored`, and does not enter the mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lociscope.decide.checks import check_probability, check_scores, check_truth
from lociscope.errors import Code, LociscopeError

PerClass = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""(truth (n, c), scores (n, c), weights (b, n)) → (b, c), NaN where a class has no positive weight."""

PerRow = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(truth (n, c), scores (n, c)) → (n,), NaN where the metric is not defined for the row."""

SMALLEST = 1e-7
"""Probabilities are clipped to [1e-7, 1 − 1e-7] before a logarithm (float32's resolution near 1)."""


FREQUENT = 20
"""Positives below which the score of a class is mostly chance."""


@dataclass(frozen=True, slots=True)
class Macro:
    """A mean over classes, with the score of each class.

    Attributes:
        value: Mean over the classes that were scored; NaN where none was.
        per_class: (classes,) the score of each class; NaN where it has no positives.
        unscored: Classes that the mean excludes, since they have too few positives.
    """

    value: float
    per_class: np.ndarray
    unscored: tuple[int, ...]

    def __float__(self) -> float:
        return self.value


@dataclass(frozen=True, slots=True)
class ClassMetric:
    """A metric that is a mean over classes; call it with (truth, scores).

    Attributes:
        name: The name in `metrics.json` and reports.
        per_class: Scores each class.
        min_positives: A class with fewer positives is excluded from the mean.
        values: The kind of the second argument: `decisions` (0 or 1) or `scores` (any range).
    """

    name: str
    per_class: PerClass
    min_positives: int = 1
    values: str = "scores"

    def __call__(self, truth: np.ndarray, scores: np.ndarray) -> Macro:
        """Score all rows.

        Args:
            truth: (n, classes), 0 or 1.
            scores: (n, classes), decisions or scores.

        Raises:
            LociscopeError: The shapes do not match.
        """
        truth, scores = self._check(truth, scores)
        per_class = self.per_class(truth, scores, np.ones((1, len(truth))))[0]
        scored = truth.sum(axis=0) >= self.min_positives
        return Macro(nan_mean(per_class[scored]), per_class, tuple(np.flatnonzero(~scored).tolist()))

    def score_resamples(self, weights: np.ndarray, truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Score many weightings of the rows.

        Args:
            weights: (b, n), how often each row counts.
            truth: (n, classes).
            scores: (n, classes).

        Returns:
            (b,). The classes are those that have `min_positives` positives in all rows; a class without positives in a
            resample is excluded from the mean of that resample.
        """
        truth, scores = self._check(truth, scores)
        scored = truth.sum(axis=0) >= self.min_positives
        return nan_means(self.per_class(truth[:, scored], scores[:, scored], weights))

    def _check(self, truth: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        truth = check_truth(truth)
        scores = check_scores(scores, truth)
        return truth, check_truth(scores) if self.values == "decisions" else scores


@dataclass(frozen=True, slots=True)
class RowMetric:
    """A metric that is a mean over fields; call it with (truth, scores).

    Attributes:
        name: The name in `metrics.json` and reports.
        per_row: Scores each row; NaN where it is not defined, and such rows are excluded from the mean.
        values: The kind of the second argument: `decisions`, `scores` or `probabilities`.
    """

    name: str
    per_row: PerRow
    values: str = "scores"

    def __call__(self, truth: np.ndarray, scores: np.ndarray) -> float:
        """Score all rows; NaN where no row has a score. Raises LociscopeError as `ClassMetric` does."""
        return nan_mean(self.per_row(*self._check(truth, scores)))

    def score_resamples(self, weights: np.ndarray, truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Score many weightings (b, n) of the rows; return (b,)."""
        values = self.per_row(*self._check(truth, scores))
        defined = ~np.isnan(values)
        with np.errstate(invalid="ignore"):
            return np.asarray((weights[:, defined] @ values[defined]) / weights[:, defined].sum(axis=1))

    def _check(self, truth: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        truth = check_truth(truth)
        if self.values == "probabilities":
            return truth, check_probability(scores, truth)
        scores = check_scores(scores, truth)
        return truth, check_truth(scores) if self.values == "decisions" else scores


def nan_mean(values: np.ndarray) -> float:
    """Return the mean of the values that are not NaN; NaN where there is none."""
    return float(nan_means(values[None])[0])


def nan_means(values: np.ndarray) -> np.ndarray:
    """Return the mean of the values of each row that are not NaN; NaN where there is none."""
    defined = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(defined, values, 0).sum(axis=-1) / defined.sum(axis=-1))


def f1_per_class(truth: np.ndarray, decided: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Return F1 of each class, 2 TP / (positives + decided).

    Args:
        truth: (n, classes), 0 or 1.
        decided: (n, classes), 0 or 1.
        weights: (b, n), how often each row counts; by default once.

    Returns:
        (classes,), or (b, classes) where weights are given; NaN where a class has no positives.
    """
    rows = np.ones((1, len(truth))) if weights is None else weights
    positives = rows @ truth
    with np.errstate(invalid="ignore"):
        f1 = 2 * (rows @ (truth.astype(bool) & decided.astype(bool))) / (positives + rows @ decided)
    f1 = np.where(positives > 0, f1, np.nan)
    return np.asarray(f1[0] if weights is None else f1)


def find_tie_ends(ordered: np.ndarray) -> np.ndarray:
    """Return the index of the last of each run of equal values."""
    return np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)


def _average_precision(truth: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    result = np.full((len(weights), truth.shape[1]), np.nan)
    for label, (positive, score) in enumerate(zip(truth.T, scores.T, strict=True)):
        order = np.argsort(-score, kind="stable")
        ends = find_tie_ends(score[order])
        rows = weights[:, order]
        hits = np.cumsum(rows * positive[order], axis=1)[:, ends]
        with np.errstate(invalid="ignore"):
            precision = np.nan_to_num(hits / np.cumsum(rows, axis=1)[:, ends])
            result[:, label] = (np.diff(hits, axis=1, prepend=0) * precision).sum(axis=1) / hits[:, -1]
    return result


def average_precision_per_class(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return the average precision of each class, (classes,); NaN where it has no positives."""
    return np.asarray(_average_precision(truth.astype(bool), scores, np.ones((1, len(truth))))[0])


def _auc(truth: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    result = np.full((len(weights), truth.shape[1]), np.nan)
    for label, (positive, score) in enumerate(zip(truth.T, scores.T, strict=True)):
        order = np.argsort(score, kind="stable")
        ends = find_tie_ends(score[order])
        rows = weights[:, order]
        hits = np.cumsum(rows * positive[order], axis=1)[:, ends]
        below = np.cumsum(rows * ~positive[order], axis=1)[:, ends]
        below_with_ties = below - np.diff(below, axis=1, prepend=0) / 2
        with np.errstate(invalid="ignore"):
            area = (np.diff(hits, axis=1, prepend=0) * below_with_ties).sum(axis=1)
            result[:, label] = area / (hits[:, -1] * below[:, -1])
    return result


def ranks(scores: np.ndarray) -> np.ndarray:
    """Return the rank of each class within its row, 1 = highest; tied classes all get the worst rank of their tie.

    Args:
        scores: (n, classes).

    Returns:
        (n, classes) of int.
    """
    rank = np.empty(scores.shape, np.int64)
    for label in range(scores.shape[1]):
        rank[:, label] = (scores >= scores[:, label, None]).sum(axis=1)
    return rank


def _lrap(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    among_true = ranks(np.where(truth, scores, -np.inf))
    share = np.where(truth, among_true / ranks(scores), 0).sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.asarray(share / truth.sum(axis=1))


def _jaccard(truth: np.ndarray, decided: np.ndarray) -> np.ndarray:
    union = (truth | decided).sum(axis=1)
    return np.where(union > 0, (truth & decided).sum(axis=1) / np.maximum(union, 1), 1.0)


def log_losses(truth: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Return the binary cross-entropy in nats of every decision, (n, classes), clipped at `SMALLEST`."""
    p = np.clip(probability, SMALLEST, 1 - SMALLEST)
    return np.asarray(-np.log(np.where(truth.astype(bool), p, 1 - p)))


macro_f1 = ClassMetric("macro_f1", f1_per_class, values="decisions")
"""Mean F1 over the classes that have positives: the competition's score where all 28 have."""

macro_f1_frequent = ClassMetric("macro_f1_frequent", f1_per_class, min_positives=FREQUENT, values="decisions")
"""Mean F1 over the classes with at least 20 positives: what a small test set can measure."""

macro_average_precision = ClassMetric("macro_average_precision", _average_precision)
"""Mean area under the precision–recall steps, as scikit-learn's `average_precision_score`."""

macro_auc = ClassMetric("macro_auc", _auc, min_positives=3)
"""Mean area under the ROC curve over the classes with at least 3 positives; ties count half."""

lrap = RowMetric("lrap", _lrap)
"""Label ranking average precision; ties count as errors. For single-label fields it is the mean reciprocal
rank. Rows without a label are excluded (scikit-learn counts them as 1)."""

jaccard = RowMetric("jaccard", _jaccard, values="decisions")
"""Mean over fields of intersection / union of truth and decision; 1 where both are empty."""

log_loss = RowMetric("log_loss", lambda t, p: log_losses(t, p).mean(axis=1), values="probabilities")
"""Binary cross-entropy in nats, mean over classes and fields; lower is better."""

brier = RowMetric("brier", lambda t, p: np.square(p - t).mean(axis=1), values="probabilities")
"""Mean squared difference of probability and truth over classes and fields; lower is better."""


def top_k(k: int) -> RowMetric:
    """Return the metric "share of labelled fields with a true location among the k likeliest"; ties count as errors.

    Args:
        k: Number of likeliest locations, 1 or more.

    Raises:
        LociscopeError: k is below 1.
    """
    if k < 1:
        raise LociscopeError(f"`k` must be 1 or more; received {k}. Pass 3 for top-3.", code=Code.INVALID_VALUE)

    def hit(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
        hits = (truth & (ranks(scores) <= k)).any(axis=1)
        return np.where(truth.any(axis=1), hits, np.nan)

    return RowMetric(f"top_{k}", hit)
