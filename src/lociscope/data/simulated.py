"""Simulate training fields directly into the cache."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from lociscope.artifacts.recipe_upgrade import RENAMED
from lociscope.data.cache.disk import PreparedField
from lociscope.images.preprocess import prepare
from lociscope.processes.workers import map_in_order
from lociscope.simulate import SimulatedField, simulate_field

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lociscope.artifacts.recipe import Data


def prepare_simulated(settings: Data, workers: int = 1, start: int = 0) -> Iterator[PreparedField]:
    """Simulate and preprocess a recipe's fields, in order; the pixels do not depend on `workers`.

    Args:
        settings: The `[data]` table: number, size, seed, class balance, and the network's input.
        workers: Processes that simulate.
        start: The first field's number.

    Yields:
        The fields; their group is the specimen.
    """
    yield from map_in_order(partial(prepare_one, settings), range(start, settings.fields), workers)


def prepare_one(settings: Data, index: int) -> PreparedField:
    """Simulate and preprocess the field of one number; a pure function of its arguments."""
    field = simulate_one(settings, index)
    return PreparedField(field.id, field.specimen, prepare(field.pixels, settings.input), field.target)


def simulation_key(settings: Data, *names: str) -> dict[str, Any]:
    """Return some of the `[data]` table by the keys of recipe schema 1, which caches and Runs on disk depend on."""
    before = {now: then for then, now in RENAMED.items()}
    return {before.get(f"data.{name}", name).rpartition(".")[2]: getattr(settings, name) for name in names}


def simulate_one(settings: Data, index: int) -> SimulatedField:
    """Simulate the field of one number, with the settings' class balance; a pure function of its arguments."""
    return simulate_field(index, seed=settings.seed, size=settings.simulated_size, balance=settings.balance)
