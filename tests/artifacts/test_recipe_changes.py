"""Changes of a recipe by dotted keys."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lociscope.artifacts.recipe import Recipe
from lociscope.artifacts.recipe_changes import parse_changes
from lociscope.errors import LociscopeError, UsageError

if TYPE_CHECKING:
    from pathlib import Path


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_words_become_values() -> None:
    words = [
        "train.epochs=3",
        "train.optimizer=sgd",
        "augment.flip=false",
        "data.low = 1.5",
        "network.name='x=y'",
        "a=",
    ]
    assert parse_changes(words) == {
        "train.epochs": 3,
        "train.optimizer": "sgd",
        "augment.flip": False,
        "data.low": 1.5,
        "network.name": "x=y",
        "a": "",
    }


def test_changes_replace_values_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "r.toml", "[train]\nepochs = 5\nbatch = 7")
    recipe = Recipe.read(path, parse_changes(["train.epochs=3", "network.width=0.5", "data.size=64"]))
    assert (recipe.train.epochs, recipe.train.batch, recipe.data.size) == (3, 7, 64)
    assert recipe.network.options == {"width": 0.5}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("epochs", "The change 'epochs' is not of the form key=value. Write it as `settings=train.epochs=3`."),
        ("=3", "The change '=3' is not of the form key=value"),
        ("train.epoch=3", "unknown key 'train.epoch'. Did you mean 'epochs'?"),
        ("epochs=3", "unknown key 'epochs'"),
        ("train=3", "train: Input should be a valid dictionary"),
        ("network.name.x=3", "The change of 'network.name.x' fails: 'name' is not a table"),
        ("train.epochs=" + "9" * 5000, "train.epochs: Input should be a valid integer"),
        ("schema=3", "has schema 3, newer than 2"),
    ],
)
def test_wrong_words(word: str, message: str) -> None:
    with pytest.raises(LociscopeError, match=message):
        Recipe.read("lenet5", parse_changes([word]))


def test_words_change_stages_by_their_number_from_1() -> None:
    shipped = Recipe.read("pretrained").stages
    changed = Recipe.read("pretrained", parse_changes(["stages.1.epochs=2", "stages.2.learning_rate=0.5"])).stages
    assert changed == (
        shipped[0].model_copy(update={"epochs": 2}),
        shipped[1].model_copy(update={"learning_rate": 0.5}),
    )
    given = parse_changes(["stages.2={unfreeze_from='all', epochs=3, learning_rate=0.5}", "stages.2.epochs=4"])
    assert Recipe.read("pretrained", given).stages[1].epochs == 4


@pytest.mark.parametrize(
    ("name", "word", "message"),
    [
        ("pretrained", "stages.3.epochs=1", "counted from 1, and none is '3'. Did you mean 'stages.2.epochs'?"),
        ("pretrained", "stages.0.epochs=1", "none is '0'. Did you mean 'stages.1.epochs'?"),
        ("pretrained", "stages.last.epochs=1", "none is 'last'. Did you mean 'stages.1.epochs'?"),
        ("pretrained", "stages.9=1", "none is '9'. Did you mean 'stages.2'?"),
        ("pretrained", "stages.1.epoch=1", "unknown key 'stages.1.epoch'. Did you mean 'epochs'?"),
        ("pretrained", "stages.1.epochs.x=1", "'epochs' is not a table"),
        ("pretrained", "stages.2.epochs=0", "stages.2.epochs: Input should be greater than or equal to 1"),
        ("lenet5", "stages.1.epochs=1", "the recipe has no stages. Without them [train] has the key: set"),
        ("pretrained", "train.epochs=3", "sets train.epochs, which has no effect beside [[stages]]: each"),
        ("frozen", "train.learning_rate=3", "Set stages.1.learning_rate and so on, or remove the stages"),
    ],
)  # fmt: skip
def test_wrong_words_about_stages(name: str, word: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        Recipe.read(name, parse_changes([word]))


@given(st.lists(st.text()))
def test_any_words_are_changes_or_refused(words: list[str]) -> None:
    try:
        changes = parse_changes(words)
    except UsageError as error:
        assert "is not of the form key=value" in str(error)
    else:
        assert len(changes) <= len(words)
