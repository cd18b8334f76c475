"""Choose one threshold per class, by policies that differ in how much they trust the data.

The cost of searching was measured by thinning frequent classes of ten real networks to a few positives, fitting
on one half and scoring on the other (`docs/logbooks/decide.md`): with 1–2 positives the searched threshold reaches two
thirds to three quarters of the F1 that the expected-F1 threshold reaches, and with 32 it is still behind.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Self, get_args

import numpy as np

from lociscope.decide.checks import check_probability, check_truth
from lociscope.decide.logistic import logit, sigmoid
from lociscope.decide.metrics import find_tie_ends
from lociscope.decide.prior import default_prior, shrink_counts
from lociscope.errors import Code, UsageError, suggest

Policy = Literal["constant", "searched", "ratio", "shrunk", "expected"]
POLICIES: tuple[Policy, ...] = get_args(Policy)


@dataclass(slots=True)
class Thresholds:
    """One threshold per class.

    | policy | threshold of a class |
    |---|---|
    | `constant` | `value` |
    | `searched` | best F1 on the given fields, mean over `bags` resamples of them |
    | `ratio` | so that `value` × as many fields are decided as the prior-shrunk truth has positives |
    | `expected` | half the best expected F1, if each field is a positive with its probability |
    | `shrunk` | between `searched` and `expected`: n / (n + `pseudo`) of the way, for n positives of the class |

    `expected` needs calibrated probabilities and does not use the truth: for calibrated p the best threshold is half
    the best F1 (Lipton et al. 2014, arXiv:1402.1892).

    Attributes:
        policy: How thresholds are chosen.
        value: For `constant`, 0–1, default 0.3; for `ratio`, 0–10, default 1.
        pseudo: For `shrunk`, the number of positives at which both thresholds have equal weight.
        bags: Number of resamples over which searched thresholds are averaged, in log odds; 0 uses the fields once.
        prior: (classes,) shares; by default those of the competition for 28 classes.
        seed: Random seed of the resamples.
        thresholds_: (classes,), 0–1; a location is decided where its probability is at least this.
    """

    policy: Policy = "expected"
    value: float | None = None
    pseudo: float = 200.0
    bags: int = 40
    prior: np.ndarray | None = None
    seed: int = 0
    thresholds_: np.ndarray = field(init=False)

    def fit(self, truth: np.ndarray, probability: np.ndarray) -> Self:
        """Choose the thresholds.

        Args:
            truth: (n, classes), 0 or 1.
            probability: (n, classes), 0–1. Use probabilities that were not fitted on the same fields.

        Raises:
            LociscopeError: The shapes do not match, the policy does not exist, or its value is out of range.
        """
        truth = check_truth(truth)
        p = check_probability(probability, truth)
        if self.policy == "constant":
            thresholds = np.full(p.shape[1], self._check_value(0.3, maximum=1.0))
        elif self.policy == "ratio":
            thresholds = self._match_ratio(truth, p)
        elif self.policy == "searched":
            thresholds = self._search(truth, p)
        elif self.policy == "expected":
            thresholds = best_expected_f1(p) / 2
        elif self.policy == "shrunk":
            thresholds = self._shrink(truth, p)
        else:
            raise _unknown_policy(self.policy)
        self.thresholds_ = np.clip(thresholds, 0, 1)
        return self

    def predict(self, probability: np.ndarray, *, fill_blank: bool = False) -> np.ndarray:
        """Decide the locations.

        Args:
            probability: (n, classes), 0–1.
            fill_blank: Give a field without a location its likeliest one, as the competition requires. Outside the
                competition such a location is usually wrong.

        Returns:
            (n, classes) of bool.

        Raises:
            LociscopeError: The number of classes differs, or a value is not a probability.
        """
        p = check_probability(probability, np.empty((len(probability), len(self.thresholds_))))
        decided = p >= self.thresholds_
        return fill_blank_rows(decided, p) if fill_blank else decided

    def _check_value(self, default: float, maximum: float) -> float:
        value = default if self.value is None else self.value
        if not 0 <= value <= maximum:
            raise UsageError(
                f"`value` of {self.policy!r} thresholds must be within 0–{maximum:g}; received {value}. "
                "Pass a value in that range.",
                code=Code.INVALID_VALUE,
            )
        return value

    def _prior(self, classes: int) -> np.ndarray | None:
        return default_prior(classes) if self.prior is None else self.prior

    def _match_ratio(self, truth: np.ndarray, p: np.ndarray) -> np.ndarray:
        ratio = self._check_value(1.0, maximum=10.0)
        counts = np.rint(ratio * shrink_counts(truth, self._prior(p.shape[1]))).astype(int)
        return np.array([_threshold_of_top(np.sort(column)[::-1], k) for column, k in zip(p.T, counts, strict=True)])

    def _search(self, truth: np.ndarray, p: np.ndarray) -> np.ndarray:
        rng, n = np.random.default_rng(self.seed), len(p)
        rows = rng.multinomial(n, np.full(n, 1 / n), size=self.bags) if self.bags else np.ones((1, n))
        return np.array([_search_class(y, score, rows) for y, score in zip(truth.T, p.T, strict=True)])

    def _shrink(self, truth: np.ndarray, p: np.ndarray) -> np.ndarray:
        positives = truth.sum(axis=0)
        weight = positives / (positives + self.pseudo)
        return sigmoid(weight * logit(self._search(truth, p)) + (1 - weight) * logit(best_expected_f1(p) / 2))


def parse_policy(name: str) -> Policy:
    """Return the policy with that name; raise UsageError where there is none."""
    for policy in POLICIES:
        if name == policy:
            return policy
    raise _unknown_policy(name)


def _unknown_policy(name: str) -> UsageError:
    return UsageError(f"{name!r} is not a threshold policy.{suggest(name, POLICIES)}", code=Code.UNKNOWN_NAME)


def best_expected_f1(probability: np.ndarray) -> np.ndarray:
    """Return the highest F1 that each class can be expected to reach with one threshold.

    Args:
        probability: (n, classes), calibrated: the chance that the field is a positive.

    Returns:
        (classes,) in 0–1; the expectation of the quotient is approximated by the quotient of expectations.
    """
    ordered = -np.sort(-probability, axis=0)
    hits = np.cumsum(ordered, axis=0)
    decided = np.arange(1, len(probability) + 1)[:, None]
    return np.asarray((2 * hits / np.maximum(decided + hits[-1:], 1e-12)).max(axis=0))


def _threshold_of_top(descending: np.ndarray, k: int) -> float:
    """Return a threshold that decides the k highest values: halfway to the next value, in log odds."""
    k = min(max(k, 1), len(descending))
    below = descending[k] if k < len(descending) else descending[-1] / 2
    return float(_mean_in_log_odds(np.array([descending[k - 1], below])))


def _mean_in_log_odds(thresholds: np.ndarray) -> np.ndarray:
    return sigmoid(logit(thresholds, 1e-9).mean(axis=-1))


def _search_class(truth: np.ndarray, score: np.ndarray, rows: np.ndarray) -> float:
    """Return the threshold of the best F1 of one class, mean over weightings of the fields.

    Args:
        truth: (n,), 0 or 1.
        score: (n,), 0–1.
        rows: (b, n) how often each field counts.
    """
    order = np.argsort(-score, kind="stable")
    ordered, weights = score[order], rows[:, order]
    hits, decided = np.cumsum(weights * truth[order], axis=1), np.cumsum(weights, axis=1)
    defined = hits[:, -1] > 0
    if not defined.any():
        return 1.0  # without positives no F1 is defined, and nothing is decided
    ends = find_tie_ends(ordered)
    f1 = 2 * hits[defined][:, ends] / (decided[defined][:, ends] + hits[defined, -1:])
    best = ends[f1.argmax(axis=1)]
    below = np.append(ordered, ordered[-1] / 2)[best + 1]
    return float(_mean_in_log_odds(_mean_in_log_odds(np.stack([ordered[best], below], axis=1))))


def fill_blank_rows(decided: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Give each row without a location that of its highest score (the first of a tie).

    Args:
        decided: (n, classes), 0 or 1.
        scores: (n, classes).

    Returns:
        (n, classes) of bool.
    """
    result = np.array(decided, dtype=bool)
    empty = np.flatnonzero(~result.any(axis=1))
    result[empty, scores[empty].argmax(axis=1)] = True
    return result
