"""`lociscope train`: a Recipe becomes a Run."""

import csv
import shutil
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lociscope.cli import console
from lociscope.errors import Exit, LociscopeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lociscope.images.sources import Failure
    from lociscope.recipe import Recipe
    from lociscope.run import Run

    OnEpoch = Callable[[dict[str, float]], None]

PACKED = "packed"
"""Folder in the Run where its fields lie prepared while it trains."""
FAILURES = "failures.csv"
"""The fields that could not be read."""


def train(
    recipe: Annotated[str, typer.Argument(help="A shipped recipe's name, such as lenet5, or a path.")],
    catalog: Annotated[
        Path | None, typer.Option("--catalog", "-c", help="Labelled fields; without it the recipe draws its own.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", "-s", help="Change a value, as in train.epochs=3. Repeatable.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The Run to make or to go on with; runs/<recipe>-<time>.")
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(
            "--store",
            metavar="DIR",
            envvar="LOCISCOPE_STORE",
            help="Keep prepared fields here, for others too.",
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that draw or read fields.")] = 2,
) -> None:
    """Train a network. Cut off and given again with the same -o, it goes on to the same weights."""
    from lociscope.recipe import Recipe, parse_changes

    resolved = Recipe.read(recipe, parse_changes(settings or []))
    folder = output or Path("runs") / f"{Path(recipe).stem}-{datetime.now():%Y%m%d-%H%M%S}"
    if output is None:
        console.note(f"Run '{folder}'; if it is cut off, it goes on with -o '{folder}'")
    failures = fit_run(resolved, catalog, folder, workers, store)
    print(folder)
    if failures:
        console.tell_failures(failures, folder / FAILURES)
        raise typer.Exit(Exit.SOME_FAILED)


def fit_run(
    recipe: "Recipe",
    catalog: Path | None,
    folder: Path,
    workers: int,
    store: Path | None = None,
    on_epoch: "OnEpoch | None" = None,
) -> "list[Failure]":
    """Packs the fields, trains, and leaves a finished Run.

    Args:
        recipe: What to train and how.
        catalog: Labelled fields; None draws them.
        folder: The Run.
        workers: Processes that draw or read.
        store: Where prepared fields are kept for other trainings; None keeps them in the Run until it is finished.
        on_epoch: Called with each row of the history; what it raises leaves the Run unfinished.

    Returns:
        The fields that could not be read.
    """
    from lociscope.data.pipeline import steps_per_epoch
    from lociscope.data.sets import training_sets
    from lociscope.images.sources import write_failures
    from lociscope.models import build_network
    from lociscope.models.features import NAME
    from lociscope.training.fit import fit

    if _finished(recipe, catalog, folder):
        console.note(f"'{folder}' is finished already")
        shutil.rmtree(folder / PACKED, ignore_errors=True)
        return _read_failures(folder)
    if recipe.network.name == NAME:
        return _fit_features(recipe, catalog, folder, workers, store, on_epoch)
    build_network(recipe.network.name, recipe.data.size, recipe.network.options)  # refuses before the long part
    failures: list[Failure] = []
    with console.progress("preparing fields") as tell:
        sets = training_sets(recipe, catalog, folder / PACKED, failures, workers, tell, store)
    write_failures(failures, folder / FAILURES)
    total = recipe.train.epochs * steps_per_epoch(sets.train, recipe)
    with console.progress("training") as tell:
        fit(recipe, *sets, folder, lambda step, text: tell(step, total, text), on_epoch)
    shutil.rmtree(folder / PACKED, ignore_errors=True)
    return failures


def _fit_features(
    recipe: "Recipe",
    catalog: Path | None,
    folder: Path,
    workers: int,
    store: Path | None,
    on_epoch: "OnEpoch | None",
) -> "list[Failure]":
    """The same for the features recipe, which has no network: measures the fields, fits its heads."""
    from lociscope.images.sources import list_failures
    from lociscope.training.fit_features import fit_features, measured_sets, steps

    total = steps(recipe)  # refuses wrong options before the long part
    failures: list[Failure] = []
    with console.progress("measuring fields") as tell:
        sets = measured_sets(recipe, catalog, folder / PACKED, failures, workers, tell, store)
    if failures:
        list_failures(failures, folder / FAILURES)
    with console.progress("training") as tell:
        fit_features(recipe, sets, folder, lambda step, text: tell(step, total, text), on_epoch)
    shutil.rmtree(folder / PACKED, ignore_errors=True)
    return failures


def _finished(recipe: "Recipe", catalog: Path | None, folder: Path) -> bool:
    """Whether the folder holds this very training, finished; one that holds anything else is refused."""
    from lociscope.run import Run

    run = Run(folder)
    if not run.recipe_file.is_file():
        mine = (FAILURES, PACKED) if (folder / PACKED / "pack.json").is_file() else (FAILURES,)
        if folder.exists() and any(path.name[0] != "." and path.name not in mine for path in folder.iterdir()):
            raise LociscopeError(f"'{folder}' exists and is no Run. Name another folder with -o.")
        return False
    if not run.recipe().same_training(recipe):
        raise LociscopeError(f"'{folder}' is a Run of another recipe. Name another folder with -o.")
    if run.done and not _same_fields(run, catalog):
        raise LociscopeError(f"'{folder}' is a finished Run on other fields. Name another folder with -o.")
    return run.done


def _same_fields(run: "Run", catalog: Path | None) -> bool:
    """Whether a finished Run learned from these fields, judged by their names, number and labels."""
    from lociscope.catalog import Catalog

    environment = run.environment()
    if catalog is None:
        return not environment.data.startswith("Catalog")
    labels = {entry.id: entry.target for entry in Catalog.read(catalog).labelled().without("split", "test")}
    known = sum(environment.fields.values()) + len(_read_failures(run.folder))
    return known == len(labels) and run.truth().items() <= labels.items()


def _read_failures(folder: Path) -> "list[Failure]":
    from lociscope.images.sources import Failure

    path = folder / FAILURES
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as lines:
        return [Failure(**row) for row in csv.DictReader(lines)]
