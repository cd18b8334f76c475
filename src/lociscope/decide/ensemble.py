"""Combine the members of an ensemble.

All combiners are instances of one formula, so that they are stored, applied and exported in the same way:

    s = Σ_m w[m, c] · g(p[m, n, c]) + b[c]          g: identity, square root or log odds
    p = s, or sigmoid(s), or sigmoid(s + √sigmoid(s) · X[:, c] + x[c]) where classes inform each other

Members are identified by their position. Applying needs numpy only. A member may know some of the classes: the
probabilities of the others are NaN and its weights there 0. Classes that the same members know are fitted together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from lociscope.decide.calibration import Calibration
from lociscope.decide.checks import check_probability, check_shape, check_truth
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
"""Greedy selection stops here, or earlier when no member lowers the loss."""

OWN_PRECISION, OTHERS_PRECISION = 100.0, 300.0
"""Precisions of the member weights of one class around the common weights, and of the weights of other classes."""


@dataclass(frozen=True, slots=True)
class Ensemble:
    """A fitted combination.

    Attributes:
        combiner: The combiner that fitted it.
        scale: What is summed: the probabilities, their square roots or their log odds.
        squash: Whether the sum is log odds, to which the sigmoid still has to be applied.
        weights_: (members, classes).
        intercepts_: (classes,).
        cross_: (classes, classes), what √p of each class adds to the log odds of each other class; None adds nothing.
        shift_: (classes,), added together with `cross_`.
    """

    combiner: Combiner
    scale: Scale
    squash: bool
    weights_: np.ndarray
    intercepts_: np.ndarray
    cross_: np.ndarray | None = None
    shift_: np.ndarray | None = None

    def predict(self, members: np.ndarray) -> np.ndarray:
        """Return the combined probabilities.

        Args:
            members: (members, n, classes), 0–1, in the order of the fit; NaN for a class that a member does not know.

        Returns:
            (n, classes) of float64.

        Raises:
            LociscopeError: The number of members or classes differs, or a value is not a probability.
        """
        array = check_member_stack(members)
        if array.shape[::2] != self.weights_.shape:
            raise LociscopeError(
                f"The ensemble was fitted on {self.weights_.shape[0]} members of {self.weights_.shape[1]} classes; "
                f"received {array.shape[0]} of {array.shape[2]}. Pass the same members in the same order.",
                code=Code.INVALID_VALUE,
            )
        lacking = (~find_known_members(array) & (self.weights_ != 0)).any(axis=1)
        if lacking.any():
            raise LociscopeError(
                f"Member {int(lacking.argmax()) + 1} does not know classes that it knew when the ensemble was fitted. "
                "Pass the same members in the same order.",
                code=Code.INVALID_VALUE,
            )
        score = _weighted_sum(np.nan_to_num(transform_scale(array, self.scale)), self.weights_, self.intercepts_)
        if not self.squash:
            return np.asarray(np.clip(score, 0, 1))
        if self.cross_ is not None and self.shift_ is not None:
            score = np.asarray(score + np.sqrt(sigmoid(score)) @ self.cross_ + self.shift_)
        return sigmoid(score)


def _weighted_sum(values: np.ndarray, weights: np.ndarray, intercepts: np.ndarray) -> np.ndarray:
    return np.asarray(np.einsum("mnc,mc->nc", values, weights) + intercepts)


def check_member_stack(members: np.ndarray) -> np.ndarray:
    """Return the probabilities of the members as float64 (members, n, classes), after checking each member."""
    array = np.asarray(members, np.float64)
    if array.ndim != 3 or array.shape[0] == 0:
        raise LociscopeError(
            f"`members` must be an array (members, fields, classes); received the shape {array.shape}. "
            "Stack the probabilities of the members.",
            code=Code.INVALID_VALUE,
        )
    known = find_known_members(array)
    for position, member in enumerate(array):
        try:
            check_probability(member if known[position].all() else member[:, known[position]])
        except LociscopeError as error:
            raise LociscopeError(f"Member {position + 1}: {error}", code=error.code) from error
    unknown = np.flatnonzero(~known.any(axis=0))
    if unknown.size:
        raise LociscopeError(
            f"No member knows the classes {', '.join(map(str, unknown))}. Add a member that does.",
            code=Code.INVALID_VALUE,
        )
    return array


def find_known_members(members: np.ndarray) -> np.ndarray:
    """Return which classes each member knows, (members, classes) of bool: they have a probability in some field."""
    return np.asarray(~np.isnan(members).all(axis=1))


def transform_scale(members: np.ndarray, scale: Scale) -> np.ndarray:
    """Transform probabilities to the scale on which members are summed.

    The square root keeps a saturated network (p = 1 for many fields) from dominating the others, as its log odds
    would, and still distinguishes 0.001 from 0.01.
    """
    if scale == "identity":
        return members
    return np.asarray(np.sqrt(members)) if scale == "sqrt" else logit(members, SMALLEST)


def fit_ensemble(
    truth: np.ndarray, members: np.ndarray, combiner: Combiner = "stacked", prior: np.ndarray | None = None
) -> Ensemble:
    """Fit a combiner on all members.

    Args:
        truth: (n, classes), 0 or 1.
        members: (members, n, classes), 0–1, from networks that were not trained on these fields.
        combiner: `best` (the member with the lowest log loss after calibration) · `mean` (of probabilities) ·
            `logits` (mean of log odds) · `greedy` (forward selection with replacement, Caruana et al. 2004, on the
            log odds of calibrated members) · `weighted` (one weight per member, common to all classes, on √p) ·
            `stacked` (the same plus what the fields of each class and the other classes add, both shrunk).
        prior: (classes,) shares that class counts are shrunk toward; by default those of the competition for 28
            classes.

    Raises:
        LociscopeError: The shapes do not match, or the combiner does not exist.
    """
    truth, members = check_truth(truth), check_member_stack(members)
    check_shape("Probabilities", members[0], truth)
    count, _, classes = members.shape
    known = find_known_members(members)
    if not known.all() and combiner in COMBINERS:
        return _fit_apart(truth, members, known, combiner, default_prior(classes) if prior is None else prior)
    counts = shrink_counts(truth, default_prior(classes) if prior is None else prior)
    if combiner in ("mean", "logits"):
        even = np.full((count, classes), 1 / count)
        scale: Scale = "identity" if combiner == "mean" else "logit"
        return Ensemble(combiner, scale, combiner == "logits", even, np.zeros(classes))
    if combiner in ("best", "greedy"):
        return _fit_votes(truth, members, combiner)
    if combiner == "weighted":
        return _fit_weighted(truth, members, counts)
    if combiner == "stacked":
        return _fit_stacked(truth, members, counts)
    raise UsageError(f"{combiner!r} is not a combiner.{suggest(combiner, COMBINERS)}", code=Code.UNKNOWN_NAME)


def _fit_apart(
    truth: np.ndarray, members: np.ndarray, known: np.ndarray, combiner: Combiner, prior: np.ndarray | None
) -> Ensemble:
    """Fit the classes that the same members know together, and other classes apart."""
    weights, intercepts = np.zeros(known.shape), np.zeros(known.shape[1])
    cross, shift = np.zeros((known.shape[1],) * 2), np.zeros(known.shape[1])
    fitted: Ensemble | None = None
    for pattern in np.unique(known, axis=1).T:
        classes, those = np.flatnonzero((known == pattern[:, None]).all(axis=0)), np.flatnonzero(pattern)
        fitted = fit_ensemble(
            truth[:, classes], members[np.ix_(those, np.arange(len(truth)), classes)], combiner,
            None if prior is None else prior[classes],
        )  # fmt: skip
        weights[np.ix_(those, classes)], intercepts[classes] = fitted.weights_, fitted.intercepts_
        if fitted.cross_ is not None and fitted.shift_ is not None:
            cross[np.ix_(classes, classes)], shift[classes] = fitted.cross_, fitted.shift_
    assert fitted is not None  # noqa: S101 - there is a class
    informed = fitted.cross_ is not None
    return replace(
        fitted,
        weights_=weights,
        intercepts_=intercepts,
        cross_=cross if informed else None,
        shift_=shift if informed else None,
    )


def _fit_votes(truth: np.ndarray, members: np.ndarray, combiner: Combiner) -> Ensemble:
    """Select one member, or several with whole numbers of votes; log odds can only be averaged once calibrated."""
    odds = transform_scale(members, "logit")
    maps = [Calibration("platt", shrink=np.inf).fit(truth, sigmoid(each)).coefficients_ for each in odds]
    slopes, shifts = np.stack([each[0] for each in maps]), np.stack([each[2] for each in maps])
    votes = _select_greedily(truth, odds * slopes[:, None] + shifts[:, None], 1 if combiner == "best" else MOST_VOTES)
    return Ensemble(combiner, "logit", True, votes[:, None] * slopes, votes @ shifts)


def _select_greedily(truth: np.ndarray, odds: np.ndarray, rounds: int) -> np.ndarray:
    """Return the share of each member after greedy rounds, each adding the member that lowers the log loss most."""
    votes, total, lowest = np.zeros(len(odds)), np.zeros(truth.shape), np.inf
    for step in range(1, rounds + 1):
        losses = [log_losses(truth, sigmoid((total + each) / step)).mean() for each in odds]
        best = int(np.argmin(losses))
        if losses[best] >= lowest:
            break
        votes[best], total, lowest = votes[best] + 1, total + odds[best], losses[best]
    return np.asarray(votes / votes.sum())


def _fit_weighted(truth: np.ndarray, members: np.ndarray, counts: np.ndarray) -> Ensemble:
    features = transform_scale(members, "sqrt")
    mean = features.mean(axis=1)
    spread = np.maximum(features.std(axis=(1, 2)), 1e-6)
    centred = (features - mean[:, None]) / spread[:, None, None]
    common, intercepts = pooled_logistic(centred, truth, counts)
    weights = np.repeat((common / spread)[:, None], truth.shape[1], axis=1)
    return Ensemble("weighted", "sqrt", True, weights, intercepts - (weights * mean).sum(axis=0))


def _fit_stacked(truth: np.ndarray, members: np.ndarray, counts: np.ndarray) -> Ensemble:
    """Fit `weighted`, then the deviation of the weights of each class, then what the other classes add."""
    base = _fit_weighted(truth, members, counts)
    features = transform_scale(members, "sqrt")
    score = _weighted_sum(features, base.weights_, base.intercepts_)
    weights, intercepts = base.weights_.copy(), base.intercepts_.copy()
    spread = np.maximum(features.std(axis=(1, 2)), 1e-6)
    for label in range(truth.shape[1]):
        deviation, shift = _fit_deviation(
            features[:, :, label].T, spread, truth[:, label], score[:, label], OWN_PRECISION, counts[label]
        )
        weights[:, label] += deviation
        intercepts[label] += shift
    score = _weighted_sum(features, weights, intercepts)
    others = np.sqrt(sigmoid(score))
    wide = np.full(truth.shape[1], max(float(others.std(axis=0).mean()), 1e-6))
    columns = [
        _fit_deviation(others, wide, truth[:, label], score[:, label], OTHERS_PRECISION, counts[label])
        for label in range(truth.shape[1])
    ]
    return replace(
        base,
        combiner="stacked",
        weights_=weights,
        intercepts_=intercepts,
        cross_=np.stack([column for column, _ in columns], axis=1),
        shift_=np.array([shift for _, shift in columns]),
    )


def _fit_deviation(
    design: np.ndarray,
    spread: np.ndarray,
    truth: np.ndarray,
    score: np.ndarray,
    precision: float,
    target: float,
) -> tuple[np.ndarray, float]:
    """Return shrunk weights (d,) of unscaled features and a shift, to be added to the log odds of a class."""
    mean = design.mean(axis=0)
    fitted = class_logistic((design - mean) / spread, truth, score, np.full(len(spread), precision), target)
    weights = fitted[:-1] / spread
    return weights, float(fitted[-1] - weights @ mean)
