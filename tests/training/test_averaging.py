"""The moving average of weights against the same in numpy."""

from __future__ import annotations

import keras
import numpy as np

from lociscope.training.averaging import WeightAverage


def test_it_follows_the_weights_and_their_statistics() -> None:
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2), keras.layers.BatchNormalization()])
    average = WeightAverage(model, 0.6)
    rng = np.random.default_rng(0)
    expected = [np.asarray(weight).copy() for weight in model.weights]
    for step in range(1, 9):
        for weight in model.weights:
            weight.assign(rng.random(weight.shape))
        decay = min(0.6, (1 + step) / (10 + step))
        for i, weight in enumerate(model.weights):
            expected[i] = decay * expected[i] + (1 - decay) * np.asarray(weight)
        average.update(step)
    assert len(average.variables) == len(model.weights) == 6
    last = [np.asarray(weight).copy() for weight in model.weights]
    average.swap()
    for weight, wanted in zip(model.weights, expected, strict=True):
        np.testing.assert_allclose(weight, wanted, rtol=1e-5)
    average.swap()
    assert all(np.array_equal(weight, was) for weight, was in zip(model.weights, last, strict=True))
    average.restart()
    average.swap()
    assert all(np.array_equal(weight, was) for weight, was in zip(model.weights, last, strict=True))
