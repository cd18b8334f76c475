"""Checkpoints: whole or not at all, and refused when damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest

from lociscope.errors import LociscopeError
from lociscope.training import checkpoint

if TYPE_CHECKING:
    from pathlib import Path


def model(units: int = 3) -> keras.Model:
    made = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dropout(0.5), keras.layers.Dense(units)])
    made.compile("adam", "mse")
    made.optimizer.build(made.trainable_variables)
    return made


def values(of: keras.Model) -> list[np.ndarray]:
    return [np.asarray(variable).copy() for variable in checkpoint.list_variables(of)]


def test_everything_comes_back(tmp_path: Path) -> None:
    one = model()
    one.fit(np.random.default_rng(0).random((8, 4)), np.zeros((8, 3)), verbose=0)
    state = checkpoint.TrainingState(7, 1, 4, [{"epoch": 1.0, "loss": 0.5, "val_loss": 0.6}], 0.25)
    checkpoint.save(tmp_path, state, checkpoint.list_variables(one), [np.arange(3)])
    other = model()
    assert checkpoint.read_state(tmp_path) == state
    best = checkpoint.restore(tmp_path, state, checkpoint.list_variables(other))
    np.testing.assert_array_equal(best, [np.arange(3)])
    for a, b in zip(values(one), values(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    one = checkpoint.list_variables(model())
    for step in (1, 5, 12, 100):
        checkpoint.save(tmp_path, checkpoint.TrainingState(step), one, [])
    assert checkpoint.list_steps(tmp_path) == [12, 100]


def test_without_a_checkpoint_the_state_is_new(tmp_path: Path) -> None:
    assert checkpoint.read_state(tmp_path / "none") == checkpoint.TrainingState()


@pytest.mark.parametrize("name", ["state.json", "variables.npz"])
def test_a_damaged_one_is_refused(tmp_path: Path, name: str) -> None:
    checkpoint.save(tmp_path, checkpoint.TrainingState(1), checkpoint.list_variables(model()), [])
    path = tmp_path / "00000001" / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(LociscopeError, match="cannot be used"):
        checkpoint.restore(tmp_path, checkpoint.read_state(tmp_path), checkpoint.list_variables(model()))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("variables.npz", ""),  # as a power cut leaves it
        ("state.json", '"x"'),
        ("state.json", '{"schema": 3, "step": 1}'),
        ("state.json", '{"schema": 3, "step": 1, "history": [{"epoch": 1.0}]}'),
    ],
)
def test_one_of_other_contents_is_refused(tmp_path: Path, name: str, text: str) -> None:
    checkpoint.save(tmp_path, checkpoint.TrainingState(1), checkpoint.list_variables(model()), [])
    (tmp_path / "00000001" / name).write_text(text)
    with pytest.raises(LociscopeError, match=r"cannot be used \(.*Remove it to resume from the one before"):
        checkpoint.restore(tmp_path, checkpoint.read_state(tmp_path), checkpoint.list_variables(model()))


def test_one_of_schema_2_is_read(tmp_path: Path) -> None:
    state = checkpoint.TrainingState(3, 1, 2, [], 0.5)
    checkpoint.save(tmp_path, state, [], [])
    about = tmp_path / "00000003" / "state.json"
    about.write_text(about.read_text().replace('"schema": 3', '"schema": 2').replace("stage_start", "began"))
    assert checkpoint.read_state(tmp_path) == state


def test_another_network_is_refused(tmp_path: Path) -> None:
    state = checkpoint.TrainingState(1)
    checkpoint.save(tmp_path, state, checkpoint.list_variables(model(3)), [])
    with pytest.raises(LociscopeError, match="cannot be used"):
        checkpoint.restore(tmp_path, state, checkpoint.list_variables(model(5)))


@pytest.mark.parametrize(
    ("schema", "said"), [(1, "is of schema 1, .*Train again in another folder"), (4, "has schema 4, newer than 3")]
)
def test_one_of_another_version_is_refused(tmp_path: Path, schema: int, said: str) -> None:
    checkpoint.save(tmp_path, checkpoint.TrainingState(1), [], [])
    about = tmp_path / "00000001" / "state.json"
    about.write_text(about.read_text().replace('"schema": 3', f'"schema": {schema}'))
    with pytest.raises(LociscopeError, match=said):
        checkpoint.read_state(tmp_path)
