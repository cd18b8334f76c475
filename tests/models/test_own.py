"""Networks in files and entry points: completed, trained again from their file, and refused where they do not fit."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fixtures.codes import raises_code

from lociscope.artifacts.recipe import Recipe
from lociscope.errors import Code
from lociscope.models import build_network, find_builder, is_own, own
from lociscope.models.own import hash_source, load_own

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[[str], str]

LAYER = """
import keras
from keras import layers, ops

@keras.saving.register_keras_serializable("mine")
class Twice(layers.Layer):
    def call(self, x):
        return 2 * x

def build(size, maps=4):
    field = keras.Input((size, size, 4))
    x = layers.GlobalAveragePooling2D()(ops.relu(layers.Conv2D(maps, 3)(Twice()(field))))
    return keras.Model(field, layers.Dense(28)(x))
"""
SHAPES = {
    "another input": "keras.Model(f := keras.Input((size, size, 3)), layers.Dense(28)(layers.Flatten()(f)))",
    "another output": "keras.Model(f := keras.Input((size, size, 4)), layers.Dense(27)(layers.Flatten()(f)))",
    "no model": "28",
    "a map": "keras.Model(f := keras.Input((size, size, 4)), layers.Conv2D(28, 1)(f))",
    "a dict without logits": (
        "keras.Model(f := keras.Input((size, size, 4)), {'probabilities': layers.Dense(28)(layers.Flatten()(f))})"
    ),
    "it raises": "1 / 0",
}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def make(text: str) -> str:
        path = tmp_path / "net.py"
        path.write_text(text, encoding="utf-8")
        return f"{path}:build"

    return make


def test_a_network_with_layers_of_its_own(write: Write, tmp_path: Path) -> None:
    name = write(LAYER)
    assert is_own(name)
    assert not is_own("lenet5")
    network = build_network(name, 16, {"maps": 6})
    assert network.get_layer("logits").output.shape == (None, 28)
    assert {key: value.shape for key, value in network.output.items()} == {
        "probabilities": (None, 28),
        "embedding": (None, 6),
    }
    network.save(tmp_path / "best.keras")
    digest = hash_source(name)
    again = load_own(tmp_path / "best.keras", name, 16, {"maps": 6}, digest)
    inputs = np.random.default_rng(0).random((2, 16, 16, 4), np.float32)
    for key in network.output:
        np.testing.assert_array_equal(again(inputs)[key], network(inputs)[key])
    with raises_code(Code.CORRUPT):
        load_own(tmp_path / "best.keras", name, 16, {"maps": 5}, digest)
    write(LAYER + "\n# changed")
    with raises_code(Code.ALTERED):
        load_own(tmp_path / "best.keras", name, 16, {"maps": 6}, digest)
    with raises_code(Code.REFUSED_CONTENT):  # a Run that does not say which file it was
        load_own(tmp_path / "best.keras", name, 16, {"maps": 6}, None)


@pytest.mark.parametrize("made", SHAPES.values(), ids=SHAPES)
def test_other_shapes_are_refused(write: Write, made: str) -> None:
    name = write(f"import keras\nfrom keras import layers\ndef build(size):\n    return {made}\n")
    with raises_code(Code.INVALID_VALUE):
        build_network(name, 16, {})


def test_files_that_are_not_there_or_raise(write: Write, tmp_path: Path) -> None:
    with raises_code(Code.NOT_FOUND):
        find_builder(f"{tmp_path / 'absent.py'}:build")
    with raises_code(Code.UNKNOWN_NAME):
        find_builder(write("def make(size): ..."))
    for text in ("def build(size:", "import no_such_module", "raise RuntimeError('no')"):
        with raises_code(Code.INVALID_VALUE):
            find_builder(write(text))
    with raises_code(Code.UNKNOWN_NAME):
        build_network(write(LAYER), 16, {"map": 6})
    with raises_code(Code.UNKNOWN_NAME):
        find_builder("my_net")


def test_entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        EntryPoint("theirs", "lociscope.models.small:small", own.GROUP),
        EntryPoint("broken", "no_such_module:build", own.GROUP),
    ]
    monkeypatch.setattr(own, "entry_points", lambda group: [each for each in points if each.group == group])
    assert is_own("theirs")
    assert build_network("theirs", 32, {"width": 0.5}).output["probabilities"].shape == (None, 28)
    with raises_code(Code.INVALID_VALUE):
        find_builder("broken")


def test_a_file_is_relative_to_its_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    recipe = tmp_path / "a" / "mine.toml"
    recipe.write_text('schema = 2\n[network]\nname = "net.py:build"\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert Recipe.read("a/mine.toml").network.name == f"{tmp_path / 'a' / 'net.py'}:build"
    assert Recipe.read("lenet5", {"network.name": "net.py:build"}).network.name == f"{tmp_path / 'net.py'}:build"
    stored = tmp_path / "recipe.toml"
    Recipe.read("a/mine.toml").write(stored)
    assert Recipe.read_stored(stored).network.name == Recipe.read("a/mine.toml").network.name
