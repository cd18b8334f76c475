"""Precision, recall and Jaccard index of each class, exact match, precision–recall curves and confusions.

On classes with positives these equal scikit-learn's figures with `zero_division=0`; as in `decide.metrics`, a class
without positives has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lociscope.decide.metrics import ClassMetric, RowMetric, f1_per_class, find_tie_ends

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_CURVE_POINTS = 60
"""Points of a precision–recall curve that are kept."""


def _ratio_of(divide: Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]) -> ClassMetric:
    """Return a metric from a function of (hits, positives, decided) that gives numerator and denominator."""

    def per_class(truth: np.ndarray, decided: np.ndarray, weights: np.ndarray) -> np.ndarray:
        positives, reported = weights @ truth, weights @ decided
        hits = weights @ (truth.astype(bool) & decided.astype(bool))
        above, below = divide(hits, positives, reported)
        return np.where(positives > 0, above / np.where(below > 0, below, 1), np.nan)

    return ClassMetric("", per_class, values="decisions")


def _named(metric: ClassMetric, name: str) -> ClassMetric:
    return ClassMetric(name, metric.per_class, metric.min_positives, metric.values)


macro_precision = _named(_ratio_of(lambda hits, positives, decided: (hits, decided)), "macro_precision")
"""Mean over the classes with positives of TP / reported; 0 where a class is never reported."""

macro_recall = _named(_ratio_of(lambda hits, positives, decided: (hits, positives)), "macro_recall")
"""Mean over the classes with positives of TP / labelled."""

macro_jaccard = _named(_ratio_of(lambda hits, positives, decided: (hits, positives + decided - hits)), "macro_jaccard")
"""Mean over the classes with positives of TP / (labelled or reported)."""

exact_match = RowMetric("exact_match", lambda t, d: (t == d).all(axis=1).astype(float), values="decisions")
"""Share of fields whose reported locations are exactly the labelled ones: scikit-learn's `accuracy_score`."""

decision_accuracy = RowMetric("decision_accuracy", lambda t, d: (t == d).mean(axis=1), values="decisions")
"""Share of correct decisions over fields and classes: 1 − Hamming loss. High for whoever reports nothing."""


def micro_f1(truth: np.ndarray, decided: np.ndarray) -> float:
    """Return F1 of all decisions pooled, 2 TP / (labelled + reported); NaN where none is labelled."""
    return float(f1_per_class(truth.reshape(-1, 1), decided.reshape(-1, 1))[0])


def precision_recall_curve(positive: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return recall and precision at each distinct score, from the highest score down.

    Args:
        positive: (n,) 0 or 1, at least one 1.
        score: (n,).

    Returns:
        (k,) recall, ascending, and (k,) precision.
    """
    order = np.argsort(-score, kind="stable")
    ends = find_tie_ends(score[order])
    hits = np.cumsum(positive[order].astype(np.int64))[ends]
    return hits / hits[-1], hits / (ends + 1)


def thin_curve(recall: np.ndarray, precision: np.ndarray) -> list[tuple[float, float]]:
    """Return at most `MAX_CURVE_POINTS` points of a curve, evenly spaced in recall."""
    last = int(np.searchsorted(recall, 1.0))
    wanted = np.linspace(recall[0], 1.0, MAX_CURVE_POINTS)
    rows = np.unique([0, *np.searchsorted(recall, wanted).clip(0, last)])
    return [(round(float(recall[row]), 4), round(float(precision[row]), 4)) for row in rows]


def count_confusions(truth: np.ndarray, decided: np.ndarray) -> np.ndarray:
    """Count confusions: in how many fields one class is missed where another is wrongly reported.

    Args:
        truth: (n, classes), 0 or 1.
        decided: (n, classes), 0 or 1.

    Returns:
        (classes, classes) of int: row, the missed class; column, the wrongly reported one; 0 on the diagonal.
    """
    labelled, reported = truth.astype(bool), decided.astype(bool)
    missed, wrong = labelled & ~reported, reported & ~labelled
    return np.asarray(missed.astype(np.int64).T @ wrong.astype(np.int64))
