"""From probabilities to decisions: one cut per class, by policies that differ in how much they trust the data.

What searching costs was measured by thinning frequent classes of ten real networks to a few positives, fitting
on one half and scoring on the other (`docs/logbooks/decide.md`): with 1–2 positives the searched cut reaches two
thirds to three quarters of the F1 that the expected-F1 cut does, and with 32 it is still behind.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Self, get_args

import numpy as np

from lociscope.decide.checks import check_probability, check_truth
from lociscope.decide.logistic import logit, sigmoid
from lociscope.decide.prior import default_prior, shrink_counts
from lociscope.errors import Code, UsageError, suggest

Policy = Literal["constant", "searched", "ratio", "shrunk", "expected"]
POLICIES: tuple[Policy, ...] = get_args(Policy)


@dataclass(slots=True)
class Thresholds:
    """One cut per class; `fit` chooses them, `predict` decides.

    | policy | cut of a class |
    |---|---|
    | `constant` | `value` |
    | `searched` | best F1 on the fields given, mean over `bags` resamples of them |
    | `ratio` | so that `value` × as many fields are decided as the prior-shrunk truth has positives |
    | `expected` | half the best expected F1, if each field is a positive with its probability |
    | `shrunk` | between `searched` and `expected`: n / (n + `pseudo`) of the way, n positives of the class |

    `expected` needs calibrated probabilities and looks at truth through them only: for calibrated p the best cut
    is half the best F1 (Lipton et al. 2014, arXiv:1402.1892).

    Attributes:
        policy: Which of the policies.
        value: Of `constant`, 0–1, default 0.3, and of `ratio`, 0–10, default 1.
        pseudo: Of `shrunk`: positives at which the two count alike.
        bags: Resamples that searched cuts are averaged over, in log odds; 0 takes the fields as they are.
        prior: (classes,) shares; default that of the competition for 28 classes.
        seed: Decides the resamples.
        thresholds_: (classes,), 0–1; a place is decided where its probability is at least this.
    """

    policy: Policy = "expected"
    value: float | None = None
    pseudo: float = 200.0
    bags: int = 40
    prior: np.ndarray | None = None
    seed: int = 0
    thresholds_: np.ndarray = field(init=False)

    def fit(self, truth: np.ndarray, probability: np.ndarray) -> Self:
        """Chooses the cuts.

        Args:
            truth: (n, classes), 0 or 1.
            probability: (n, classes), 0–1. Use probabilities that were not fitted on the same fields.

        Raises:
            LociscopeError: The arrays do not fit, or the policy or its value does not exist.
        """
        known = check_truth(truth)
        p = check_probability(probability, known)
        if self.policy == "constant":
            cuts = np.full(p.shape[1], self._checked_value(0.3, most=1.0))
        elif self.policy == "ratio":
            cuts = self._ratio(known, p)
        elif self.policy == "searched":
            cuts = self._searched(known, p)
        elif self.policy == "expected":
            cuts = best_expected_f1(p) / 2
        elif self.policy == "shrunk":
            cuts = self._shrunk(known, p)
        else:
            raise _unknown(self.policy)
        self.thresholds_ = np.clip(cuts, 0, 1)
        return self

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
        p = check_probability(probability, np.empty((len(probability), len(self.thresholds_))))
        decided = p >= self.thresholds_
        return fill_blank_rows(decided, p) if fill_blank else decided

    def _checked_value(self, default: float, most: float) -> float:
        value = default if self.value is None else self.value
        if not 0 <= value <= most:
            raise UsageError(
                f"The value of {self.policy!r} thresholds lies within 0–{most:g}; received {value}.",
                code=Code.INVALID_VALUE,
            )
        return value

    def _prior(self, classes: int) -> np.ndarray | None:
        return default_prior(classes) if self.prior is None else self.prior

    def _ratio(self, known: np.ndarray, p: np.ndarray) -> np.ndarray:
        share = self._checked_value(1.0, most=10.0)
        wanted = np.rint(share * shrink_counts(known, self._prior(p.shape[1]))).astype(int)
        return np.array([_middle(np.sort(column)[::-1], k) for column, k in zip(p.T, wanted, strict=True)])

    def _searched(self, known: np.ndarray, p: np.ndarray) -> np.ndarray:
        rng, n = np.random.default_rng(self.seed), len(p)
        rows = rng.multinomial(n, np.full(n, 1 / n), size=self.bags) if self.bags else np.ones((1, n))
        return np.array([_best_cut(y, score, rows) for y, score in zip(known.T, p.T, strict=True)])

    def _shrunk(self, known: np.ndarray, p: np.ndarray) -> np.ndarray:
        found = known.sum(axis=0)
        trust = found / (found + self.pseudo)
        return sigmoid(trust * logit(self._searched(known, p)) + (1 - trust) * logit(best_expected_f1(p) / 2))


def parse_policy(name: str) -> Policy:
    """The policy of that name; UsageError where there is none."""
    for policy in POLICIES:
        if name == policy:
            return policy
    raise _unknown(name)


def _unknown(name: str) -> UsageError:
    return UsageError(f"No policy {name!r} of thresholds.{suggest(name, POLICIES)}", code=Code.UNKNOWN_NAME)


def best_expected_f1(probability: np.ndarray) -> np.ndarray:
    """The highest F1 that each class can be expected to reach by one cut.

    Args:
        probability: (n, classes), calibrated: each the chance that the field is a positive.

    Returns:
        (classes,) in 0–1; the expectation of a quotient is taken as the quotient of expectations.
    """
    ordered = -np.sort(-probability, axis=0)
    hits = np.cumsum(ordered, axis=0)
    decided = np.arange(1, len(probability) + 1)[:, None]
    return np.asarray((2 * hits / np.maximum(decided + hits[-1:], 1e-12)).max(axis=0))


def _middle(descending: np.ndarray, k: int) -> float:
    """A cut that decides the k highest: halfway to the next one, in log odds."""
    k = min(max(k, 1), len(descending))
    below = descending[k] if k < len(descending) else descending[-1] / 2
    return float(_mean_in_log_odds(np.array([descending[k - 1], below])))


def _mean_in_log_odds(cuts: np.ndarray) -> np.ndarray:
    return sigmoid(logit(cuts, 1e-9).mean(axis=-1))


def _best_cut(known: np.ndarray, score: np.ndarray, rows: np.ndarray) -> float:
    """The cut of the best F1, mean over weightings of the fields.

    Args:
        known: (n,) truth.
        score: (n,) what is cut, 0–1.
        rows: (b, n) how often each field counts.
    """
    order = np.argsort(-score, kind="stable")
    ordered, weights = score[order], rows[:, order]
    hits, decided = np.cumsum(weights * known[order], axis=1), np.cumsum(weights, axis=1)
    seen = hits[:, -1] > 0
    if not seen.any():
        return 1.0  # no positive to learn from: nothing is decided
    ends = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    f1 = 2 * hits[seen][:, ends] / (decided[seen][:, ends] + hits[seen, -1:])
    best = ends[f1.argmax(axis=1)]
    below = np.append(ordered, ordered[-1] / 2)[best + 1]
    return float(_mean_in_log_odds(_mean_in_log_odds(np.stack([ordered[best], below], axis=1))))


def fill_blank_rows(decided: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Decisions in which each blank row has the place of its highest score (the first of a tie)."""
    result = np.array(decided, dtype=bool)
    blank = np.flatnonzero(~result.any(axis=1))
    result[blank, scores[blank].argmax(axis=1)] = True
    return result
