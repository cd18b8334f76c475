"""`lociscope train`: a Recipe becomes a Run."""

from __future__ import annotations

import csv
import shutil
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lociscope.cli import console
from lociscope.errors import Code, Exit, LociscopeError
from lociscope.storage.locks import exclusive_lock

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from lociscope.artifacts.recipe import Recipe
    from lociscope.artifacts.run import Run
    from lociscope.data.datasets import LabelledFields, TrainingData
    from lociscope.images.discovery.sources import Failure

    OnEpoch = Callable[[dict[str, float]], None]

Device = Literal["auto", "cpu", "gpu"]
RecipeName = Annotated[str, typer.Argument(help="A shipped recipe's name, such as lenet5, or a path.")]
CatalogPath = Annotated[
    Path | None, typer.Option("--catalog", "-c", help="Labelled fields; without it the recipe draws its own.")
]
Workers = Annotated[int, typer.Option(min=1, help="Processes that draw or read fields.")]
DeviceOption = Annotated[Device, typer.Option(help="What to compute on: auto, cpu or gpu.")]

PACKED = "packed"
"""Folder in the Run where its fields lie prepared while it trains."""
FAILURES = "failures.csv"
"""The fields that could not be read."""


def train(
    recipe: RecipeName,
    catalog: CatalogPath = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", help="Change a value, as in train.epochs=3 or stages.1.epochs=3. Repeatable."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The Run to make or to go on with; runs/<recipe>-<time>.")
    ] = None,
    folds: Annotated[
        int | None, typer.Option(min=2, max=100, help="Train as many networks, each blind to a fold; -o holds them.")
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
    workers: Workers = 2,
    devices: Annotated[
        int | None, typer.Option(min=1, max=64, help="GPUs that share each batch; train.devices.")
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Train a network. Cut off and given again with the same -o, it goes on to the same weights."""
    from lociscope.artifacts.recipe import Recipe
    from lociscope.artifacts.recipe_changes import parse_changes

    changes = parse_changes(settings or [])
    if devices is not None:
        changes["train.devices"] = devices
    resolved = Recipe.read(recipe, changes)
    folder = output or Path("runs") / f"{Path(recipe).stem}-{datetime.now():%Y%m%d-%H%M%S}"
    if output is None:
        console.note(f"Run '{folder}'; if it is cut off, it goes on with -o '{folder}'")
    if folds:
        from lociscope.cli.train_folds import fit_folds

        check(resolved, device)
        failures = fit_folds(resolved, catalog, folder, workers, folds, store)
    else:
        failures = fit_run(resolved, catalog, folder, workers, store, epoch_lines(resolved), device)
        print(folder)
    if failures:
        console.tell_failures(failures, folder / FAILURES)
        raise typer.Exit(Exit.SOME_FAILED)


def fit_run(
    recipe: Recipe,
    catalog: Path | None,
    folder: Path,
    workers: int,
    store: Path | None = None,
    on_epoch: OnEpoch | None = None,
    device: Device = "auto",
) -> list[Failure]:
    """Packs the fields, trains, and leaves a finished Run.

    Args:
        recipe: What to train and how.
        catalog: Labelled fields; None draws them.
        folder: The Run.
        workers: Processes that draw or read.
        store: Where prepared fields are kept for other trainings; None keeps them in the Run until it is finished.
        on_epoch: Called with each row of the history; what it raises leaves the Run unfinished.
        device: What it is computed on.

    Returns:
        The fields that could not be read.
    """
    from lociscope.data.datasets import load_training_data
    from lociscope.images.discovery.sources import write_failures
    from lociscope.models.features import NAME
    from lociscope.training.feature_trainer import measured_sets

    if _finished(recipe, catalog, folder):
        console.note(f"'{folder}' is finished already")
        shutil.rmtree(folder / PACKED, ignore_errors=True)
        return read_failures(folder)
    check(recipe, device)
    failures: list[Failure] = []
    place = folder / PACKED
    prepare = measured_sets if recipe.network.name == NAME else load_training_data
    with alone_in(folder):
        with console.progress("preparing fields") as tell:
            sets = prepare(recipe, catalog, place, failures, workers, tell, store)
        write_failures(failures, folder / FAILURES)
        fit_sets(recipe, sets, folder, "training", on_epoch)
        shutil.rmtree(place, ignore_errors=True)
    return failures


def alone_in(folder: Path) -> AbstractContextManager[None]:
    """Keeps a second training out of the folder; a place that knows no locks is taken as it is.

    Raises:
        LociscopeError: Another process trains there.
    """
    taken = f"'{folder}' is being trained by another process. Wait, or name another with -o."
    return exclusive_lock(folder, taken, needed=False)


def check(recipe: Recipe, device: Device) -> None:
    """Refuses, before the long part, what the training would refuse: options, stages, devices.

    Raises:
        LociscopeError: A value is wrong, or a device is not there.
    """
    from lociscope.models import build_network
    from lociscope.models.features import NAME, read_options

    if recipe.network.name == NAME:
        read_options(recipe.network.options)
        return
    from lociscope.training.devices import choose_device, make_strategy
    from lociscope.training.stages import check_stages

    choose_device(device)
    make_strategy(recipe)
    check_stages(build_network(recipe.network.name, recipe.data.size, recipe.network.options), recipe)


def known(recipe: Recipe) -> Callable[..., LabelledFields]:
    """What prepares the fields of a recipe: pixels for networks, measurements for the features recipe."""
    from lociscope.data.datasets import load_labelled_fields
    from lociscope.models.features import NAME
    from lociscope.training.feature_trainer import measure_fields

    return measure_fields if recipe.network.name == NAME else load_labelled_fields


def fit_sets(recipe: Recipe, sets: TrainingData, folder: Path, what: str, on_epoch: OnEpoch | None = None) -> None:
    """Trains on prepared fields, with a progress bar, and leaves a finished Run."""
    from lociscope.data.pipeline.dataset import steps_per_epoch
    from lociscope.models.features import NAME
    from lociscope.training.feature_trainer import fit_features, steps
    from lociscope.training.keras_trainer import fit
    from lociscope.training.stages import max_epochs

    with console.progress(what) as tell:
        if recipe.network.name == NAME:
            total = steps(recipe)
            fit_features(recipe, sets, folder, lambda step, text: tell(step, total, text), on_epoch)
        else:
            total = max_epochs(recipe) * steps_per_epoch(sets.train, recipe)
            fit(recipe, *sets, folder, lambda step, text: tell(step, total, text), on_epoch)


def epoch_lines(recipe: Recipe, before: str = "") -> OnEpoch:
    """Return what prints a line on stderr after each epoch: losses, macro-F1 of the validation fields, time left.

    Args:
        recipe: Says how many epochs there are, unless `patience` ends them.
        before: What each line begins with.
    """
    from lociscope.models.features import NAME
    from lociscope.training.stages import max_epochs

    total = 1 if recipe.network.name == NAME else max_epochs(recipe)
    seconds: list[float] = []

    def tell(row: dict[str, float]) -> None:
        seconds.append(row["seconds"])
        left = (total - row["epoch"]) * sum(seconds) / len(seconds)
        console.note(
            f"{before}epoch {row['epoch']:.0f} of {total}: loss {row['loss']:.4f}, val_loss {row['val_loss']:.4f}, "
            f"macro-F1 {row['macro_f1']:.3f}, {console.lasting(row['seconds'])}"
            + (f", {console.lasting(left)} left" if left else "")
        )

    return tell


def _finished(recipe: Recipe, catalog: Path | None, folder: Path) -> bool:
    """Whether the folder holds this very training, finished; one that holds anything else is refused."""
    from lociscope.artifacts.run import Run

    run = Run(folder)
    if not run.recipe_file.is_file():
        mine = (FAILURES, PACKED) if (folder / PACKED / "pack.json").is_file() else (FAILURES,)
        if folder.exists() and any(path.name[0] != "." and path.name not in mine for path in folder.iterdir()):
            raise LociscopeError(f"'{folder}' exists and is no Run. Name another folder with -o.", code=Code.CONFLICT)
        return False
    if not run.read_recipe().same_training(recipe):
        raise LociscopeError(f"'{folder}' is a Run of another recipe. Name another folder with -o.", code=Code.CONFLICT)
    if run.done and not _same_fields(run, catalog):
        raise LociscopeError(
            f"'{folder}' is a finished Run on other fields. Name another folder with -o.", code=Code.CONFLICT
        )
    return run.done


def _same_fields(run: Run, catalog: Path | None) -> bool:
    """Whether a finished Run learned from these fields, judged by their names, number and labels."""
    from lociscope.artifacts.catalog import Catalog

    environment = run.read_environment()
    if catalog is None:
        return environment.data.kind == "simulated"
    labels = {entry.id: entry.target for entry in Catalog.read(catalog).select_labelled().exclude("split", "test")}
    known = sum(environment.fields.values()) + len(read_failures(run.folder))
    return known == len(labels) and run.read_truth().items() <= labels.items()


def read_failures(folder: Path) -> list[Failure]:
    """The fields of a finished training that could not be read."""
    from lociscope.images.discovery.sources import Failure

    path = folder / FAILURES
    if not path.is_file():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as lines:
            return [Failure(**row) for row in csv.DictReader(lines)]
    except (ValueError, TypeError, csv.Error) as error:
        raise LociscopeError(
            f"'{path}' is no list of failures as `lociscope train` writes it. Train again in another folder.",
            code=Code.WRONG_FILE,
        ) from error
