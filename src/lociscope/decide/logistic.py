"""Fit shrunk logistic regressions: pooled over classes, or of one class toward the pool. Numpy only.

The fits are maximum a posteriori by Newton's method. Intercepts are not shrunk like weights: their score equations
have a target count of positives (`prior.shrink_counts`), so that the mean probability of a class without positives is
that of the prior and not 0.
"""

from __future__ import annotations

import numpy as np

TOLERANCE = 1e-7
"""Relative decrease of the objective at which Newton's method stops."""


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Return the logistic function of x, without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))


def logit(probability: np.ndarray, smallest: float = 1e-6) -> np.ndarray:
    """Return the log odds of probabilities, clipped to [smallest, 1 − smallest]."""
    p = np.clip(probability, smallest, 1 - smallest)
    return np.asarray(np.log(p / (1 - p)))


def pooled_logistic(
    features: np.ndarray, truth: np.ndarray, targets: np.ndarray, penalty: float = 1.0, steps: int = 50
) -> tuple[np.ndarray, np.ndarray]:
    """Fit one weight per feature for all classes together, and one intercept per class.

    Args:
        features: (d, n, classes); centred and scaled, so that one penalty suits all.
        truth: (n, classes), 0 or 1.
        targets: (classes,) counts of positives that the intercepts reproduce.
        penalty: Precision of the normal prior (mean 0) of the weights.
        steps: Maximum number of Newton steps.

    Returns:
        Weights (d,) and intercepts (classes,).
    """
    d, n, classes = features.shape
    flat, positive = features.reshape(d, -1), truth.astype(np.float64)
    surplus = targets - positive.sum(axis=0)
    weights, intercepts = np.zeros(d), logit(targets / n)

    def objective(w: np.ndarray, b: np.ndarray) -> tuple[float, np.ndarray]:
        eta = (w @ flat).reshape(n, classes) + b
        loss = np.logaddexp(0, eta).sum() - (eta * positive).sum() - surplus @ b + penalty / 2 * w @ w
        return float(loss), eta

    value, eta = objective(weights, intercepts)
    for _ in range(steps):
        p = sigmoid(eta)
        curve = p * (1 - p) + 1e-12
        curved = flat * curve.ravel()
        # The Hessian is an arrow matrix: intercepts couple with the weights only, so they are eliminated (Schur
        # complement).
        cross, own = curved.reshape(d, n, classes).sum(axis=1), curve.sum(axis=0)
        slope_w = flat @ (p - positive).ravel() + penalty * weights
        slope_b = p.sum(axis=0) - targets
        schur = curved @ flat.T + penalty * np.eye(d) - (cross / own) @ cross.T
        step_w = np.linalg.solve(schur, slope_w - cross @ (slope_b / own))
        step_b = (slope_b - cross.T @ step_w) / own
        for scale in (1.0, 0.5, 0.25, 0.1, 0.01):
            new, new_eta = objective(weights - scale * step_w, intercepts - scale * step_b)
            if new <= value:
                break
        else:
            break
        weights, intercepts = weights - scale * step_w, intercepts - scale * step_b
        fall, value, eta = value - new, new, new_eta
        if fall < TOLERANCE * abs(value):
            break
    return weights, intercepts


def class_logistic(
    design: np.ndarray,
    truth: np.ndarray,
    offset: np.ndarray,
    precision: np.ndarray,
    target: float,
    steps: int = 30,
) -> np.ndarray:
    """Fit what one class adds to an offset: small weights and an intercept.

    Args:
        design: (n, d) features.
        truth: (n,), 0 or 1.
        offset: (n,) initial log odds.
        precision: (d,) of the normal priors (mean 0) of the weights.
        target: Count of positives that the intercept reproduces.
        steps: Maximum number of Newton steps.

    Returns:
        (d + 1,), the weights and then the intercept.
    """
    z = np.concatenate([design, np.ones((len(design), 1))], axis=1)
    prior = np.append(precision, 1e-6)
    surplus = target - truth.sum()
    w = np.zeros(z.shape[1])
    for _ in range(steps):
        p = sigmoid(offset + z @ w)
        slope = z.T @ (p - truth) + prior * w
        slope[-1] -= surplus
        hessian = (z * (p * (1 - p) + 1e-12)[:, None]).T @ z + np.diag(prior)
        # Steps are limited to 2: far from the optimum of a rare class Newton's method would overshoot.
        step = np.clip(np.linalg.solve(hessian, slope), -2, 2)
        w -= step
        if np.abs(step).max() < 1e-6:
            break
    return w


def weighted_logistic(
    design: np.ndarray, truth: np.ndarray, weight: np.ndarray, penalty: float, steps: int = 50
) -> np.ndarray:
    """Fit one logistic regression of weighted rows.

    Args:
        design: (n, d) features; centred and scaled, so that one penalty suits all.
        truth: (n,), 0 or 1.
        weight: (n,), how often each row counts.
        penalty: Precision of the normal prior (mean 0) of the weights; the intercept is free.
        steps: Maximum number of Newton steps.

    Returns:
        (d + 1,), the weights and then the intercept.
    """
    z = np.concatenate([design, np.ones((len(design), 1))], axis=1)
    prior = np.append(np.full(design.shape[1], penalty), 1e-6)
    w = np.zeros(z.shape[1])
    for _ in range(steps):
        p = sigmoid(z @ w)
        hessian = (z * (weight * (p * (1 - p) + 1e-9))[:, None]).T @ z + np.diag(prior)
        # Steps are limited to 1: where the classes separate, Newton's method would overshoot.
        step = np.clip(np.linalg.solve(hessian, z.T @ (weight * (p - truth)) + prior * w), -1, 1)
        w -= step
        if np.abs(step).max() < 1e-5:
            break
    return w
