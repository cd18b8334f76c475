"""`lociscope train --folds K`: a Recipe becomes a Run for each fold, and out-of-fold Predictions."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from lociscope.cli import console
from lociscope.errors import Code, LociscopeError

if TYPE_CHECKING:
    from pathlib import Path

    from lociscope.artifacts.recipe import Recipe
    from lociscope.artifacts.run import Run
    from lociscope.images.discovery.sources import Failure


def fit_folds(
    recipe: Recipe, catalog: Path | None, folder: Path, workers: int, folds: int, store: Path | None = None
) -> list[Failure]:
    """Trains what is not trained yet of the folds, joins what they say of the fields held out, and prints its scores.

    Args:
        recipe: What to train and how.
        catalog: Labelled fields; None draws them.
        folder: Holds the Runs `fold0` … and what is joined.
        workers: Processes that draw or read.
        folds: How many.
        store: Where prepared fields are kept for other trainings.

    Returns:
        The fields that could not be read.
    """
    from lociscope.artifacts.catalog import hash_catalog
    from lociscope.artifacts.folds import Folds
    from lociscope.cli.train import alone_in
    from lociscope.training.cross_validation import join_folds, open_folds

    digest = None if catalog is None else hash_catalog(catalog)
    runs = open_folds(folder, Folds(k=folds, catalog=digest))
    for run in runs:
        if run.recipe_file.is_file() and not run.read_recipe().same_training(recipe):
            raise LociscopeError(
                f"'{run.folder}' is a Run of another recipe. Name another folder with -o.", code=Code.CONFLICT
            )
    with alone_in(folder):
        failures = _train(recipe, catalog, folder, workers, runs, store)
        scores = join_folds(folder, runs)
    print(folder)
    print(f"out of fold, 90 % intervals by group: {len(runs)} folds, {scores['LRAP'].n} groups")
    for name, score in scores.items():
        print(f"{name:<8} {score}")
    return failures


def _train(
    recipe: Recipe, catalog: Path | None, folder: Path, workers: int, runs: list[Run], store: Path | None
) -> list[Failure]:
    from lociscope.cli.train import FAILURES, PACKED, epoch_lines, fit_sets, known, read_failures
    from lociscope.data.datasets import kfold_split
    from lociscope.images.discovery.sources import write_failures

    if all(run.done for run in runs):
        console.note(f"'{folder}' is finished already")
        shutil.rmtree(folder / PACKED, ignore_errors=True)
        return read_failures(folder)
    failures: list[Failure] = []
    with console.progress("preparing fields") as tell:
        fields = known(recipe)(recipe, catalog, folder / PACKED, failures, workers, tell, store)
    write_failures(failures, folder / FAILURES)
    made = kfold_split(fields, len(runs), recipe.data.seed)
    if made.newly_assigned and any(fold is not None for fold in fields.fold.values()):
        console.note(
            f"lociscope: the Catalog's column fold numbers other than {len(runs)} folds, so they are dealt anew"
        )
    for sentence in made.notes:
        console.note(f"lociscope: {sentence}")
    for number, (run, sets) in enumerate(zip(runs, made.datasets, strict=True)):
        if run.done:
            console.note(f"fold {number} is finished already")
            continue
        what = f"fold {number} of {len(runs)}"
        fit_sets(recipe, sets, run.folder, what, epoch_lines(recipe, f"{what}, "))
    shutil.rmtree(folder / PACKED, ignore_errors=True)
    return failures
