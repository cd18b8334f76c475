"""Makes probabilities mean what they say, with rare classes drawn toward what all classes share.

Temperature, Platt and beta calibration (Kull et al. 2017, AISTATS) are one map, log odds of
a·ln p − b·ln(1 − p) + c, with fewer or more of its parameters free; isotonic regression is a staircase.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Self, get_args

import numpy as np

from lociscope.decide.checks import check_probability, check_truth
from lociscope.decide.logistic import class_logistic, pooled_logistic, sigmoid
from lociscope.decide.prior import default_prior, shrink_counts
from lociscope.errors import Code, LociscopeError, UsageError, suggest

Method = Literal["none", "temperature", "platt", "beta", "isotonic"]
METHODS: tuple[Method, ...] = get_args(Method)
SMALLEST = 1e-6


@dataclass(slots=True)
class Calibration:
    """A monotone map of each class's probabilities; `fit` learns it, `predict` applies it (numpy only).

    All but `temperature` and `none` first learn one shape for all classes together, with an intercept per class,
    and then let each class deviate as far as its positives warrant.

    Attributes:
        method: `temperature` (one number for all classes), `platt`, `beta`, `isotonic`, or `none`.
        shrink: How firmly a class is held to the common shape: precision of the deviations (`platt`, `beta`), or
            positives at which staircase and common shape count alike (`isotonic`). Infinite: no deviations.
        prior: (classes,) shares that class counts are drawn toward; default the competition's for 28 classes.
        coefficients_: (3, classes) a, b, c of the map above; of `isotonic`, the common shape.
        stairs_: Of `isotonic`, for each class its (x, y) knots in probability; else empty.
        trust_: (classes,) of `isotonic`: weight of the staircase, 0–1.
    """

    method: Method = "platt"
    shrink: float = 1000.0
    prior: np.ndarray | None = None
    coefficients_: np.ndarray = field(init=False)
    stairs_: list[tuple[np.ndarray, np.ndarray]] = field(init=False, default_factory=list)
    trust_: np.ndarray = field(init=False)

    def fit(self, truth: np.ndarray, probability: np.ndarray) -> Self:
        """Learns the map.

        Args:
            truth: (n, classes), 0 or 1.
            probability: (n, classes), 0–1, of a model that was not fitted on these fields.

        Raises:
            LociscopeError: The arrays do not fit each other, or the method does not exist.
            MissingExtraError: `isotonic` without scikit-learn.
        """
        if self.method not in METHODS:
            raise UsageError(f"No calibration {self.method!r}.{suggest(self.method, METHODS)}", code=Code.UNKNOWN_NAME)
        known = check_truth(truth)
        p = check_probability(probability, known)
        classes = p.shape[1]
        self.stairs_, self.trust_ = [], np.zeros(classes)
        self.coefficients_ = np.stack([np.ones(classes), np.ones(classes), np.zeros(classes)])
        if self.method == "temperature":
            self.coefficients_[:2] = _temperature(known, _terms(p).sum(axis=0))
        elif self.method != "none":
            prior = default_prior(classes) if self.prior is None else self.prior
            self.coefficients_ = _shared(known, _terms(p), shrink_counts(known, prior), self._free(), self.shrink)
        if self.method == "isotonic":
            found = known.sum(axis=0)
            self.trust_ = found / (found + self.shrink)
            self.stairs_ = [_staircase(y, x) for y, x in zip(known.T, p.T, strict=True)]
        return self

    def predict(self, probability: np.ndarray) -> np.ndarray:
        """Calibrated probabilities (n, classes), float64."""
        p = check_probability(probability)
        if p.shape[1] != self.coefficients_.shape[1]:
            raise LociscopeError(
                f"Calibrated for {self.coefficients_.shape[1]} classes; received probabilities of {p.shape[1]}.",
                code=Code.INVALID_VALUE,
            )
        if self.method == "none":
            return p
        a, b, c = self.coefficients_
        up, down = _terms(p)
        smooth = sigmoid(a * up + b * down + c)
        if not self.stairs_:
            return smooth
        steps = np.stack([np.interp(x, *knots) for x, knots in zip(p.T, self.stairs_, strict=True)], axis=1)
        return np.asarray(self.trust_ * steps + (1 - self.trust_) * smooth)

    def _free(self) -> np.ndarray:
        """Rows are the free shape parameters, as combinations of a and b."""
        return np.array([[1.0, 1.0]]) if self.method in ("platt", "isotonic") else np.eye(2)


def _terms(p: np.ndarray) -> np.ndarray:
    """(2, n, classes): ln p and −ln(1 − p); their sum is the log odds."""
    q = np.clip(p, SMALLEST, 1 - SMALLEST)
    return np.stack([np.log(q), -np.log1p(-q)])


def _temperature(known: np.ndarray, log_odds: np.ndarray) -> float:
    """1 / temperature, by Newton's method on the one number; kept positive."""
    scale = 1.0
    for _ in range(50):
        p = sigmoid(scale * log_odds)
        step = ((p - known) * log_odds).sum() / max(1e-9, (p * (1 - p) * log_odds**2).sum())
        new = max(scale - step, scale / 4)
        if abs(new - scale) < 1e-9:
            break
        scale = new
    return float(scale)


def _shared(known: np.ndarray, terms: np.ndarray, targets: np.ndarray, free: np.ndarray, shrink: float) -> np.ndarray:
    """(3, classes): a, b, c of every class."""
    features = np.einsum("ft,tnc->fnc", free, terms)
    middle = features.mean(axis=1)
    centred = features - middle[:, None]
    shape, intercepts = pooled_logistic(centred, known, targets)
    slopes = np.repeat(shape[:, None], known.shape[1], axis=1)
    if np.isfinite(shrink):
        for label in range(known.shape[1]):
            design = centred[:, :, label].T
            offset = design @ shape + intercepts[label]
            precision = np.full(len(free), shrink)
            *deviation, shift = class_logistic(design, known[:, label], offset, precision, targets[label])
            slopes[:, label] += deviation
            intercepts[label] += shift
    slopes = np.maximum(slopes, 0)  # a calibration never turns the order round
    return np.concatenate([free.T @ slopes, [intercepts - (slopes * middle).sum(axis=0)]])


def _staircase(known: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    try:
        from sklearn.isotonic import IsotonicRegression
    except ImportError:
        from lociscope.errors import MissingExtraError

        raise MissingExtraError("Isotonic calibration", "fit") from None
    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(p, known.astype(np.float64))
    return fitted.X_thresholds_, fitted.y_thresholds_
