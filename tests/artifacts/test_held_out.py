"""Held-out fields by the records of Runs, and the text about them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lociscope.artifacts.folds import Folds
from lociscope.artifacts.held_out import describe_held_out, find_unseen_ids
from lociscope.artifacts.predictions import Predictions
from lociscope.artifacts.run import Run

Make = Callable[..., Path]


def join(folder: Path, *folds: Path) -> Path:
    """Moves Runs into a folder of folds, with the joined predictions."""
    for number, run in enumerate(folds):
        shutil.move(run, folder / f"fold{number}")
    Folds(k=len(folds)).write(folder)
    made = Predictions.join([Run(folder / f"fold{number}").read_predictions() for number in range(len(folds))])
    made.write(folder / "predictions.parquet")
    return folder / "predictions.parquet"


@pytest.fixture
def folds(make_run: Make, tmp_path: Path) -> Path:
    (tmp_path / "folds").mkdir()
    return join(tmp_path / "folds", make_run("one", validation=1, fields=6), make_run("two", validation=2, fields=5))


def test_a_run_did_not_see_its_validation_fields(make_run: Make, tmp_path: Path) -> None:
    run = Run(make_run("run", fields=6))
    assert find_unseen_ids(run.predictions_file) == set(run.read_truth())
    shutil.copy(run.predictions_file, tmp_path / "predictions.parquet")
    assert find_unseen_ids(tmp_path / "predictions.parquet") == set()  # no record beside it
    shutil.copy(run.predictions_file, run.folder / "others.parquet")
    assert find_unseen_ids(run.folder / "others.parquet") == set()  # no Predictions of the training
    (run.folder / "DONE").unlink()
    assert find_unseen_ids(run.predictions_file) == set()


def test_fields_without_truth_are_not_proven(make_run: Make) -> None:
    run = Run(make_run("run", fields=6))
    first, *others = run.truth_file.read_text().splitlines(keepends=True)[1:]
    run.truth_file.write_text("Id,Target\n" + "".join(others))
    assert find_unseen_ids(run.predictions_file) == set(run.read_truth())
    assert first.split(",")[0] not in find_unseen_ids(run.predictions_file)


def test_a_field_of_folds_was_predicted_by_the_fold_that_left_it_out(folds: Path) -> None:
    everything = set(Predictions.read(folds).ids)
    assert len(everything) == 11
    assert find_unseen_ids(folds) == everything
    made = Predictions.read(folds)
    made.probability[0] = 0.125  # another network's
    made.write(folds)
    assert find_unseen_ids(folds) == everything - {made.ids[0]}


def test_a_field_that_two_folds_validated_was_trained_on_by_neither_or_both(make_run: Make, tmp_path: Path) -> None:
    (tmp_path / "folds").mkdir()
    runs = make_run("one", fields=6, seed=1), make_run("two", fields=6, seed=2)
    for number, run in enumerate(runs):
        shutil.move(run, tmp_path / "folds" / f"fold{number}")
    Folds(k=2).write(tmp_path / "folds")
    Run(tmp_path / "folds" / "fold0").read_predictions().write(tmp_path / "folds" / "predictions.parquet")
    assert find_unseen_ids(tmp_path / "folds" / "predictions.parquet") == set()


@pytest.mark.parametrize("damage", ["fold1/DONE", "fold1/predictions.parquet", "fold1/truth.csv", "fold1/recipe.toml"])
def test_folds_that_are_not_whole_prove_nothing(folds: Path, damage: str) -> None:
    (folds.parent / damage).unlink()
    assert find_unseen_ids(folds) == set()


def test_the_text_claims_only_what_is_proven() -> None:
    assert describe_held_out(9, (True, True)) == (
        "Fitted on 9 labelled fields that the networks were not trained on, as the records of their Runs prove."
    )
    for unknown in ((), (False, False)):
        text = describe_held_out(9, unknown)
        assert text.startswith("Fitted on 9 labelled fields. It is not recorded whether the networks were trained on")
    assert "prove that member 2 was not trained on them; of the others it is not" in describe_held_out(9, (False, True))
    assert "prove that members 1, 3 were not" in describe_held_out(9, (True, False, True))
