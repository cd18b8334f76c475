"""Folds: a folder of Runs, and the Runs behind a file of Predictions."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lociscope.artifacts.folds import Folds, find_runs, open_training
from lociscope.artifacts.run import Run
from lociscope.errors import Code, LociscopeError

Make = Callable[..., Path]


@pytest.fixture
def folds(make_run: Make, tmp_path: Path) -> Path:
    folder = tmp_path / "folds"
    folder.mkdir()
    for number in range(2):
        shutil.move(make_run(f"run{number}", seed=number), folder / f"fold{number}")
    Folds(k=2).write(folder)
    return folder


def test_a_run_is_its_own_training(make_run: Make) -> None:
    run = Run(make_run("run"))
    assert open_training(run.folder) == (run, [run])
    assert find_runs(run.predictions_file) == [run]


def test_folds_are_opened_once_they_are_joined(folds: Path) -> None:
    with pytest.raises(LociscopeError, match=r"The 2 folds of .* are not joined") as caught:
        open_training(folds)
    assert caught.value.code == Code.INCOMPLETE
    shutil.copy(folds / "fold0" / "predictions.parquet", folds)
    runs = [Run(folds / "fold0"), Run(folds / "fold1")]
    assert open_training(folds) == (Run(folds), runs)
    assert find_runs(folds / "predictions.parquet") == runs
    (folds / "fold1" / "DONE").unlink()
    with pytest.raises(LociscopeError, match="fold1' is not finished"):
        open_training(folds)


def test_files_elsewhere_belong_to_no_run(folds: Path) -> None:
    assert find_runs(folds / "others.parquet") == []
