"""Train a recipe: prepare the fields, fit the model, and return the finished Run with its validation scores."""

from __future__ import annotations

import csv
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from lociscope.artifacts.catalog import Catalog
from lociscope.artifacts.run import Run
from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.sources import Failure, write_failures
from lociscope.processes.progress import show_nothing
from lociscope.storage.locks import exclusive_lock
from lociscope.storage.paths import as_path
from lociscope.training.scores import measure_scores
from lociscope.training.trainer import get_trainer

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from lociscope.artifacts.recipe import Recipe
    from lociscope.data.datasets import TrainingData
    from lociscope.decide.intervals import Interval
    from lociscope.processes.progress import ProgressDisplay
    from lociscope.storage.paths import AnyPath
    from lociscope.training.trainer import Device, EpochCallback

PACKED = "packed"
"""Folder in the Run that holds its prepared fields while it trains."""
FAILURES = "failures.csv"
"""List of the fields that could not be read."""


class FitResult(NamedTuple):
    """The fields that could not be read, and whether the Run was finished before."""

    failures: list[Failure]
    was_finished: bool


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The result of `train_run`.

    Attributes:
        run: The finished Run.
        failures: The fields that could not be read.
        was_finished: Whether the Run was finished before, so that nothing was trained.
        best: The row of the history with the lowest validation loss, whose weights are saved.
        epochs: Number of epochs that were trained.
        scores: Validation scores by name, with intervals by group of fields.
    """

    run: Run
    failures: list[Failure]
    was_finished: bool
    best: dict[str, float]
    epochs: int
    scores: dict[str, Interval]


def train_run(
    recipe: Recipe,
    catalog: AnyPath | None,
    folder: AnyPath,
    *,
    workers: int = 1,
    store: AnyPath | None = None,
    device: Device = "auto",
    progress: ProgressDisplay = show_nothing,
    on_epoch: EpochCallback | None = None,
) -> TrainingResult:
    """Train a recipe, or resume a training that was interrupted, and score it on its validation fields.

    Args:
        recipe: What to train and how.
        catalog: Labelled fields; None to simulate them as the recipe says.
        folder: The Run's folder.
        workers: Number of processes that simulate or read fields.
        store: Where prepared fields are kept for other trainings; None to keep them in the Run until it is finished.
        device: Device on which networks are trained.
        progress: Shows the progress of each step.
        on_epoch: Called with each row of the history; an error that it raises leaves the Run unfinished.

    Raises:
        LociscopeError: The recipe or the fields cannot be used, the folder holds something else, or the training
            cannot be finished.
    """
    folder = as_path(folder)
    catalog = as_path(catalog)
    store = as_path(store)
    fitted = fit_run(
        recipe, catalog, folder, workers=workers, store=store, device=device, progress=progress, on_epoch=on_epoch
    )
    run = Run.open(folder)
    history = run.read_history()
    best = min(history, key=lambda row: row["val_loss"])
    return TrainingResult(run, fitted.failures, fitted.was_finished, best, len(history), measure_scores(run))


def fit_run(
    recipe: Recipe,
    catalog: Path | None,
    folder: Path,
    *,
    workers: int = 1,
    store: Path | None = None,
    device: Device = "auto",
    progress: ProgressDisplay = show_nothing,
    on_epoch: EpochCallback | None = None,
) -> FitResult:
    """Train as `train_run`, without scoring the Run."""
    if _is_finished(recipe, catalog, folder):
        shutil.rmtree(folder / PACKED, ignore_errors=True)
        return FitResult(read_failures(folder), True)
    trainer = get_trainer(recipe)
    with progress(f"loading {trainer.LIBRARY}"):
        trainer.check(recipe, device)
    failures: list[Failure] = []
    cache = folder / PACKED
    with lock_run(folder):
        with progress("preparing fields") as report:
            datasets = trainer.prepare_datasets(recipe, catalog, cache, failures, workers, report, store)
        write_failures(failures, folder / FAILURES)
        fit_datasets(recipe, datasets, folder, "training", progress, on_epoch)
        shutil.rmtree(cache, ignore_errors=True)
    return FitResult(failures, False)


def fit_datasets(
    recipe: Recipe,
    datasets: TrainingData,
    folder: Path,
    what: str,
    progress: ProgressDisplay = show_nothing,
    on_epoch: EpochCallback | None = None,
) -> Run:
    """Train on prepared fields and return the finished Run; `what` names the step in the progress."""
    with progress(what) as report:
        return get_trainer(recipe).fit(recipe, datasets, folder, report, on_epoch)


def lock_run(folder: Path) -> AbstractContextManager[None]:
    """Keep other processes from training in a folder; where the file system has no locks, train without.

    Raises:
        LociscopeError: Another process trains there.
    """
    in_use = f"'{folder}' is being trained by another process. Wait, or name another folder with `output`."
    return exclusive_lock(folder, in_use, needed=False)


def read_failures(folder: Path) -> list[Failure]:
    """Return the fields that a training could not read.

    Raises:
        LociscopeError: The list is damaged.
    """
    path = folder / FAILURES
    if not path.is_file():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as lines:
            return [Failure(**row) for row in csv.DictReader(lines)]
    except (ValueError, TypeError, csv.Error) as error:
        raise LociscopeError(
            f"'{path}' is not a list of failures as `lociscope train` writes it. Train again in another folder.",
            code=Code.WRONG_FILE,
        ) from error


def _is_finished(recipe: Recipe, catalog: Path | None, folder: Path) -> bool:
    """Return whether the folder holds this training, finished.

    Raises:
        LociscopeError: The folder holds something else.
    """
    run = Run(folder)
    if not run.recipe_file.is_file():
        mine = (FAILURES, PACKED) if (folder / PACKED / "pack.json").is_file() else (FAILURES,)
        if folder.exists() and any(path.name[0] != "." and path.name not in mine for path in folder.iterdir()):
            raise LociscopeError(
                f"'{folder}' exists and is not a Run. Name another folder with `output`.", code=Code.CONFLICT
            )
        return False
    if not run.read_recipe().same_training(recipe):
        raise LociscopeError(
            f"'{folder}' is a Run of another recipe. Name another folder with `output`.", code=Code.CONFLICT
        )
    if run.done and not _has_same_fields(run, catalog):
        raise LociscopeError(
            f"'{folder}' is a finished Run on other fields. Name another folder with `output`.", code=Code.CONFLICT
        )
    return run.done


def _has_same_fields(run: Run, catalog: Path | None) -> bool:
    """Return whether a finished Run was trained on these fields, judged by their ids, number and labels."""
    environment = run.read_environment()
    if catalog is None:
        return environment.data.kind == "simulated"
    labels = {entry.id: entry.target for entry in Catalog.read(catalog).select_labelled().exclude("split", "test")}
    known = sum(environment.fields.values()) + len(read_failures(run.folder))
    return known == len(labels) and run.read_truth().items() <= labels.items()
