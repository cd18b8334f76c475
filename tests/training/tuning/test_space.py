"""The search space: as written in a recipe file, and held against the recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from lociscope.artifacts.recipe import Recipe
from lociscope.errors import UsageError
from lociscope.training.tuning.space import Choice, Range, Space, check_space, get_value, read_space, replace_values

if TYPE_CHECKING:
    from pathlib import Path


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_keys_may_be_quoted_or_not(tmp_path: Path) -> None:
    rate, pooling = "= {low = 1e-4, high = 1e-2, log = true}", '= ["average", "max"]'
    quoted = f'[tune]\n"train.learning_rate" {rate}\n"network.pooling" {pooling}'
    tables = f"[tune.train]\nlearning_rate {rate}\n[tune.network]\npooling {pooling}"
    bare = f"[tune]\ntrain.learning_rate {rate}\nnetwork.pooling {pooling}"
    expected: Space = {
        "train.learning_rate": Range(low=1e-4, high=1e-2, log=True),
        "network.pooling": Choice(values=("average", "max")),
    }
    for text in (quoted, tables, bare):
        name = written(tmp_path, text)
        assert read_space(name) == expected
        assert Recipe.read(name) == Recipe()  # `lociscope train` takes the same file


def test_a_recipe_without_the_table_has_no_space_of_its_own() -> None:
    assert read_space("lenet5") == {}


KEYS = st.from_regex(r"[a-z_]{1,8}\.[a-z_]{1,8}", fullmatch=True)
NUMBERS = st.floats(1e-6, 1e6)
RANGES = st.builds(
    lambda low, wide, log: Range(low=low, high=low + wide + 1e-3, log=log), NUMBERS, NUMBERS, st.booleans()
)
CHOICES = st.lists(st.integers() | st.text(max_size=5) | NUMBERS, min_size=2, max_size=4, unique=True).map(
    lambda values: Choice(values=tuple(values))
)


@given(space=st.dictionaries(KEYS, RANGES | CHOICES, min_size=1, max_size=5))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, space: Space) -> None:
    table: dict[str, Any] = {
        key: each.model_dump() if isinstance(each, Range) else list(each.values) for key, each in space.items()
    }
    path = tmp_path_factory.mktemp("recipe") / "mine.toml"
    path.write_text(tomli_w.dumps({"tune": table}), encoding="utf-8")
    assert read_space(str(path)) == space


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("3", "[tune] train.batch is 3; expected a list of values, or {low = …, high = …}. Correct the entry."),
        ("{}", "[tune] train.batch is {}; expected a list"),
        ("[[1], [2]]", "expected a list of values"),
        ("[]", "needs two values or more, all different, received []"),
        ("[3]", "needs two values or more"),
        ("[3, 3]", "all different"),
        ("{low = 1}", "lacks the key 'high'. Give low and high."),
        ("{low = 1, hihg = 2}", "has the unknown key 'hihg'. Did you mean 'high'?"),
        ("{low = 2, high = 1}", "low (2) must be below high (1)"),
        ("{low = 0, high = 1, log = true}", "low must be above 0 where log = true, received 0"),
        ("{low = 0, high = inf}", "finite number"),
        ("{low = nan, high = 1}", "finite number"),
        ('{low = "1", high = 2}', "low"),
        ("{lwo = 1, hgih = 2}", "[tune] train.batch.lwo is 1; expected a list"),
    ],
)
def test_entries_that_cannot_be(tmp_path: Path, entry: str, sentence: str) -> None:
    with pytest.raises(UsageError) as said:
        read_space(written(tmp_path, f"[tune]\ntrain.batch = {entry}"))
    assert sentence in str(said.value)
    assert "\n" not in str(said.value)


def test_a_tune_that_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="tune is not a table"):
        read_space(written(tmp_path, "tune = 3"))


@pytest.mark.parametrize(
    ("key", "dimension", "sentence"),
    [
        ("train.learning_rat", Range(low=0.1, high=1.0), "'train.learning_rat'. Did you mean 'learning_rate'?"),
        ("trian.epochs", Range(low=1, high=2), "at trian.epochs = 1: the recipe has no 'trian'. Did you mean 'train'?"),
        ("epochs", Range(low=1, high=2), "unknown key 'epochs'"),
        ("train.learning_rate", Range(low=0.1, high=20.0), "at train.learning_rate = 20.0: train.learning_rate: Input"),
        ("train.epochs", Range(low=1.5, high=2.5), "train.epochs: Input should be a valid integer"),
        ("train.loss", Choice(values=("bce", "focla")), "Input should be 'bce'"),
        ("stages.3.epochs", Range(low=1, high=2), "the recipe has no 'stages.3'. Count its parts from 1."),
        ("train.seed", Range(low=0, high=9), "Mine cannot search train.seed: it is chance, not a hyperparameter."),
        ("data.valid", Range(low=0.1, high=0.2), "it would score the trials on different fields"),
        ("data.online", Choice(values=(False, True)), "it would score the trials on different fields"),
        ("train.loss.gamma", Range(low=1, high=2), "the recipe has no 'train.loss'"),
    ],
)  # fmt: skip
def test_spaces_that_the_recipe_refuses(key: str, dimension: Range | Choice, sentence: str) -> None:
    with pytest.raises(UsageError) as said:
        check_space({key: dimension}, Recipe(), "Mine")
    assert sentence in str(said.value)


def test_an_empty_space_is_refused() -> None:
    with pytest.raises(UsageError, match="Mine is empty"):
        check_space({}, Recipe(), "Mine")


def test_whole_numbers_only_where_the_key_takes_no_others() -> None:
    space: Space = {
        "augment.shift": Range(low=0, high=0.5),
        "augment.scale": Range(low=0, high=1),
        "train.batch": Range(low=2, high=8),
    }
    checked = check_space(space, Recipe(), "Mine")
    assert [each.is_integer for each in checked.values() if isinstance(each, Range)] == [False, False, True]
    assert checked["augment.scale"].ends == (0.0, 1.0)


def test_values_are_put_where_they_belong() -> None:
    recipe = Recipe.from_dict(
        {
            "stages": [
                {"unfreeze_from": "head", "epochs": 1, "learning_rate": 0.1},
                {"unfreeze_from": "all", "epochs": 2, "learning_rate": 0.1},
            ]
        },
        "Mine",
    )
    values = {"stages.2.learning_rate": 0.01, "network.pooling": "max", "train.batch": 7}
    made = replace_values(recipe, values, "Mine")
    assert {key: get_value(made, key) for key in values} == values
    assert made.stages[0] == recipe.stages[0]
    assert made.augment == recipe.augment
    assert get_value(recipe, "network.pooling") is None
