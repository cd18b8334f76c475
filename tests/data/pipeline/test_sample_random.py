"""Random numbers that belong to a field: uniform, independent, and the same whatever stands beside it."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from lociscope.data.pipeline.sample_random import PerSampleRng


def sample_rng(n: int = 4000, seed: int = 0, epoch: int = 0, first: int = 0) -> PerSampleRng:
    return PerSampleRng(seed, tf.constant(epoch, tf.int64), tf.range(first, first + n, dtype=tf.int64))


GOLDEN, MASK = 0x9E3779B97F4A7C15, 2**64 - 1


def finalised(z: int) -> int:
    """SplitMix64's finaliser in Python's integers (Steele, Lea and Flood, 2014)."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def test_splitmix64_over_seed_epoch_and_index() -> None:
    assert finalised(GOLDEN) == 0xE220A8397B1DCDAF  # the reference generator's first number from 0
    run = finalised(((finalised((5 + GOLDEN) & MASK) ^ 7) + GOLDEN) & MASK)
    assert np.asarray(sample_rng(3, seed=5, epoch=7, first=11)._key).tolist() == [
        finalised(run ^ n) for n in (11, 12, 13)
    ]


def test_uniform_and_without_correlation() -> None:
    numbers = np.asarray(sample_rng().uniform("something", each=4))
    assert numbers.min() >= 0
    assert numbers.max() < 1
    counts = np.stack([np.histogram(column, 20, (0, 1))[0] for column in numbers.T])
    chi = ((counts - 200) ** 2 / 200).sum(axis=1)
    assert (chi < 43.8).all()  # 19 degrees of freedom, p = 0.001
    others = np.asarray(sample_rng().uniform("something else"))
    following = np.asarray(sample_rng(epoch=1).uniform("something"))
    table = np.corrcoef(
        np.concatenate([numbers, others, following, numbers[:, :1] ** 0 * np.roll(numbers[:, :1], 1)], 1).T
    )
    assert np.abs(table - np.eye(len(table))).max() < 0.06


def test_low_and_high() -> None:
    numbers = np.asarray(sample_rng().uniform("x", -3, 5))
    assert -3 <= numbers.min() < -2.9
    assert 4.9 < numbers.max() < 5


def test_the_batch_does_not_matter() -> None:
    together = np.asarray(sample_rng(10).uniform("x", each=2))
    alone = np.asarray(sample_rng(3, first=4).uniform("x", each=2))
    np.testing.assert_array_equal(together[4:7], alone)


def test_noise_is_normal_and_each_field_has_its_own() -> None:
    noise = np.asarray(sample_rng(50).noise("noise", 64, 64)).reshape(50, -1)
    assert abs(noise.mean()) < 0.02
    assert abs(noise.std() - 1) < 0.02
    assert np.abs(np.corrcoef(noise) - np.eye(50)).max() < 0.1
    np.testing.assert_array_equal(noise[[7]], np.asarray(sample_rng(1, first=7).noise("noise", 64, 64)).reshape(1, -1))
