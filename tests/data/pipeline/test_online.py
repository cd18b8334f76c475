"""Online simulation: new fields in every epoch."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from lociscope.artifacts.recipe import Recipe
from lociscope.data.pipeline.dataset import steps_per_epoch, training_batches
from lociscope.data.pipeline.online import OnlineSimulation
from lociscope.data.pipeline.sampler import Shard
from lociscope.data.simulated import prepare_one

RECIPE = Recipe.from_dict(
    {"data": {"size": 16, "simulated_size": 64, "fields": 10, "online": True}, "train": {"batch": 4}}, "test"
)


def online(workers: int = 1) -> OnlineSimulation:
    return OnlineSimulation(RECIPE.data, first=2, count=8, workers=workers)


@pytest.mark.slow
def test_every_epoch_has_fields_of_its_own() -> None:
    simulated = list(islice(online().batches(4, 0), 4))
    numbers = [range(2, 6), range(6, 10), range(10, 14), range(14, 18)]  # two steps in an epoch of 8
    for (x, y), wanted in zip(simulated, numbers, strict=True):
        fields = [prepare_one(RECIPE.data, number) for number in wanted]
        np.testing.assert_array_equal(x, [field.pixels for field in fields])
        assert [np.flatnonzero(row).tolist() for row in y] == [sorted(field.target) for field in fields]


@pytest.mark.slow
def test_the_same_whatever_the_workers_and_where_it_begins() -> None:
    alone = list(islice(online().batches(4, 0), 3))
    for (x, y), (a, b) in zip(islice(online(workers=2).batches(4, 1), 2), alone[1:], strict=True):
        np.testing.assert_array_equal(x, a)
        np.testing.assert_array_equal(y, b)
    halves = [next(online().batches(4, 2, Shard(k, 2)))[0] for k in range(2)]
    np.testing.assert_array_equal(np.stack(halves, axis=1).reshape(alone[2][0].shape), alone[2][0])


@pytest.mark.slow
def test_the_stream_of_batches_begins_anywhere() -> None:
    assert steps_per_epoch(online(), RECIPE) == 2
    whole = [np.asarray(x) for x, _ in training_batches(online(), RECIPE, 0).take(3)]
    later = [np.asarray(x) for x, _ in training_batches(online(), RECIPE, 2).take(1)]
    np.testing.assert_array_equal(later[0], whole[2])
    assert whole[0].shape == (4, 16, 16, 4)


def test_the_hash_is_of_what_is_simulated() -> None:
    other = OnlineSimulation(RECIPE.data.model_copy(update={"seed": 1}), 2, 8)
    assert online().sha256 == online(workers=3).sha256 != other.sha256
