"""Knowing what it does not know: prediction sets with a promised coverage, and fields that deserve no belief."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np

from lociscope.decide.checks import check_probability, check_truth
from lociscope.errors import Code, LociscopeError, UsageError


@dataclass(slots=True)
class PredictionSets:
    """Sets of places that hold all true places of a field with a promised probability (split conformal).

    A field's score is the lowest probability among its true places; the cut is the score's lower quantile with the
    finite-sample correction (Vovk et al. 2005; for label sets Cauchois et al. 2021, JMLR 22:81). The promise
    holds for new fields exchangeable with those of the fit, on average over fields, not for each class.

    Attributes:
        coverage: Promised share of fields whose true places all lie in their sets, above 0 and below 1.
        threshold_: A place is in the set where its probability is at least this.
        n_: How many labelled fields it rests on.
    """

    coverage: float = 0.9
    threshold_: float = field(init=False)
    n_: int = field(init=False)

    def fit(self, truth: np.ndarray, probability: np.ndarray) -> Self:
        """Chooses the cut on fields that the probabilities were not fitted on; unlabelled ones are passed over.

        Raises:
            LociscopeError: No labelled field, or a coverage that does not exist.
        """
        if not 0 < self.coverage < 1:
            raise UsageError(
                f"The coverage of prediction sets lies above 0 and below 1; received {self.coverage}.",
                code=Code.INVALID_VALUE,
            )
        known = check_truth(truth)
        p = check_probability(probability, known)
        labelled = known.any(axis=1)
        if not labelled.any():
            raise LociscopeError(
                "Prediction sets need fields with a label; received none. Give labelled fields.",
                code=Code.INVALID_LABELS,
            )
        scores = np.sort(np.where(known, p, np.inf).min(axis=1)[labelled])
        self.n_ = len(scores)
        rank = int(np.floor((1 - self.coverage) * (self.n_ + 1)))
        self.threshold_ = float(scores[rank - 1]) if rank >= 1 else 0.0  # too few fields: everything is in the set
        return self

    def predict(self, probability: np.ndarray) -> np.ndarray:
        """(n, classes) of bool: the places that cannot be ruled out."""
        return np.asarray(check_probability(probability) >= self.threshold_)


def measure_coverage(truth: np.ndarray, sets: np.ndarray) -> float:
    """Share of labelled fields whose true places all lie in their sets; NaN without labelled fields."""
    known = check_truth(truth)
    labelled = known.any(axis=1)
    inside = ~(known & ~sets).any(axis=1)
    return float(inside[labelled].mean()) if labelled.any() else float("nan")


def compute_confidence(probability: np.ndarray, decided: np.ndarray) -> np.ndarray:
    """How right a decision is expected to be: expected hits / (decided + expected misses), near its Jaccard index.

    Args:
        probability: (n, classes), calibrated.
        decided: (n, classes), 0 or 1.

    Returns:
        (n,) in 0–1; for a blank decision the probability that there is indeed no place.
    """
    p = check_probability(probability)
    chosen = check_truth(decided)
    count = chosen.sum(axis=1)
    hits, misses = np.where(chosen, p, 0).sum(axis=1), np.where(chosen, 0, p).sum(axis=1)
    sure = hits / np.maximum(count + misses, 1e-12)
    return np.asarray(np.where(count > 0, sure, np.prod(1 - p, axis=1)))


@dataclass(slots=True)
class UnsureRule:
    """Tells fields whose decision is more likely wrong than right.

    Attributes:
        right: A decision must be expected to reach this Jaccard index, 0–1.
        threshold_: Fields of less `confidence` are unsure.
    """

    right: float = 0.5
    threshold_: float = field(init=False)

    def fit(self, jaccard: np.ndarray, sure: np.ndarray) -> Self:
        """Finds the confidence at which the measured Jaccard index falls below `right`.

        Args:
            jaccard: (n,) of decisions on fields that were not fitted on.
            sure: (n,) their confidence.
        """
        order = np.argsort(sure, kind="stable")
        # The cut that parts the fields into below and above `right` with the least total regret.
        regret = np.cumsum(jaccard[order] - self.right)
        least = int(regret.argmin())
        self.threshold_ = float(np.nextafter(sure[order[least]], 2)) if regret[least] < 0 else 0.0
        return self

    def predict(self, probability: np.ndarray, decided: np.ndarray) -> list[str]:
        """The status of each field: `ok`, `unsure`, or `negative` where no place is decided and none is likely."""
        chosen = check_truth(decided)
        sure = compute_confidence(probability, chosen)
        blank = ~chosen.any(axis=1)
        status = np.where(blank | (sure < self.threshold_), "unsure", "ok").astype("U8")
        status[blank & (sure > 0.5)] = "negative"
        return [str(each) for each in status]
