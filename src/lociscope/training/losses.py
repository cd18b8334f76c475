"""Four multi-label losses over 28 independent classes, from logits, in `keras.ops` only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
from keras import ops

if TYPE_CHECKING:
    from collections.abc import Callable

GAMMA_NEGATIVE, GAMMA_POSITIVE, CLIP = 4.0, 0.0, 0.05
"""Focus on hard negatives and positives, and the probability below which a negative counts as solved
(Ridnik et al., ICCV 2021, section 4 and appendix)."""
F1_SHARE = 0.5
"""Share of soft F1 in the `soft_f1` loss; the rest is binary cross-entropy."""


def get_loss(name: str) -> Callable[[keras.KerasTensor, keras.KerasTensor], keras.KerasTensor]:
    """Return the loss that `train.loss` names, for Keras' `compile`: (labels, logits), both (n, 28), to (n,)."""
    losses: dict[str, Callable[[keras.KerasTensor, keras.KerasTensor], keras.KerasTensor]] = {
        "bce": keras.losses.BinaryCrossentropy(from_logits=True),
        "focal": keras.losses.BinaryFocalCrossentropy(from_logits=True),
        "asymmetric": asymmetric,
        "soft_f1": soft_f1,
    }
    return losses[name]


def asymmetric(labels: keras.KerasTensor, logits: keras.KerasTensor) -> keras.KerasTensor:
    """Return the asymmetric loss of Ridnik et al., *Asymmetric loss for multi-label classification*, ICCV 2021.

    Equations 4 to 7: a positive costs -(1 - p)^0 log p, a negative costs -q^4 log(1 - q) with q = max(p - 0.05, 0). The
    many easy negatives of 28 classes hardly count, which answers class imbalance; nor do those that are most likely
    mislabelled.

    Args:
        labels: (n, classes) of 0 to 1.
        logits: (n, classes).

    Returns:
        (n,): the mean over classes, where the paper has the sum, so that learning rates fit those of the others.
    """
    probability = ops.sigmoid(logits)
    shifted = ops.maximum(probability - CLIP, 0.0)
    positive = ops.power(1 - probability, GAMMA_POSITIVE) * ops.log_sigmoid(logits)
    negative = ops.power(shifted, GAMMA_NEGATIVE) * ops.log(1 - shifted)
    return -ops.mean(labels * positive + (1 - labels) * negative, axis=-1)


def soft_f1(labels: keras.KerasTensor, logits: keras.KerasTensor) -> keras.KerasTensor:
    """Return half binary cross-entropy, half 1 - macro-F1 with probabilities in place of decisions.

    F1 of a class is 2 sum(p y) / sum(p + y) over the batch. A class that no field of the batch has
    always has an F1 of 0, which gives no gradient: only the other classes count, and only the cross-entropy trains the
    network to reject a class. It also gives a gradient in the first steps, where every p is near its prior.

    Args:
        labels: (n, classes) of 0 to 1.
        logits: (n, classes).

    Returns:
        (n,); the batch's share is the same in each.
    """
    probability = ops.sigmoid(logits)
    both = 2 * ops.sum(probability * labels, axis=0)
    each = ops.sum(probability + labels, axis=0)
    shown = ops.cast(ops.sum(labels, axis=0) > 0, both.dtype)
    scores = ops.sum(shown * both / ops.maximum(each, 1e-6)) / ops.maximum(ops.sum(shown), 1.0)
    entropy = ops.mean(ops.binary_crossentropy(labels, logits, from_logits=True), axis=-1)
    return (1 - F1_SHARE) * entropy + F1_SHARE * (1 - scores)
