"""Cross-validate a recipe: train a Run for each fold, and join the out-of-fold predictions."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from lociscope.artifacts.catalog import hash_catalog
from lociscope.artifacts.folds import Folds
from lociscope.artifacts.run import Run
from lociscope.data.datasets import describe_absent, kfold_split
from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.sources import Failure, write_failures
from lociscope.processes.progress import show_nothing
from lociscope.storage.paths import as_path
from lociscope.training.cross_validation import join_folds, open_folds
from lociscope.training.scores import measure_scores
from lociscope.training.trainer import get_trainer
from lociscope.workflows.train import FAILURES, PACKED, fit_datasets, lock_run, read_failures

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lociscope.artifacts.recipe import Recipe
    from lociscope.decide.intervals import Interval
    from lociscope.processes.progress import ProgressDisplay
    from lociscope.storage.paths import AnyPath
    from lociscope.training.trainer import Device

    FoldCallback = Callable[[int, dict[str, float]], None]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CrossValidationResult:
    """The result of `cross_validate`.

    Attributes:
        runs: The finished Run of each fold.
        finished_before: Numbers of the folds that were finished before.
        failures: The fields that could not be read.
        scores: Out-of-fold scores of all fields by name, with intervals by group of fields.
    """

    runs: list[Run]
    finished_before: list[int]
    failures: list[Failure]
    scores: dict[str, Interval]


def cross_validate(
    recipe: Recipe,
    catalog: AnyPath | None,
    folder: AnyPath,
    folds: int,
    *,
    workers: int = 1,
    store: AnyPath | None = None,
    device: Device = "auto",
    progress: ProgressDisplay = show_nothing,
    on_epoch: FoldCallback | None = None,
) -> CrossValidationResult:
    """Train the folds that are not finished yet, and join and score their predictions of the held-out fields.

    Args:
        recipe: What to train and how.
        catalog: Labelled fields; None to simulate them.
        folder: Holds the Runs `fold0` … and the joined predictions.
        folds: Number of folds.
        workers: Number of processes that simulate or read fields.
        store: Where prepared fields are kept for other trainings.
        device: Device on which networks are trained.
        progress: Shows the progress of each step.
        on_epoch: Called with (fold, row of its history); an error that it raises leaves the fold unfinished.

    Raises:
        LociscopeError: The recipe or the fields cannot be used, the folder holds something else, or a training cannot
            be finished.
    """
    folder = as_path(folder)
    catalog = as_path(catalog)
    store = as_path(store)
    trainer = get_trainer(recipe)
    with progress(f"loading {trainer.LIBRARY}"):
        trainer.check(recipe, device)
    runs = open_folds(folder, Folds(k=folds, catalog=None if catalog is None else hash_catalog(catalog)))
    for run in runs:
        if run.recipe_file.is_file() and not run.read_recipe().same_training(recipe):
            raise LociscopeError(
                f"'{run.folder}' is a Run of another recipe. Name another folder with `output`.", code=Code.CONFLICT
            )
    with lock_run(folder):
        finished = [number for number, run in enumerate(runs) if run.done]
        if len(finished) == folds:
            failures = read_failures(folder)
        else:
            failures = _train_folds(recipe, catalog, folder, runs, workers, store, progress, on_epoch)
        shutil.rmtree(folder / PACKED, ignore_errors=True)
        join_folds(folder, runs)
    return CrossValidationResult(runs, finished, failures, measure_scores(Run(folder)))


def _train_folds(
    recipe: Recipe,
    catalog: Path | None,
    folder: Path,
    runs: list[Run],
    workers: int,
    store: Path | None,
    progress: ProgressDisplay,
    on_epoch: FoldCallback | None,
) -> list[Failure]:
    failures: list[Failure] = []
    with progress("preparing fields") as report:
        prepare = get_trainer(recipe).prepare
        fields = prepare(recipe, catalog, folder / PACKED, failures, workers, report, store)
    write_failures(failures, folder / FAILURES)
    made = kfold_split(fields, len(runs), recipe.data.seed)
    if made.newly_assigned and any(fold is not None for fold in fields.fold.values()):
        logger.warning("the Catalog's column fold has another number of folds than %d, so it is not used", len(runs))
    for note in describe_absent(made):
        logger.warning("%s", note)
    for number, (run, datasets) in enumerate(zip(runs, made.datasets, strict=True)):
        if not run.done:
            on_fold_epoch = None if on_epoch is None else partial(on_epoch, number)
            fit_datasets(recipe, datasets, run.folder, f"fold {number} of {len(runs)}", progress, on_fold_epoch)
    return failures
