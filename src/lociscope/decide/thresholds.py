"""From probabilities to decisions: one cut per class, by policies that trust the data more or less."""

from dataclasses import dataclass

import numpy as np

from lociscope.decide.checks import checked_probability
from lociscope.errors import LociscopeError


@dataclass(frozen=True, slots=True)
class ConstantThreshold:
    """The same cut for every class: no optimism, no tuning. 0.15–0.3 served many a competitor best.

    Attributes:
        value: The cut, 0–1; a place is decided where its probability is at least this.
    """

    value: float = 0.5

    def fit(self, truth: np.ndarray, probability: np.ndarray) -> "Thresholds":
        """The thresholds; truth is not looked at."""
        if not 0 <= self.value <= 1:
            raise LociscopeError(f"A constant threshold lies within 0–1; received {self.value}.")
        return Thresholds(np.full(np.shape(probability)[1], self.value), "constant")


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Fitted cuts.

    Attributes:
        thresholds_: (classes,), 0–1.
        policy: The name of the policy that chose them.
    """

    thresholds_: np.ndarray
    policy: str

    def predict(self, probability: np.ndarray, *, fill_blank: bool = False) -> np.ndarray:
        """Decides.

        Args:
            probability: (n, classes), 0–1.
            fill_blank: Gives a field with no place its likeliest one, as the competition wants it. Outside
                the competition a forced place is a wrong one.

        Returns:
            (n, classes) of bool.

        Raises:
            LociscopeError: Another number of classes, or values that are no probabilities.
        """
        p = checked_probability(probability)
        if p.shape[1] != len(self.thresholds_):
            raise LociscopeError(
                f"There are {len(self.thresholds_)} thresholds; received probabilities of {p.shape[1]} "
                "classes."
            )
        decided = p >= self.thresholds_
        return filled(decided, p) if fill_blank else decided


def filled(decided: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Decisions in which each blank row has the place of its highest score (the first of a tie)."""
    result = np.array(decided, dtype=bool)
    blank = np.flatnonzero(~result.any(axis=1))
    result[blank, scores[blank].argmax(axis=1)] = True
    return result
