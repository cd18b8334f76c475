"""Label rates brought to a prior, on fields whose labels nobody knows."""

from __future__ import annotations

import numpy as np

from lociscope.decide.checks import check_probability
from lociscope.decide.logistic import logit, sigmoid
from lociscope.errors import Code, LociscopeError

WIDEST = 20.0
"""The most that a logit is moved."""
STEPS = 40
"""Halvings of that range: 2e-11 is left."""


def match_rates(probability: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Moves each class' logit by one number, so that its mean probability is the prior's share.

    Where a model was trained on fields with other label rates, and its probabilities are not trusted to be
    calibrated, this mends the order of the classes within a field; the order of the fields within a class stays.
    It looks at all fields together, but at none of their labels, and means nothing for a handful of fields.

    Args:
        probability: (n, classes) in 0–1.
        prior: (classes,) shares above 0 and below 1.

    Returns:
        (n, classes) of float64.

    Raises:
        LociscopeError: The prior has another number of classes, or a share out of its range.
    """
    odds = logit(check_probability(probability))
    wanted = np.asarray(prior, np.float64)
    if wanted.shape != odds.shape[1:] or not ((wanted > 0) & (wanted < 1)).all():
        raise LociscopeError(
            f"A prior holds one share above 0 and below 1 for each of {odds.shape[1]} classes; received "
            f"{wanted.shape} from {wanted.min(initial=0):g} to {wanted.max(initial=0):g}.",
            code=Code.INVALID_VALUE,
        )
    low, high = (np.full(odds.shape[1], end) for end in (-WIDEST, WIDEST))
    for _ in range(STEPS):
        middle = (low + high) / 2
        short = sigmoid(odds + middle).mean(axis=0) < wanted
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    return sigmoid(odds + (low + high) / 2)
