"""`lociscope recipes`: what ships can be listed, read and copied, and a copy trains as the original."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from lociscope.artifacts.recipe import SHIPPED, Recipe
from lociscope.cli.recipes import summarize

if TYPE_CHECKING:
    from pathlib import Path

Command = Callable[..., tuple[int, str, str]]


def test_every_recipe_is_listed_with_its_network_and_a_summary(lociscope: Command) -> None:
    code, out, err = lociscope("recipes", "list")
    assert (code, err) == (0, "")
    assert [line.split()[:2] for line in out.splitlines()] == [
        [path.stem, Recipe.read(path.stem).network.name] for path in sorted(SHIPPED.glob("*.toml"))
    ]
    rows = json.loads(lociscope("recipes", "list", "--json")[1])
    assert all(row["summary"].endswith(".") and row["name"] in out and row["summary"] in out for row in rows)
    (first,) = (row["summary"] for row in rows if row["name"] == "lenet5")
    assert first == "LeNet-5 of 1998 with each choice brought up to date: 123,868 parameters."


def test_a_summary_ends_with_the_first_sentence_or_paragraph() -> None:
    assert summarize("# One. Two.\n[data]\n") == "One."
    assert summarize("# One of\n# many\n#\n# Two.\n") == "One of many."
    assert summarize("[data]\n# No.\n") == ""


def test_show_prints_the_file(lociscope: Command) -> None:
    assert lociscope("recipes", "show", "small") == (0, (SHIPPED / "small.toml").read_text("utf-8"), "")


def test_a_copy_is_the_same_recipe_and_overwrites_nothing(lociscope: Command, tmp_path: Path) -> None:
    assert lociscope("recipes", "copy", "lenet5") == (0, "lenet5.toml\n", "")
    assert lociscope("recipes", "copy", "lenet5", "-o", "deep/mine.toml") == (0, "deep/mine.toml\n", "")
    assert lociscope("recipes", "copy", "lenet5", "other.toml") == (0, "other.toml\n", "")
    for name in ("lenet5.toml", "deep/mine.toml", "other.toml"):
        assert Recipe.read(str(tmp_path / name)) == Recipe.read("lenet5")
    (tmp_path / "lenet5.toml").write_text("mine")
    assert lociscope("recipes", "copy", "lenet5") == (
        1, "", "lociscope: 'lenet5.toml' exists. Name another file with -o.\n",
    )  # fmt: skip
    assert (tmp_path / "lenet5.toml").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("show", "lenet"), "No recipe 'lenet' ships with lociscope. Did you mean 'lenet5'?"),
        (("copy", "../lenet5"), "No recipe '../lenet5' ships with lociscope."),
        (("copy", "lenet5", "-o", "x.txt"), "'x.txt' ends in '.txt'; a recipe ends in .toml. Rename it."),
        (("copy", "lenet5", "a.toml", "-o", "b.toml"), "'a.toml' and -o 'b.toml' both name the file to write."),
    ],
)
def test_what_is_refused(lociscope: Command, words: tuple[str, ...], sentence: str) -> None:
    code, out, err = lociscope("recipes", *words)
    assert (code, out) == (2, "")
    assert err.startswith(f"lociscope: {sentence}")
