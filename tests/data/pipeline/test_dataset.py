"""The stream: every field once an epoch, in an order that depends on seed and step alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lociscope.artifacts.recipe import Recipe
from lociscope.data.cache.fields import PackedFields
from lociscope.data.pipeline.dataset import evaluation_batches, steps_per_epoch, training_batches
from lociscope.data.pipeline.sampler import Shard
from lociscope.errors import LociscopeError
from lociscope.labels import N_LABELS


def packed(n: int) -> PackedFields:
    """Fields that their first pixel distinguishes."""
    x = np.zeros((n, 16, 16, 4), np.uint8)
    x[:, 0, 0, 0] = np.arange(n)
    y = np.random.default_rng(0).integers(0, 2, (n, N_LABELS), np.uint8)
    names = [str(number) for number in range(n)]
    return PackedFields(names, names, x, y, "hash")


def recipe(**train: object) -> Recipe:
    still = {"flip": False, "shift": 0.0, "gain": 0.0, "noise": 0.0, "channel_dropout": 0.0}
    return Recipe.from_dict({"augment": still, "train": {"batch": 8} | train}, "test")


def rows(fields: PackedFields, made: Recipe, first: int, steps: int) -> list[list[int]]:
    stream = training_batches(fields, made, first).take(steps)
    return [np.rint(np.asarray(x)[:, 0, 0, 0] * 255).astype(int).tolist() for x, _ in stream]


def test_each_epoch_sees_every_field_once_in_another_order() -> None:
    fields = packed(40)
    epochs = np.array(rows(fields, recipe(), 0, 10)).reshape(2, 40)
    assert [sorted(epoch) for epoch in epochs.tolist()] == [list(range(40))] * 2
    assert epochs[0].tolist() != epochs[1].tolist() != list(range(40))


@pytest.mark.parametrize("first", [1, 4, 5, 13])
def test_a_stream_that_begins_later_is_the_same_stream(first: int) -> None:
    fields = packed(40)
    assert rows(fields, recipe(), first, 4) == rows(fields, recipe(), 0, first + 4)[first:]


def test_the_seed_decides_the_order() -> None:
    assert rows(packed(40), recipe(seed=1), 0, 5) != rows(packed(40), recipe(seed=2), 0, 5)


def test_labels_stay_with_their_fields() -> None:
    fields = packed(40)
    for x, y in training_batches(fields, recipe(), 0).take(5):
        numbers = np.rint(np.asarray(x)[:, 0, 0, 0] * 255).astype(int)
        np.testing.assert_array_equal(np.asarray(y), fields.y[numbers])


def test_fewer_fields_than_a_batch() -> None:
    assert steps_per_epoch(packed(3), recipe()) == 1
    assert sorted(rows(packed(3), recipe(), 0, 1)[0]) == [0, 1, 2]


def test_evaluation_gives_every_field_in_order() -> None:
    fields = packed(11)
    x = np.concatenate([np.asarray(x) for x, _ in evaluation_batches(fields, 4)])
    np.testing.assert_array_equal(np.rint(x * 255), fields.x)


# === Rare classes ===


def rare(n: int) -> PackedFields:
    """One field in n has class 27, all have class 0."""
    fields = packed(n)
    fields.y[:] = 0
    fields.y[:, 0] = 1
    fields.y[0, 27] = 1
    return fields


def test_a_rare_field_comes_more_often_and_every_field_comes() -> None:
    fields, made = rare(40), recipe(repeat_threshold=0.4, most_repeats=4)
    steps = steps_per_epoch(fields, made)
    assert steps == 43 // 8  # 39 fields once, one sqrt(0.4 * 40) = 4 times
    seen = np.array(rows(fields, made, 0, 3 * steps)).reshape(3, -1)
    for epoch in seen:
        assert (epoch == 0).sum() in (3, 4)  # three places wait for the next epoch
        counts = np.bincount(epoch, minlength=40)
        assert counts[1:].max() == 1
        assert (counts == 0).sum() <= 43 % 8


@pytest.mark.parametrize("first", [1, 5, 7])
def test_a_stream_with_rare_classes_begins_anywhere(first: int) -> None:
    fields, made = rare(40), recipe(repeat_threshold=0.4)
    assert rows(fields, made, first, 4) == rows(fields, made, 0, first + 4)[first:]


def test_a_field_that_comes_again_looks_unlike() -> None:
    fields = rare(40)
    pixels = np.zeros((40, 16, 16, 4), np.uint8)
    pixels[..., 0] = np.arange(16)[None, :, None]  # a ramp, so that a shift shows
    fields = replace(fields, x=pixels)
    made = Recipe.from_dict({"augment": {"shift": 0.5}, "train": {"batch": 8, "repeat_threshold": 0.4}}, "test")
    looks = [
        np.asarray(x[row, :, :, 0]).tobytes()
        for x, y in training_batches(fields, made, 0).take(steps_per_epoch(fields, made))
        for row in np.flatnonzero(np.asarray(y)[:, 27])
    ]
    assert len(looks) > 2
    assert len({*looks}) == len(looks)


# === Workers ===


@pytest.mark.parametrize("mixup", [0.0, pytest.param(0.5, marks=pytest.mark.slow)])
def test_workers_share_each_batch(mixup: float) -> None:
    fields, of = packed(40), 2
    made = Recipe.from_dict({"augment": {"mixup": mixup}, "train": {"batch": 8}}, "test")
    whole = [np.asarray(x) for x, _ in training_batches(fields, made, 3).take(2)]
    parts = [[np.asarray(x) for x, _ in training_batches(fields, made, 3, Shard(k, of)).take(2)] for k in range(of)]
    for step, x in enumerate(whole):
        for k in range(of):
            np.testing.assert_allclose(parts[k][step], x[k::of], atol=1e-6)


def test_a_batch_that_cannot_be_shared() -> None:
    with pytest.raises(LociscopeError, match="A batch of 8 cannot be shared by 3 workers"):
        training_batches(packed(40), recipe(), 0, Shard(0, 3))
