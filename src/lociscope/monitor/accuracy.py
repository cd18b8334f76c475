"""Accuracy without labels, estimated from the probabilities, and with the labels of reviewers."""

from __future__ import annotations

from itertools import chain
from math import isnan
from typing import Any, NamedTuple

import numpy as np

from lociscope.decide.intervals import resample_weights
from lociscope.decide.metrics import nan_means

RESAMPLES = 400
LEVEL = 0.95
MIN_POSITIVES = 1.0
"""Expected or counted fields with a location from which it counts in the macro-F1."""


class Score(NamedTuple):
    """A score and its 95 % interval; NaN where nothing defines it."""

    value: float
    low: float
    high: float


class Accuracy(NamedTuple):
    """Scores of n fields.

    Attributes:
        fields: n.
        macro_f1: Mean F1 of the locations that occur.
        precision: Share of the reported locations that are right.
        recall: Share of the true locations that are reported.
        calibration_error: Mean difference of probability and truth over bins of the probability; NaN without truth.
    """

    fields: int
    macro_f1: Score
    precision: Score
    recall: Score
    calibration_error: float = float("nan")

    def to_json(self) -> dict[str, Any]:
        """Return the scores for JSON, with null for what is not defined."""
        scores = {"macro_f1": self.macro_f1, "precision": self.precision, "recall": self.recall}
        plain = {name: None if isnan(score.value) else score._asdict() for name, score in scores.items()}
        error = None if isnan(self.calibration_error) else self.calibration_error
        return {"fields": self.fields, **plain, "calibration_error": error}


def estimate_accuracy(probability: np.ndarray, locations: np.ndarray, seed: int = 0) -> Accuracy:
    """Estimate the accuracy of fields without labels: the expected counts of right and wrong decisions.

    Assumes that the probabilities are calibrated for these fields. That holds if the images are like those on which the
    model was calibrated, also if the mix of locations has changed a little; it does not hold after an input shift.
    The interval says how much the estimate varies with the fields, not how wrong the assumption is.

    Args:
        probability: (n, 28) in 0–1; NaN for a class that the model does not know.
        locations: (n, 28) of bool: the reported locations.
        seed: Seed of the bootstrap.
    """
    p, reported = np.nan_to_num(np.asarray(probability, np.float64)), np.asarray(locations, bool)
    return _score(p, reported, np.ones(len(p)), seed)


def measure_accuracy(
    truth: np.ndarray, probability: np.ndarray, locations: np.ndarray, weights: np.ndarray, seed: int = 0
) -> Accuracy:
    """Measure the accuracy of fields with labels, each of which stands for as many fields as its weight.

    Args:
        truth: (n, 28) of bool.
        probability: (n, 28) in 0–1; NaN for a class that the model does not know.
        locations: (n, 28) of bool: the reported locations.
        weights: (n,) above 0.
        seed: Seed of the bootstrap.
    """
    found = _score(np.asarray(truth, np.float64), np.asarray(locations, bool), np.asarray(weights, np.float64), seed)
    known = ~np.isnan(probability)
    shares = np.repeat(np.asarray(weights, np.float64)[:, None], probability.shape[1], axis=1)[known]
    error = measure_calibration_error(np.asarray(truth, np.float64)[known], probability[known], shares)
    return found._replace(calibration_error=error)


def measure_calibration_error(truth: np.ndarray, probability: np.ndarray, weights: np.ndarray, bins: int = 15) -> float:
    """Return the expected calibration error over bins with equal weight.

    Args:
        truth: (n,), 0 or 1.
        probability: (n,), 0–1.
        weights: (n,) above 0.
        bins: Number of bins.
    """
    if not len(truth):
        return float("nan")
    order = np.argsort(probability, kind="stable")
    y, p, w = truth[order], probability[order], weights[order]
    edges = np.unique(np.searchsorted(np.cumsum(w), w.sum() * np.arange(1, bins) / bins, side="right"))
    parts = [part for part in np.split(np.arange(len(p)), edges) if len(part)]
    return float(sum(abs(float(np.sum(w[part] * (p[part] - y[part])))) for part in parts) / w.sum())


def _score(chance: np.ndarray, reported: np.ndarray, weights: np.ndarray, seed: int) -> Accuracy:
    """Score decisions where each location is true with a given chance."""
    n = len(chance)
    if n == 0:
        nothing = Score(float("nan"), float("nan"), float("nan"))
        return Accuracy(0, nothing, nothing, nothing)
    columns = np.concatenate([chance * reported, 1.0 * reported, chance], axis=1) * weights[:, None]
    chunks = chain([np.ones((1, n))], resample_weights(np.arange(n), n, RESAMPLES, seed))
    hits, all_reported, all_true = np.split(np.concatenate([chunk @ columns for chunk in chunks]), 3, axis=1)
    occurs = all_true[0] >= MIN_POSITIVES
    with np.errstate(invalid="ignore", divide="ignore"):
        f1 = 2 * hits / (all_reported + all_true)
        macro = nan_means(np.where(occurs & (all_reported + all_true > 0), f1, np.nan))
        precision = hits.sum(axis=1) / all_reported.sum(axis=1)
        recall = hits.sum(axis=1) / all_true.sum(axis=1)
    return Accuracy(n, _interval(macro), _interval(precision), _interval(recall))


def _interval(values: np.ndarray) -> Score:
    defined = values[1:][~np.isnan(values[1:])]
    if np.isnan(values[0]) or not defined.size:
        return Score(float("nan"), float("nan"), float("nan"))
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Score(float(values[0]), float(low), float(high))
