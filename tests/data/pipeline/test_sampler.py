"""The order of an epoch: repeats by rarity, a comb that misses no field, and the same from any place on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lociscope.artifacts.recipe import Train
from lociscope.data.pipeline.sampler import EpochSampler, repeat_factors


def labels(n: int, seed: int) -> np.ndarray:
    chances = 0.5 ** np.arange(1, 9)
    return (np.random.default_rng(seed).random((n, 8)) < chances).astype(np.uint8)


def epoch_of(sampler: EpochSampler, epoch: int) -> np.ndarray:
    import tensorflow as tf

    rows, _ = sampler.rows(tf.constant(epoch, tf.int64), tf.range(sampler.length, dtype=tf.int64))
    return np.asarray(rows)


def test_repeats_follow_the_rarest_class() -> None:
    y = np.zeros((100, 3), np.uint8)
    y[:, 0] = 1
    y[:4, 1] = 1
    y[0, 2] = 1
    wanted = repeat_factors(y, 0.16, 100)
    np.testing.assert_allclose(wanted[:5], [4, 2, 2, 2, 1])  # sqrt(0.16 / 0.01), sqrt(0.16 / 0.04)
    assert repeat_factors(y, 0.16, 3)[0] == 3
    assert (repeat_factors(y, 0, 100) == 1).all()
    assert (repeat_factors(np.zeros((5, 3), np.uint8), 0.5, 4) == 1).all()


@given(st.integers(5, 60), st.integers(0, 99), st.floats(0.01, 1), st.floats(1, 10))
@settings(max_examples=25)
def test_every_field_comes_as_often_as_it_should(n: int, seed: int, share: float, most: float) -> None:
    y = labels(n, seed)
    sampler = EpochSampler.of(y, Train(repeat_threshold=share, most_repeats=most, seed=seed))
    wanted = repeat_factors(y, share, most)
    assert 0 <= sampler.length - wanted.sum() < 1
    for epoch in range(2):
        came = np.bincount(epoch_of(sampler, epoch), minlength=n)
        assert len(came) == n
        assert (came >= 1).all()
        assert (np.abs(came - wanted * sampler.length / wanted.sum()) < 1 + 1e-6).all()


def test_on_average_a_field_comes_as_often_as_it_should() -> None:
    y = labels(40, 1)
    sampler = EpochSampler.of(y, Train(repeat_threshold=0.3, seed=5))
    came = np.mean([np.bincount(epoch_of(sampler, epoch), minlength=40) for epoch in range(200)], axis=0)
    assert np.abs(came - repeat_factors(y, 0.3, 4)).max() < 0.15


def test_without_rare_classes_each_comes_once_and_its_number_is_its_own() -> None:
    import tensorflow as tf

    sampler = EpochSampler.of(labels(30, 0), Train(seed=3))
    rows, index = sampler.rows(tf.constant(2, tf.int64), tf.range(30, dtype=tf.int64))
    assert sorted(np.asarray(rows).tolist()) == list(range(30))
    np.testing.assert_array_equal(rows, index)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_epochs_differ(share: float) -> None:
    sampler = EpochSampler.of(labels(30, 0), Train(repeat_threshold=share))
    assert epoch_of(sampler, 0).tolist() != epoch_of(sampler, 1).tolist()


def test_rods_and_rings_are_seen_as_the_recipe_allows() -> None:
    """11 of 31,072 fields, as in the competition."""
    y = np.zeros((31_072, 28), np.uint8)
    y[:, 0] = 1
    y[:11, 27] = 1
    assert repeat_factors(y, 0.05, 4)[0] == 4
    assert repeat_factors(y, 0.05, 100)[0] == pytest.approx((0.05 * 31_072 / 11) ** 0.5)  # 11.9
