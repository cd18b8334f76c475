"""Recipes of schema 1, as Runs and studies on disk hold them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lociscope.artifacts.recipe import Recipe
from lociscope.artifacts.recipe_upgrade import upgrade_key, upgrade_recipe
from lociscope.errors import UsageError
from lociscope.training.tuning.space import read_space

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA_1 = """
schema = 1
[data]
drawn_size = 128
fresh = true
[train]
rare = 0.05
[[stages]]
from = "head"
epochs = 1
learning_rate = 0.1
[[stages]]
from = "all"
epochs = 2
learning_rate = 0.1
[tune]
"train.rare" = [0.0, 0.05]
stages.1.from = ["head", "all"]
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "recipe.toml").write_text(SCHEMA_1, encoding="utf-8")
    return str(tmp_path / "recipe.toml")


def test_a_recipe_of_schema_1_is_read_with_the_keys_of_schema_2(path: str) -> None:
    recipe = Recipe.read(path, {"train.repeat_threshold": 0.1})
    assert (recipe.data.simulated_size, recipe.data.online, recipe.train.repeat_threshold) == (128, True, 0.1)
    assert [stage.unfreeze_from for stage in recipe.stages] == ["head", "all"]
    assert recipe.model_dump(by_alias=True)["schema"] == 2


def test_its_search_space_is_renamed_too(path: str) -> None:
    assert read_space(path).keys() == {"train.repeat_threshold", "stages.1.unfreeze_from"}
    assert [upgrade_key(key) for key in ("data.fresh", "data.size")] == ["data.online", "data.size"]


def test_the_given_values_are_not_changed() -> None:
    given = {"schema": 1, "train": {"rare": 0.1}, "stages": [{"from": "all"}]}
    assert upgrade_recipe(given) == {
        "schema": 2,
        "train": {"repeat_threshold": 0.1},
        "stages": [{"unfreeze_from": "all"}],
    }
    assert given == {"schema": 1, "train": {"rare": 0.1}, "stages": [{"from": "all"}]}


@pytest.mark.parametrize("values", [{"train": {"rare": 0.1}}, {"schema": 2, "train": {"rare": 0.1}}])
def test_without_schema_1_the_earlier_keys_are_unknown(values: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=r"unknown key 'train\.rare'"):
        Recipe.from_dict(values, "It")


@pytest.mark.parametrize("table", [{"stages": 3}, {"stages": ["head"]}, {"train": 3}])
def test_values_of_a_wrong_kind_are_refused_as_before(table: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="It: "):
        Recipe.from_dict({"schema": 1} | table, "It")
