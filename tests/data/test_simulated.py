"""Simulated fields as a source."""

from __future__ import annotations

import numpy as np
import pytest

from lociscope.artifacts.recipe import Data
from lociscope.data.simulated import prepare_simulated, simulation_key


def settings(**changes: object) -> Data:
    return Data.model_validate({"size": 32, "simulated_size": 64, "fields": 6} | changes)


@pytest.mark.slow
def test_the_same_fields_whatever_the_workers() -> None:
    alone, together = list(prepare_simulated(settings())), list(prepare_simulated(settings(), workers=2))
    assert [field.id for field in alone] == [field.id for field in together]
    for one, other in zip(alone, together, strict=True):
        assert one.target == other.target
        assert one.group == other.group
        np.testing.assert_array_equal(one.pixels, other.pixels)


def test_the_seed_decides() -> None:
    first, second = next(prepare_simulated(settings())), next(prepare_simulated(settings(seed=1)))
    assert not np.array_equal(first.pixels, second.pixels)


def test_the_key_of_a_cache_is_that_of_recipe_schema_1() -> None:
    """Caches and Runs on disk were made with it."""
    found = simulation_key(settings(online=True), "size", "simulated_size", "online")
    assert found == {"size": 32, "drawn_size": 64, "fresh": True}
