"""`lociscope train`: a Recipe becomes a Run."""

import shutil
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lociscope.cli import console
from lociscope.errors import Exit

if TYPE_CHECKING:
    from lociscope.images.sources import Failure
    from lociscope.recipe import Recipe


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
    workers: Annotated[int, typer.Option(min=1, help="Processes that draw simulated fields.")] = 2,
) -> None:
    """Train a network. Cut off and given again with the same -o, it goes on to the same weights."""
    from lociscope.images.sources import write_failures
    from lociscope.recipe import Recipe, parse_changes

    resolved = Recipe.read(recipe, parse_changes(settings or []))
    folder = output or Path("runs") / f"{Path(recipe).stem}-{datetime.now():%Y%m%d-%H%M%S}"
    failures = fit_run(resolved, catalog, folder, workers)
    write_failures(failures, folder / "failures.csv")
    print(folder)
    if failures:
        typer.echo(f"lociscope: {len(failures)} fields could not be read, see {folder / 'failures.csv'}", err=True)
        raise typer.Exit(Exit.SOME_FAILED)


def fit_run(recipe: "Recipe", catalog: Path | None, folder: Path, workers: int) -> "list[Failure]":
    """Packs the fields, trains, and leaves a finished Run; returns the fields that could not be read."""
    from lociscope.data.pipeline import steps_per_epoch
    from lociscope.data.sets import training_sets
    from lociscope.models import build_network
    from lociscope.run import Run
    from lociscope.training.fit import fit

    if Run(folder).done and Run(folder).recipe() == recipe:
        console.note(f"'{folder}' is finished already")
        return []
    build_network(recipe.network.name, recipe.data.size, recipe.network.options)  # refuses before the long part
    failures: list[Failure] = []
    with console.progress("preparing fields") as tell:
        sets = training_sets(recipe, catalog, folder / "packed", failures, workers, tell)
    total = recipe.train.epochs * steps_per_epoch(len(sets.train), recipe.train.batch)
    with console.progress("training") as tell:
        fit(recipe, *sets, folder, lambda step, text: tell(step, total, text))
    shutil.rmtree(folder / "packed", ignore_errors=True)
    return failures
