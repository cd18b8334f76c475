"""Adapt the label rates of unlabelled fields to a prior."""

from __future__ import annotations

import numpy as np

from lociscope.decide.checks import check_probability
from lociscope.decide.logistic import logit, sigmoid
from lociscope.errors import Code, LociscopeError

WIDEST = 20.0
"""Largest shift of a logit."""
STEPS = 40
"""Bisections of that range, down to 2e-11."""


def match_rates(probability: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Shift the logit of each class so that its mean probability equals its share in the prior.

    Use it where a model was trained on fields with other label rates and its probabilities may not be calibrated: it
    corrects the order of the classes within a field and keeps the order of the fields within a class. It uses all
    fields together but none of their labels, and is meaningless for a handful of fields.

    Args:
        probability: (n, classes) in 0–1.
        prior: (classes,) shares above 0 and below 1.

    Returns:
        (n, classes) of float64.

    Raises:
        LociscopeError: The prior has another number of classes, or a share out of range.
    """
    odds = logit(check_probability(probability))
    target = np.asarray(prior, np.float64)
    if target.shape != odds.shape[1:] or not ((target > 0) & (target < 1)).all():
        raise LociscopeError(
            f"`prior` must have one share above 0 and below 1 for each of {odds.shape[1]} classes; received the shape "
            f"{target.shape} with values from {target.min(initial=0):g} to {target.max(initial=0):g}. "
            "Pass the shares of the same classes.",
            code=Code.INVALID_VALUE,
        )
    low, high = (np.full(odds.shape[1], end) for end in (-WIDEST, WIDEST))
    for _ in range(STEPS):
        middle = (low + high) / 2
        below = sigmoid(odds + middle).mean(axis=0) < target
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return sigmoid(odds + (low + high) / 2)
