"""Exponential moving average of a network's weights, which often generalises better than the last weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    from collections.abc import Callable


class WeightAverage:
    """An exponential moving average of all weights, batch normalisation's statistics among them.

    `use_ema` of Keras' optimisers leaves those statistics out, and overwrites the weights whenever `fit` returns, which
    happens once more in a training that was interrupted inside an epoch.

    Args:
        model: The network that is trained.
        decay: The share of the average that remains after a step, in 0–1.
    """

    def __init__(self, model: keras.Model, decay: float) -> None:
        self.decay = decay
        self._weights = [weight for weight in model.weights if "float" in str(weight.dtype)]
        self.variables = [keras.Variable(weight, trainable=False, dtype=weight.dtype) for weight in self._weights]
        self._update: Callable[[tf.Tensor], None] = tf.function(self._step)

    def restart(self) -> None:
        """Set the averages to the current weights."""
        for average, weight in zip(self.variables, self._weights, strict=True):
            average.assign(weight)

    def update(self, step: int) -> None:
        """Update the averages with the current weights.

        Args:
            step: Steps since the average began, from 1. Early steps have a lower decay,
                min(decay, (1 + n)/(10 + n)), so that
                the initial weights are forgotten soon (as in TensorFlow's `ExponentialMovingAverage`).
        """
        self._update(tf.constant(1 - min(self.decay, (1 + step) / (10 + step)), tf.float32))

    def swap(self) -> None:
        """Exchange weights and averages; a second call exchanges them again."""
        for average, weight in zip(self.variables, self._weights, strict=True):
            before = np.asarray(weight).copy()
            weight.assign(average)
            average.assign(before)

    def _step(self, share: tf.Tensor) -> None:
        for average, weight in zip(self.variables, self._weights, strict=True):
            average.assign(average + share * (weight - average))
