"""The stream: every field once an epoch, in an order that depends on seed and step alone."""

import numpy as np
import pytest

from lociscope.data.pack import Packed
from lociscope.data.pipeline import evaluation_batches, steps_per_epoch, training_batches
from lociscope.labels import N_LABELS
from lociscope.recipe import Recipe


def packed(n: int) -> Packed:
    """Fields that can be told by their first pixel."""
    x = np.zeros((n, 16, 16, 4), np.uint8)
    x[:, 0, 0, 0] = np.arange(n)
    y = np.random.default_rng(0).integers(0, 2, (n, N_LABELS), np.uint8)
    names = [str(number) for number in range(n)]
    return Packed(names, names, x, y, "hash")


def recipe(**train: object) -> Recipe:
    still = {"flip": False, "shift": 0.0, "gain": 0.0, "noise": 0.0, "channel_dropout": 0.0}
    return Recipe.check({"augment": still, "train": {"batch": 8} | train}, "test")


def rows(fields: Packed, made: Recipe, first: int, steps: int) -> list[list[int]]:
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
    assert steps_per_epoch(3, 8) == 1
    assert sorted(rows(packed(3), recipe(), 0, 1)[0]) == [0, 1, 2]


def test_evaluation_gives_every_field_in_order() -> None:
    fields = packed(11)
    x = np.concatenate([np.asarray(x) for x, _ in evaluation_batches(fields, 4)])
    np.testing.assert_array_equal(np.rint(x * 255), fields.x)
