"""The experiments of the logbook name recipes that there are, with values that these take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lociscope.artifacts.catalog import Catalog, Entry
from lociscope.errors import LociscopeError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

EXPERIMENTS = Path(__file__).parents[2] / "research" / "experiments"
NAMES = sorted(path.stem for path in EXPERIMENTS.glob("*.toml"))


@pytest.fixture(scope="module")
def script(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("research/experiments")


@pytest.mark.parametrize("name", NAMES)
def test_every_iteration_is_a_recipe_and_says_why(script: ModuleType, name: str) -> None:
    experiment = script.read_experiment(name)
    iterations = experiment["iteration"]
    recipes = [script.recipe_of(experiment, iteration) for iteration in iterations]
    assert all(recipe.note for recipe in recipes)
    assert len({iteration["name"] for iteration in iterations}) == len(iterations)
    assert len({recipe.model_copy(update={"note": ""}).model_dump_json() for recipe in recipes}) == len(recipes)


def test_seeds_stand_for_as_many_iterations(script: ModuleType) -> None:
    made = script.seeded({"name": "small", "note": "", "set": {"train.epochs": 2}, "seeds": 2})
    assert [each["name"] for each in made] == ["small-0", "small-1"]
    assert [each["set"] for each in made] == [{"train.epochs": 2, "train.seed": seed} for seed in (0, 1)]
    assert script.seeded({"name": "small"}) == [{"name": "small"}]


def test_an_unknown_experiment_is_reported(script: ModuleType) -> None:
    with pytest.raises(LociscopeError, match="lenet5"):
        script.read_experiment("lenet6")


def test_strangers_and_whole_specimens_are_kept_apart(script: ModuleType, tmp_path: Path) -> None:
    entries = [
        Entry(id=f"f{number}", target=(0,), cell_line="HeLa" if number < 4 else "A-431", specimen=f"s{number // 2:03d}",
              pixel_size=0.3)
        for number in range(80)
    ]  # fmt: skip
    path = tmp_path / "drawn.parquet"
    Catalog.from_entries(entries, tmp_path).write(path)
    script.split(path)
    parts = {entry.id: entry.split for entry in Catalog.read(path)}
    assert [part for part in parts.values() if part == "test"] == ["test"] * 4
    assert sum(part == "valid" for part in parts.values()) == 8
    assert all(parts[f"f{number}"] == parts[f"f{number + 1}"] for number in range(0, 80, 2))
    assert all(entry.pixel_size is None for entry in Catalog.read(path))
