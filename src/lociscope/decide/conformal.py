"""Quantify uncertainty: prediction sets with a nominal coverage, and a rule for decisions that are likely wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np

from lociscope.decide.checks import check_probability, check_truth
from lociscope.errors import Code, LociscopeError, UsageError


@dataclass(slots=True)
class PredictionSets:
    """Sets of locations that contain all true locations of a field with a nominal probability (split conformal).

    The score of a field is the lowest probability among its true locations; the threshold is the lower quantile of the
    scores with the finite-sample correction (Vovk et al. 2005; for label sets Cauchois et al. 2021, JMLR 22:81). The
    nominal coverage holds for new fields that are exchangeable with those of the fit, on average over fields, not for
    each class.

    Attributes:
        coverage: Nominal share of fields whose set contains all true locations, above 0 and below 1.
        threshold_: A location is in the set where its probability is at least this.
        n_: Number of labelled fields that the threshold was fitted on.
    """

    coverage: float = 0.9
    threshold_: float = field(init=False)
    n_: int = field(init=False)

    def fit(self, truth: np.ndarray, probability: np.ndarray) -> Self:
        """Fit the threshold on fields that the probabilities were not fitted on; fields without a label are ignored.

        Raises:
            LociscopeError: No field has a label, or the coverage is out of range.
        """
        if not 0 < self.coverage < 1:
            raise UsageError(
                f"`coverage` must be above 0 and below 1; received {self.coverage}. Pass a value such as 0.9.",
                code=Code.INVALID_VALUE,
            )
        truth = check_truth(truth)
        p = check_probability(probability, truth)
        labelled = truth.any(axis=1)
        if not labelled.any():
            raise LociscopeError(
                "Prediction sets need labelled fields; received none. Pass fields that have a label.",
                code=Code.INVALID_LABELS,
            )
        scores = np.sort(np.where(truth, p, np.inf).min(axis=1)[labelled])
        self.n_ = len(scores)
        rank = int(np.floor((1 - self.coverage) * (self.n_ + 1)))
        self.threshold_ = float(scores[rank - 1]) if rank >= 1 else 0.0  # too few fields: everything is in the set
        return self

    def predict(self, probability: np.ndarray) -> np.ndarray:
        """Return (n, classes) of bool: the locations that cannot be ruled out."""
        return np.asarray(check_probability(probability) >= self.threshold_)


def measure_coverage(truth: np.ndarray, sets: np.ndarray) -> float:
    """Return the share of labelled fields whose set contains all true locations; NaN without labelled fields."""
    truth = check_truth(truth)
    labelled = truth.any(axis=1)
    contained = ~(truth & ~sets).any(axis=1)
    return float(contained[labelled].mean()) if labelled.any() else float("nan")


def compute_confidence(probability: np.ndarray, decided: np.ndarray) -> np.ndarray:
    """Estimate the Jaccard index of each decision: expected hits / (number decided + expected misses).

    Args:
        probability: (n, classes), calibrated.
        decided: (n, classes), 0 or 1.

    Returns:
        (n,) in 0–1; for an empty decision the probability that the field has none of the locations.
    """
    p = check_probability(probability)
    decided = check_truth(decided)
    count = decided.sum(axis=1)
    hits, misses = np.where(decided, p, 0).sum(axis=1), np.where(decided, 0, p).sum(axis=1)
    overlap = hits / np.maximum(count + misses, 1e-12)
    return np.asarray(np.where(count > 0, overlap, np.prod(1 - p, axis=1)))


@dataclass(slots=True)
class UnsureRule:
    """Flags fields whose decision is more likely wrong than right.

    Attributes:
        min_jaccard: The Jaccard index that a decision must be expected to reach, 0–1.
        threshold_: Fields whose confidence (`compute_confidence`) is below this are unsure.
    """

    min_jaccard: float = 0.5
    threshold_: float = field(init=False)

    def fit(self, jaccard: np.ndarray, confidence: np.ndarray) -> Self:
        """Find the confidence at which the measured Jaccard index falls below `min_jaccard`.

        Args:
            jaccard: (n,) of decisions on fields that the probabilities were not fitted on.
            confidence: (n,) of the same decisions.
        """
        order = np.argsort(confidence, kind="stable")
        # The threshold that separates fields below and above `min_jaccard` with the lowest total regret.
        regret = np.cumsum(jaccard[order] - self.min_jaccard)
        lowest = int(regret.argmin())
        self.threshold_ = float(np.nextafter(confidence[order[lowest]], 2)) if regret[lowest] < 0 else 0.0
        return self

    def predict(self, probability: np.ndarray, decided: np.ndarray) -> list[str]:
        """Return the status of each field.

        Args:
            probability: (n, classes), calibrated.
            decided: (n, classes), 0 or 1.

        Returns:
            `ok`, `unsure`, or `negative` where no location is decided and none is likely.
        """
        decided = check_truth(decided)
        confidence = compute_confidence(probability, decided)
        empty = ~decided.any(axis=1)
        status = np.where(empty | (confidence < self.threshold_), "unsure", "ok").astype("U8")
        status[empty & (confidence > 0.5)] = "negative"
        return [str(each) for each in status]
