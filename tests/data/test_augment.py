"""Augmentation: without state, and never more than it says."""

import numpy as np
import tensorflow as tf

from lociscope.data.augment import augment
from lociscope.recipe import Augment

NOTHING = {"flip": False, "shift": 0.0, "gain": 0.0, "noise": 0.0, "channel_dropout": 0.0}


def varied(x: np.ndarray, seed: tuple[int, int], **settings: object) -> np.ndarray:
    chosen = Augment.model_validate(NOTHING | settings)
    return np.asarray(augment(tf.constant(x), tf.constant(seed, tf.int64), chosen))


def batch() -> np.ndarray:
    return np.random.default_rng(0).random((6, 16, 16, 4), np.float32)


def test_off_is_off() -> None:
    np.testing.assert_array_equal(varied(batch(), (0, 0)), batch())


def test_a_pure_function_of_the_seed() -> None:
    everything = {"flip": True, "shift": 0.2, "gain": 0.3, "noise": 0.05, "channel_dropout": 0.5}
    once = varied(batch(), (3, 7), **everything)
    np.testing.assert_array_equal(once, varied(batch(), (3, 7), **everything))
    assert not np.array_equal(once, varied(batch(), (3, 8), **everything))
    assert not np.array_equal(once, varied(batch(), (4, 7), **everything))
    assert once.min() >= 0
    assert once.max() <= 1


def test_flips_are_the_eight_symmetries() -> None:
    x = batch()[:1]
    seen = {varied(x, (0, step), flip=True).tobytes() for step in range(60)}
    square = [np.rot90(x, turns, (1, 2)) for turns in range(4)]
    symmetries = {np.ascontiguousarray(each).tobytes() for each in (*square, *(each[:, :, ::-1] for each in square))}
    assert seen == symmetries


def test_shift_moves_and_mirrors() -> None:
    x = batch()
    moved = varied(x, (0, 1), shift=0.25)
    assert not np.array_equal(moved, x)
    for before, after in zip(x, moved, strict=True):
        assert set(after[..., 0].ravel()) <= set(before[..., 0].ravel())  # nothing is made up


def test_gain_is_one_factor_a_channel() -> None:
    x = batch() * np.float32(0.5)
    factors = varied(x, (0, 2), gain=0.2) / x
    assert np.ptp(factors, axis=(1, 2)).max() < 1e-3
    assert 0.8 <= factors.min() < factors.max() <= 1.2


def test_only_er_is_dropped() -> None:
    dropped = varied(batch(), (0, 3), channel_dropout=1.0)
    np.testing.assert_array_equal(dropped[..., :3], batch()[..., :3])
    assert not dropped[..., 3].any()
