"""The moving average of a network's weights, which often does better than the last of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    from collections.abc import Callable


class WeightAverage:
    """An exponential moving average of all weights, batch normalisation's statistics among them.

    Keras' own (`use_ema` of its optimisers) leaves those statistics out, and overwrites the weights whenever `fit`
    returns, which a training that was cut off inside an epoch calls once more than one left alone.

    Args:
        model: The network that takes the steps.
        decay: What an average keeps of itself in a step, in 0–1.
    """

    def __init__(self, model: keras.Model, decay: float) -> None:
        self.decay = decay
        self._weights = [weight for weight in model.weights if "float" in str(weight.dtype)]
        self.variables = [keras.Variable(weight, trainable=False, dtype=weight.dtype) for weight in self._weights]
        self._update: Callable[[tf.Tensor], None] = tf.function(self._step)

    def restart(self) -> None:
        """Begins anew from the weights as they are."""
        for average, weight in zip(self.variables, self._weights, strict=True):
            average.assign(weight)

    def update(self, step: int) -> None:
        """Takes the weights in.

        Args:
            step: Steps since the average began, from 1. Early steps weigh more, min(decay, (1 + n)/(10 + n)), so that
                the start is forgotten soon (as in TensorFlow's `ExponentialMovingAverage`).
        """
        self._update(tf.constant(1 - min(self.decay, (1 + step) / (10 + step)), tf.float32))

    def swap(self) -> None:
        """Exchanges weights and averages; a second time puts them back."""
        for average, weight in zip(self.variables, self._weights, strict=True):
            kept = np.asarray(weight).copy()
            weight.assign(average)
            average.assign(kept)

    def _step(self, share: tf.Tensor) -> None:
        for average, weight in zip(self.variables, self._weights, strict=True):
            average.assign(average + share * (weight - average))
