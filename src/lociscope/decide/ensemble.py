"""Combines members: every way of combining is one formula, so that all are stored, applied and exported alike.

    s = Σ_m w[m, c] · g(p[m, n, c]) + b[c]          g: identity, square root or log odds
    p = s, or sigmoid(s), or sigmoid(s + √sigmoid(s) · X[:, c] + x[c]) where classes inform each other

Members are known by their position. Applying needs numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from lociscope.decide.calibration import Calibration
from lociscope.decide.checks import check_probability, check_truth
from lociscope.decide.logistic import class_logistic, logit, pooled_logistic, sigmoid
from lociscope.decide.metrics import log_losses
from lociscope.decide.prior import default_prior, shrink_counts
from lociscope.errors import Code, LociscopeError, UsageError, suggest

Combiner = Literal["best", "mean", "logits", "greedy", "weighted", "stacked"]
COMBINERS: tuple[Combiner, ...] = get_args(Combiner)
Scale = Literal["identity", "sqrt", "logit"]

SMALLEST = 1e-4
"""Probabilities are clipped to [1e-4, 1 − 1e-4] before log odds are summed (the resolution of float16)."""

MOST_VOTES = 20
"""Greedy selection ends here, or when nothing lowers the loss."""

OWN, OTHERS = 100.0, 300.0
"""Precisions of a class's own member weights around the common ones, and of the weights of other classes."""


@dataclass(frozen=True, slots=True)
class Ensemble:
    """A fitted combination.

    Attributes:
        combiner: How it was found.
        scale: What is summed: the probabilities, their square roots or their log odds.
        squash: Whether the sum is log odds, still to be squashed.
        weights_: (members, classes).
        intercepts_: (classes,).
        cross_: (classes, classes), what each class's √p adds to the log odds of each other; None adds nothing.
        shift_: (classes,), added with `cross_`.
    """

    combiner: Combiner
    scale: Scale
    squash: bool
    weights_: np.ndarray
    intercepts_: np.ndarray
    cross_: np.ndarray | None = None
    shift_: np.ndarray | None = None

    def predict(self, members: np.ndarray) -> np.ndarray:
        """Combined probabilities.

        Args:
            members: (members, n, classes), 0–1, in the order of the fit.

        Returns:
            (n, classes) of float64.

        Raises:
            LociscopeError: Another number of members or classes, or values that are no probabilities.
        """
        array = check_member_stack(members)
        if array.shape[::2] != self.weights_.shape:
            raise LociscopeError(
                f"The ensemble was fitted on {self.weights_.shape[0]} members of {self.weights_.shape[1]} classes; "
                f"received {array.shape[0]} of {array.shape[2]}. Pass the same members in the same order.",
                code=Code.INVALID_VALUE,
            )
        score = _summed(transform_scale(array, self.scale), self.weights_, self.intercepts_)
        if not self.squash:
            return np.asarray(np.clip(score, 0, 1))
        if self.cross_ is not None and self.shift_ is not None:
            score = np.asarray(score + np.sqrt(sigmoid(score)) @ self.cross_ + self.shift_)
        return sigmoid(score)


def _summed(values: np.ndarray, weights: np.ndarray, intercepts: np.ndarray) -> np.ndarray:
    return np.asarray(np.einsum("mnc,mc->nc", values, weights) + intercepts)


def check_member_stack(members: np.ndarray) -> np.ndarray:
    """Members' probabilities as float64 (members, n, classes), each checked."""
    array = np.asarray(members, np.float64)
    if array.ndim != 3 or array.shape[0] == 0:
        raise LociscopeError(
            f"Members are stacked as members × fields × classes; received {array.shape}.", code=Code.INVALID_VALUE
        )
    for position, member in enumerate(array):
        try:
            check_probability(member)
        except LociscopeError as error:
            raise LociscopeError(f"Member {position + 1}: {error}", code=Code.INVALID_VALUE) from error
    return array


def transform_scale(members: np.ndarray, scale: Scale) -> np.ndarray:
    """Probabilities on the scale that is summed.

    The square root keeps a saturated network (p = 1 for much of what it sees) from outvoting all others, as
    its log odds would, and still tells 0.001 from 0.01.
    """
    if scale == "identity":
        return members
    return np.asarray(np.sqrt(members)) if scale == "sqrt" else logit(members, SMALLEST)


def fit_ensemble(
    truth: np.ndarray, members: np.ndarray, combiner: Combiner = "stacked", prior: np.ndarray | None = None
) -> Ensemble:
    """Fits one way of combining; all members are considered.

    Args:
        truth: (n, classes), 0 or 1.
        members: (members, n, classes), 0–1, of networks that were not trained on these fields.
        combiner: `best` (the one member of least log loss when calibrated) · `mean` (of probabilities) · `logits`
            (mean of log odds) · `greedy` (forward selection with replacement, Caruana et al. 2004, on the log
            odds of calibrated members) · `weighted` (one weight per member, common to all classes, on √p) ·
            `stacked` (the same, and what each class's own fields and the other classes add to it, both shrunk).
        prior: (classes,) shares that class counts are drawn toward; default the competition's for 28 classes.

    Raises:
        LociscopeError: The arrays do not fit each other, or there is no such combiner.
    """
    known, array = check_truth(truth), check_member_stack(members)
    check_probability(array[0], known)
    count, _, classes = array.shape
    counts = shrink_counts(known, default_prior(classes) if prior is None else prior)
    if combiner in ("mean", "logits"):
        even = np.full((count, classes), 1 / count)
        scale: Scale = "identity" if combiner == "mean" else "logit"
        return Ensemble(combiner, scale, combiner == "logits", even, np.zeros(classes))
    if combiner in ("best", "greedy"):
        return _voted(known, array, combiner)
    if combiner == "weighted":
        return _weighted(known, array, counts)
    if combiner == "stacked":
        return _stacked(known, array, counts)
    raise UsageError(
        f"No way of combining is called {combiner!r}.{suggest(combiner, COMBINERS)}", code=Code.UNKNOWN_NAME
    )


def _voted(known: np.ndarray, members: np.ndarray, combiner: Combiner) -> Ensemble:
    """One member, or several with whole numbers of votes, each calibrated first: uncalibrated ones cannot meet."""
    odds = transform_scale(members, "logit")
    maps = [Calibration("platt", shrink=np.inf).fit(known, sigmoid(each)).coefficients_ for each in odds]
    slopes, shifts = np.stack([each[0] for each in maps]), np.stack([each[2] for each in maps])
    votes = _votes(known, odds * slopes[:, None] + shifts[:, None], 1 if combiner == "best" else MOST_VOTES)
    return Ensemble(combiner, "logit", True, votes[:, None] * slopes, votes @ shifts)


def _votes(known: np.ndarray, odds: np.ndarray, rounds: int) -> np.ndarray:
    """Shares of the members after greedy rounds, each of which adds the member that lowers the log loss most."""
    votes, total, least = np.zeros(len(odds)), np.zeros(known.shape), np.inf
    for step in range(1, rounds + 1):
        losses = [log_losses(known, sigmoid((total + each) / step)).mean() for each in odds]
        best = int(np.argmin(losses))
        if losses[best] >= least:
            break
        votes[best], total, least = votes[best] + 1, total + odds[best], losses[best]
    return np.asarray(votes / votes.sum())


def _weighted(known: np.ndarray, members: np.ndarray, counts: np.ndarray) -> Ensemble:
    features = transform_scale(members, "sqrt")
    middle = features.mean(axis=1)
    spread = np.maximum(features.std(axis=(1, 2)), 1e-6)
    centred = (features - middle[:, None]) / spread[:, None, None]
    common, intercepts = pooled_logistic(centred, known, counts)
    weights = np.repeat((common / spread)[:, None], known.shape[1], axis=1)
    return Ensemble("weighted", "sqrt", True, weights, intercepts - (weights * middle).sum(axis=0))


def _stacked(known: np.ndarray, members: np.ndarray, counts: np.ndarray) -> Ensemble:
    """`weighted`, then for each class its own deviation of the weights, then what the other classes add."""
    base = _weighted(known, members, counts)
    features = transform_scale(members, "sqrt")
    score = _summed(features, base.weights_, base.intercepts_)
    weights, intercepts = base.weights_.copy(), base.intercepts_.copy()
    spread = np.maximum(features.std(axis=(1, 2)), 1e-6)
    for label in range(known.shape[1]):
        deviation, shift = _deviation(
            features[:, :, label].T, spread, known[:, label], score[:, label], OWN, counts[label]
        )
        weights[:, label] += deviation
        intercepts[label] += shift
    score = _summed(features, weights, intercepts)
    others = np.sqrt(sigmoid(score))
    wide = np.full(known.shape[1], max(float(others.std(axis=0).mean()), 1e-6))
    columns = [
        _deviation(others, wide, known[:, label], score[:, label], OTHERS, counts[label])
        for label in range(known.shape[1])
    ]
    return replace(
        base,
        combiner="stacked",
        weights_=weights,
        intercepts_=intercepts,
        cross_=np.stack([column for column, _ in columns], axis=1),
        shift_=np.array([shift for _, shift in columns]),
    )


def _deviation(
    design: np.ndarray,
    spread: np.ndarray,
    known: np.ndarray,
    score: np.ndarray,
    precision: float,
    target: float,
) -> tuple[np.ndarray, float]:
    """Shrunk weights (d,) of unscaled features, and the shift, to be added to a class's log odds."""
    middle = design.mean(axis=0)
    fitted = class_logistic((design - middle) / spread, known, score, np.full(len(spread), precision), target)
    weights = fitted[:-1] / spread
    return weights, float(fitted[-1] - weights @ middle)
