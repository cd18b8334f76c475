"""The folder of one training."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lociscope.artifacts.predictions import Predictions
from lociscope.artifacts.provenance import Provenance
from lociscope.artifacts.recipe import Recipe
from lociscope.artifacts.run import Run
from lociscope.errors import Code, LociscopeError

if TYPE_CHECKING:
    from pathlib import Path

ENVIRONMENT: dict[str, Any] = {
    "schema": 2,
    "created": "2026-01-01",
    "seed": 0,
    "git": None,
    "versions": {"keras": "3"},
    "machine": "x",
    "data": {"kind": "catalog", "catalog": "here.parquet"},
    "data_hash": "0",
    "fields": {"train": 3, "valid": 1},
    "parameters": 10,
}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run(tmp_path / "run")
    run.folder.mkdir()
    Recipe().write(run.recipe_file)
    run.environment_file.write_text(json.dumps(ENVIRONMENT))
    run.history_file.write_text("epoch,loss,val_loss\n1.0,0.5,nan\n2.0,0.25,0.5\n")
    Predictions(["a"], np.full((1, 28), 0.5, np.float32), [(0,)], ["ok"], [()]).write(run.predictions_file)
    run.truth_file.write_text("Id,Target\na,0 16\n")
    return run


def test_a_finished_run_is_read(run: Run) -> None:
    run.mark_done()
    opened = Run.open(run.folder)
    assert opened == run
    assert opened.done
    assert opened.read_recipe() == Recipe()
    assert opened.read_environment().fields == {"train": 3, "valid": 1}
    assert [row["loss"] for row in opened.read_history()] == [0.5, 0.25]
    assert opened.read_predictions().ids == ["a"]
    assert opened.read_truth() == {"a": (0, 16)}
    assert {path.parent for path in (opened.best_model, opened.checkpoints)} == {run.folder}


def test_runs_that_cannot_be_opened(run: Run) -> None:
    with pytest.raises(LociscopeError, match=r"is not finished. Run `lociscope train … -o .*run` again"):
        Run.open(run.folder)
    with pytest.raises(LociscopeError, match=r"is not a Run: recipe\.toml is missing"):
        Run.open(run.folder / "none")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "environment.json is damaged"),
        ("{", "environment.json is damaged"),
        (json.dumps(ENVIRONMENT | {"schema": 3}), "has schema 3, newer than 2"),
        (
            json.dumps(ENVIRONMENT | {"seed": "x"}),
            r"environment.json is damaged \(seed: Input should be a valid integer",
        ),
        (json.dumps(ENVIRONMENT | {"schema": 1, "data": "here"}), "'here' does not name the source of a training's"),
        (json.dumps(ENVIRONMENT | {"schema": 1, "data": 5}), "environment.json is damaged"),
        (json.dumps(ENVIRONMENT | {"data": {"kind": "drawn"}}), r"damaged \(data\.kind: Input should be 'simulated'"),
        (json.dumps(ENVIRONMENT | {"more": 1}), r"environment.json is damaged \(more: Extra inputs"),
    ],
)
def test_a_damaged_environment(run: Run, text: str, message: str) -> None:
    run.environment_file.write_text(text)
    with pytest.raises(LociscopeError, match=message) as caught:
        run.read_environment()
    assert "\n" not in str(caught.value)


def test_an_environment_of_schema_1_is_migrated(run: Run) -> None:
    run.environment_file.write_text(json.dumps(ENVIRONMENT | {"schema": 1, "data": "Catalog 'here.parquet'"}))
    assert run.read_environment().schema_ == 2
    assert run.read_environment().data == Provenance("catalog", "here.parquet")


@pytest.mark.parametrize(
    "text",
    [
        *("epoch,loss\n1.0,x\n", "epoch,loss\n1.0\n", "epoch\n1.0,2.0\n", "epoch\n\xff"),
        *("epoch,loss,vloss\n1.0,1.0,1.0\n", "epoch,loss,val_loss\ninf,1.0,1.0\n"),
    ],
)
def test_a_damaged_history(run: Run, text: str) -> None:
    run.history_file.write_text(text, encoding="latin-1")
    with pytest.raises(LociscopeError, match=r"history\.csv cannot be read") as caught:
        run.read_history()
    assert caught.value.code == Code.CORRUPT


def test_labels_come_in_the_order_of_the_fields(run: Run) -> None:
    run.truth_file.write_text("Id,Target\na,0 16\nb,3\n")
    assert run.find_labels(["b", "a"]) == [(3,), (0, 16)]
    with pytest.raises(LociscopeError, match=r"has no label of 'c', so it cannot be scored\. Train again") as caught:
        run.find_labels(["a", "c"])
    assert caught.value.code == Code.INCOMPLETE


def test_missing_files(run: Run) -> None:
    for path in run.folder.iterdir():
        path.unlink()
    for read in (run.read_recipe, run.read_environment, run.read_history, run.read_predictions, run.read_truth):
        with pytest.raises(LociscopeError, match="No such file") as caught:
            read()
        assert caught.value.code == Code.NOT_FOUND


def test_groups_are_empty_in_runs_of_older_versions(run: Run) -> None:
    assert run.read_groups() == {}
    run.groups_file.write_text('Id,Group\na,"x, y"\n')
    assert run.read_groups() == {"a": "x, y"}
    run.groups_file.write_text("Id\na\n")
    with pytest.raises(LociscopeError, match=r"groups\.csv cannot be read"):
        run.read_groups()


def test_scores_are_every_table_beside_the_run(run: Run) -> None:
    assert run.read_scores() == {}
    folder = run.folder / "scores"
    folder.mkdir()
    (folder / "real.json").write_text('{"lrap": {"value": 0.6, "low": 0.5, "high": null, "n": 56}}')
    (folder / "notes.txt").write_text("no table")
    (lrap,) = run.read_scores()["real"].values()
    assert (lrap["value"], lrap["low"], lrap["n"]) == (0.6, 0.5, 56)
    assert np.isnan(lrap["high"])


@pytest.mark.parametrize("text", ["{", "[]", '{"lrap": 0.6}', '{"lrap": {"value": 1}}', '{"lrap": {"value": "x"}}'])
def test_a_damaged_table_of_scores(run: Run, text: str) -> None:
    (run.folder / "scores").mkdir()
    (run.folder / "scores" / "real.json").write_text(text)
    with pytest.raises(LociscopeError, match=r"real\.json' is not a table of scores"):
        run.read_scores()


def test_a_recipe_without_the_newer_keys_has_their_defaults(run: Run) -> None:
    old = "\n".join(
        line
        for line in run.recipe_file.read_text().splitlines()
        if line.split(" ")[0] not in NEWER and "stages" not in line
    )
    assert "\nema" not in old
    run.recipe_file.write_text(old)
    assert run.read_recipe() == Recipe()
    assert run.read_history()[0].keys() == {"epoch", "loss", "val_loss"}


NEWER = ("note", "ema", "patience", "schedule", "devices")
"""Keys that the first Runs did not have."""
