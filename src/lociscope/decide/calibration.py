"""Calibrate probabilities; rare classes are shrunk toward a map that all classes share.

Temperature, Platt and beta calibration (Kull et al. 2017, AISTATS) are the same map, log odds =
a·ln p − b·ln(1 − p) + c, with fewer or more free parameters; isotonic regression is a step function.
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
    """A monotone map of the probabilities of each class.

    Methods other than `temperature` and `none` first fit one shape for all classes, with an intercept per class, and
    then let each class deviate as far as its number of positives supports.

    Attributes:
        method: `temperature` (one number for all classes), `platt`, `beta`, `isotonic`, or `none`.
        shrink: Strength of the shrinkage toward the common shape: the precision of the deviations (`platt`, `beta`),
            or the number of positives at which the step function and the common shape have equal weight
            (`isotonic`). Infinite allows no deviations.
        prior: (classes,) shares that class counts are shrunk toward; by default those of the competition for 28
            classes.
        coefficients_: (3, classes) a, b, c of the map above; for `isotonic`, of the common shape.
        steps_: For `isotonic`, the (x, y) knots of each class in probability; empty otherwise.
        step_weight_: (classes,) For `isotonic`, the weight of the step function, 0–1.
    """

    method: Method = "platt"
    shrink: float = 1000.0
    prior: np.ndarray | None = None
    coefficients_: np.ndarray = field(init=False)
    steps_: list[tuple[np.ndarray, np.ndarray]] = field(init=False, default_factory=list)
    step_weight_: np.ndarray = field(init=False)

    def fit(self, truth: np.ndarray, probability: np.ndarray) -> Self:
        """Fit the map.

        Args:
            truth: (n, classes), 0 or 1.
            probability: (n, classes), 0–1, from a model that was not fitted on these fields.

        Raises:
            LociscopeError: The shapes do not match, or the method does not exist.
            MissingExtraError: `isotonic` without scikit-learn.
        """
        if self.method not in METHODS:
            raise UsageError(
                f"{self.method!r} is not a calibration method.{suggest(self.method, METHODS)}", code=Code.UNKNOWN_NAME
            )
        truth = check_truth(truth)
        p = check_probability(probability, truth)
        classes = p.shape[1]
        self.steps_, self.step_weight_ = [], np.zeros(classes)
        self.coefficients_ = np.stack([np.ones(classes), np.ones(classes), np.zeros(classes)])
        if self.method == "temperature":
            self.coefficients_[:2] = _fit_temperature(truth, _log_terms(p).sum(axis=0))
        elif self.method != "none":
            prior = default_prior(classes) if self.prior is None else self.prior
            targets = shrink_counts(truth, prior)
            self.coefficients_ = _fit_coefficients(truth, _log_terms(p), targets, self._free_directions(), self.shrink)
        if self.method == "isotonic":
            positives = truth.sum(axis=0)
            self.step_weight_ = positives / (positives + self.shrink)
            self.steps_ = [_fit_steps(y, x) for y, x in zip(truth.T, p.T, strict=True)]
        return self

    def predict(self, probability: np.ndarray) -> np.ndarray:
        """Return calibrated probabilities (n, classes), float64."""
        p = check_probability(probability)
        if p.shape[1] != self.coefficients_.shape[1]:
            raise LociscopeError(
                f"The calibration was fitted for {self.coefficients_.shape[1]} classes; received probabilities of "
                f"{p.shape[1]}. Pass the probabilities of the same classes.",
                code=Code.INVALID_VALUE,
            )
        if self.method == "none":
            return p
        smooth = apply_coefficients(p, self.coefficients_)
        if not self.steps_:
            return smooth
        steps = np.stack([np.interp(x, *knots) for x, knots in zip(p.T, self.steps_, strict=True)], axis=1)
        return np.asarray(self.step_weight_ * steps + (1 - self.step_weight_) * smooth)

    def _free_directions(self) -> np.ndarray:
        """Return the free shape parameters as rows, each a combination of a and b."""
        return np.array([[1.0, 1.0]]) if self.method in ("platt", "isotonic") else np.eye(2)


def apply_coefficients(p: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """Return calibrated probabilities.

    Args:
        p: (n, classes) in 0–1; NaN is kept.
        coefficients: (3, classes), a, b, c of the map of this module.
    """
    a, b, c = coefficients
    up, down = _log_terms(p)
    return sigmoid(a * up + b * down + c)


def _log_terms(p: np.ndarray) -> np.ndarray:
    """Return (2, n, classes): ln p and −ln(1 − p), whose sum is the log odds."""
    q = np.clip(p, SMALLEST, 1 - SMALLEST)
    return np.stack([np.log(q), -np.log1p(-q)])


def _fit_temperature(truth: np.ndarray, log_odds: np.ndarray) -> float:
    """Return 1 / temperature, found by Newton's method and always positive."""
    scale = 1.0
    for _ in range(50):
        p = sigmoid(scale * log_odds)
        step = ((p - truth) * log_odds).sum() / max(1e-9, (p * (1 - p) * log_odds**2).sum())
        new = max(scale - step, scale / 4)
        if abs(new - scale) < 1e-9:
            break
        scale = new
    return float(scale)


def _fit_coefficients(
    truth: np.ndarray, terms: np.ndarray, targets: np.ndarray, free: np.ndarray, shrink: float
) -> np.ndarray:
    """Return (3, classes): a, b, c of every class."""
    features = np.einsum("ft,tnc->fnc", free, terms)
    mean = features.mean(axis=1)
    centred = features - mean[:, None]
    shape, intercepts = pooled_logistic(centred, truth, targets)
    slopes = np.repeat(shape[:, None], truth.shape[1], axis=1)
    if np.isfinite(shrink):
        for label in range(truth.shape[1]):
            design = centred[:, :, label].T
            offset = design @ shape + intercepts[label]
            precision = np.full(len(free), shrink)
            *deviation, shift = class_logistic(design, truth[:, label], offset, precision, targets[label])
            slopes[:, label] += deviation
            intercepts[label] += shift
    slopes = np.maximum(slopes, 0)  # a negative slope would reverse the order of the fields
    return np.concatenate([free.T @ slopes, [intercepts - (slopes * mean).sum(axis=0)]])


def _fit_steps(truth: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    try:
        from sklearn.isotonic import IsotonicRegression
    except ImportError:
        from lociscope.errors import MissingExtraError

        raise MissingExtraError("Isotonic calibration", "fit") from None
    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(p, truth.astype(np.float64))
    return fitted.X_thresholds_, fitted.y_thresholds_
