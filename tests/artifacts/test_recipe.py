"""The Recipe: defaults, changes and error messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lociscope.artifacts.recipe import SHIPPED, Augment, Recipe
from lociscope.artifacts.run import Run
from lociscope.errors import Exit, LociscopeError, UsageError


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_recipes_are_read_by_name(path: Path) -> None:
    assert Recipe.read(path.stem) == Recipe.read(str(path))
    assert Recipe.read(path.stem).network.name in (path.stem, "pretrained")


RECIPES = st.builds(
    lambda size, low, high, flip, shift, epochs, rate, optimizer, options: {
        "schema": 2,
        "network": {"name": "lenet5", **options},
        "data": {"size": size, "low": low, "high": high},
        "augment": {"flip": flip, "shift": shift},
        "train": {"epochs": epochs, "learning_rate": rate, "optimizer": optimizer},
    },
    st.integers(16, 1024),
    st.floats(0, 49),
    st.floats(51, 100),
    st.booleans(),
    st.floats(0, 0.5),
    st.integers(1, 10_000),
    st.floats(1e-30, 10),
    st.sampled_from(["adam", "sgd"]),
    st.dictionaries(
        st.from_regex(r"[a-z]{1,8}", fullmatch=True).filter(lambda key: key != "name"),
        st.booleans()
        | st.integers(-(2**60), 2**60)
        | st.floats(allow_nan=False)
        | st.text(st.characters(exclude_categories=["Cs"])),
        max_size=3,
    ),
)


@given(RECIPES)
def test_what_is_written_comes_back(tmp_path_factory: pytest.TempPathFactory, values: dict[str, Any]) -> None:
    path = tmp_path_factory.getbasetemp() / "recipe.toml"
    recipe = Recipe.from_dict(values, "It")
    recipe.write(path)
    assert Recipe.read(str(path)) == recipe
    assert recipe.network.options == {key: value for key, value in values["network"].items() if key != "name"}
    assert (recipe.data.input.height, recipe.data.input.low) == (recipe.data.size, recipe.data.low)


def test_every_value_of_an_empty_recipe_has_its_default(tmp_path: Path) -> None:
    assert Recipe.read(write(tmp_path / "r.toml", "")) == Recipe()
    assert Recipe().augment == Augment()


STAGE = "[[stages]]\nunfreeze_from = 'all'\nepochs = 1\nlearning_rate = 0.1"


def test_stages_are_read_in_their_order_and_written_back(tmp_path: Path) -> None:
    path = write(tmp_path / "r.toml", f"note = 'slower'\n{STAGE.replace('all', 'head')}\n{STAGE}")
    recipe = Recipe.read(path, {"train.batch": 4})
    assert [(stage.unfreeze_from, stage.epochs, stage.learning_rate) for stage in recipe.stages] == [
        ("head", 1, 0.1),
        ("all", 1, 0.1),
    ]
    recipe.write(tmp_path / "s.toml")
    assert Recipe.read(str(tmp_path / "s.toml")) == recipe
    assert hash(recipe.stages) == hash(Recipe.read(str(tmp_path / "s.toml")).stages)


def test_a_note_does_not_change_the_training() -> None:
    one, other = Recipe(note="first"), Recipe(note="second")
    assert one != other
    assert one.same_training(other)
    assert not one.same_training(Recipe.from_dict({"train": {"ema": 0.9}}, "It"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[trian]\nepochs = 3", "unknown key 'trian'. Did you mean 'train'?"),
        ("[train]\nepoch = 3", "unknown key 'train.epoch'. Did you mean 'epochs'?"),
        ("[train]\nzzz = 3", "unknown key 'train.zzz'. Known: batch, checkpoint_steps"),
        ("schemas = 1", "unknown key 'schemas'. Did you mean 'schema'?"),
        ("[train]\nepochs = 'three'", "train.epochs: Input should be a valid integer, received 'three'. Correct"),
        ("[train]\nepochs = '3'", "train.epochs: Input should be a valid integer, received '3'"),
        ("[train]\nepochs = true", "train.epochs: Input should be a valid integer, received True"),
        ("[augment]\nflip = 1", "augment.flip: Input should be a valid boolean, received 1"),
        ("train = 3", "train: Input should be a valid dictionary"),
        ("[train]\nepochs = 0", "train.epochs: Input should be greater than or equal to 1, received 0"),
        ("[train]\nlearning_rate = nan", "train.learning_rate: Input should be less than"),
        ("[train]\nlearning_rate = inf", "train.learning_rate: Input should be less than"),
        ("[train]\noptimizer = 'adamw'", "train.optimizer: Input should be 'adam' or 'sgd', received 'adamw'"),
        ("[data]\nlow = 50\nhigh = 50", r"data.low \(50.0\) must be below data.high \(50.0\)"),
        ("[network]\nname = 3", "network.name: Input should be a valid string, received 3"),
        ("[train]\nlos = 'bce'", "unknown key 'train.los'. Did you mean 'loss'?"),
        (
            "[train]\nloss = 'dice'",
            "train.loss: Input should be 'bce', 'focal', 'asymmetric' or 'soft_f1', received 'dice'",
        ),
        ("[train]\nema = 1.0", "train.ema: Input should be less than 1, received 1.0"),
        ("[train]\npatience = -1", "train.patience: Input should be greater than or equal to 0, received -1"),
        ("[train]\nschedule = 'step'", "train.schedule: Input should be 'cosine' or 'constant', received 'step'"),
        ("[train]\ndevices = 0", "train.devices: Input should be greater than or equal to 1, received 0"),
        ("note = 3", "note: Input should be a valid string, received 3"),
        ("[stages]\nfrom = 'all'", "stages: Input should be an array, received"),
        ("[[stage]]\nfrom = 'all'", "unknown key 'stage'. Did you mean 'stages'?"),
        (
            "[[stages]]\nunfreeze_from = 'all'\nepochs = 1",
            "lacks the key 'stages.1.learning_rate'. Write it into the recipe.",
        ),
        (f"{STAGE}\nepoch = 1", "unknown key 'stages.1.epoch'. Did you mean 'epochs'?"),
        (
            f"{STAGE}\n{STAGE.replace('1', '0')}",
            "stages.2.epochs: Input should be greater than or equal to 1, received 0",
        ),
        (STAGE.replace("0.1", "'fast'"), "stages.1.learning_rate: Input should be a valid number, received 'fast'"),
        (STAGE.replace("all", ""), "stages.1.unfreeze_from: String should have at least 1 character, received ''"),
        ("schema = 3", "has schema 3, newer than 2, the newest this lociscope reads. Update lociscope."),
        ("schema = 'x'", "states no schema"),
        ("[train", "is not TOML: .*Correct that line"),
        ("[train]\nepochs = 1\nepochs = 2", "is not TOML"),
        ("a = " + "[" * 5000, "is not TOML"),
        ("a = " + "9" * 5000, "is not TOML"),
    ],
)
def test_wrong_recipes(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(LociscopeError, match=message) as caught:
        Recipe.read(write(tmp_path / "r.toml", text))
    assert str(tmp_path / "r.toml") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_recipes_and_binary_files(tmp_path: Path) -> None:
    for name, message in (
        ("lenet", "No recipe 'lenet' .*Did you mean 'lenet5'?"),
        ("", "No recipe '' .*Known: .*lenet5"),
        (str(tmp_path / "none.toml"), "No recipe .*No such file"),
        (str(tmp_path), "No recipe"),
    ):
        with pytest.raises(UsageError, match=message) as caught:
            Recipe.read(name)
        assert caught.value.exit_code is Exit.USAGE
    (tmp_path / "r.toml").write_bytes(b"\xef\xbb\xbf[train]\nepochs = 7\n")  # as a Windows editor saves it
    assert Recipe.read(str(tmp_path / "r.toml")).train.epochs == 7
    (tmp_path / "r.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="is not TOML"):
        Recipe.read(str(tmp_path / "r.toml"))


@given(st.text())
def test_any_text_is_a_recipe_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(text.encode(errors="surrogatepass"))
    try:
        recipe = Recipe.read(str(path))
    except LociscopeError as error:
        assert "any.toml" in str(error)
    else:
        assert recipe == Recipe()


def test_what_stages_decide_is_refused_in_a_file_but_read_in_a_run(tmp_path: Path) -> None:
    both = write(tmp_path / "r.toml", f"[train]\nepochs = 20\n{STAGE}")
    with pytest.raises(UsageError, match=r"sets train\.epochs, which has no effect"):
        Recipe.read(both)
    assert Recipe.read(both, {"stages": []}).train.epochs == 20
    before = Recipe.read_stored(Path(both))  # a Run of the time when it was ignored
    before.write(tmp_path / "recipe.toml")
    assert Recipe.read(str(tmp_path / "recipe.toml")) == before == Run(tmp_path).read_recipe()
