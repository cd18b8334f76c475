"""`lociscope train`: train a recipe, or cross-validate it with `--folds`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lociscope.cli import console
from lociscope.errors import Exit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lociscope.artifacts.recipe import Recipe
    from lociscope.decide.intervals import Interval
    from lociscope.images.discovery.sources import Failure
    from lociscope.training.trainer import EpochCallback
    from lociscope.workflows.train import TrainingResult

RecipeName = Annotated[str, typer.Argument(help="A shipped recipe's name, such as lenet5, or a path.")]
CatalogPath = Annotated[
    Path | None, typer.Option("--catalog", "-c", help="Labelled fields; without it the recipe simulates fields.")
]
Workers = Annotated[int, typer.Option(min=1, help="Processes that simulate or read fields.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", help="Change a value, as in train.epochs=3 or stages.1.epochs=3. Repeatable."),
]
Store = Annotated[
    Path | None,
    typer.Option(
        "--store",
        metavar="DIR",
        envvar="LOCISCOPE_STORE",
        help="Keep prepared fields here, for other trainings too.",
    ),
]
DeviceOption = Annotated[Literal["auto", "cpu", "gpu"], typer.Option(help="Device to train on: auto, cpu or gpu.")]


def train(
    recipe: RecipeName,
    catalog: CatalogPath = None,
    settings: Settings = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The Run to make or to resume; runs/<recipe>-<time>.")
    ] = None,
    folds: Annotated[
        int | None, typer.Option(min=2, max=100, help="Cross-validate: one network per fold, trained without it.")
    ] = None,
    store: Store = None,
    workers: Workers = 2,
    devices: Annotated[
        int | None, typer.Option(min=1, max=64, help="GPUs that share each batch; train.devices.")
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Train a network. The same command with the same -o resumes a training that was interrupted."""
    from lociscope.artifacts.recipe import Recipe
    from lociscope.artifacts.recipe_changes import parse_changes
    from lociscope.workflows.crossval import cross_validate
    from lociscope.workflows.train import train_run

    changes = parse_changes(settings or [])
    if devices is not None:
        changes["train.devices"] = devices
    resolved = Recipe.read(recipe, changes)
    folder = output or Path("runs") / f"{Path(recipe).stem}-{datetime.now():%Y%m%d-%H%M%S}"
    if output is None:
        console.note(f"Run '{folder}'; resume it with -o '{folder}'")
    if folds:
        printers = [_epoch_printer(resolved, f"fold {fold} of {folds}, ") for fold in range(folds)]
        validated = cross_validate(
            resolved, catalog, folder, folds,
            workers=workers, store=store, device=device, progress=console.progress,
            on_epoch=lambda fold, row: printers[fold](row),
        )  # fmt: skip
        _note_finished(folder, validated.finished_before, folds)
        _note_scores(f"Out-of-fold scores of {folds} folds", validated.scores)
        failures = validated.failures
    else:
        result = train_run(
            resolved, catalog, folder,
            workers=workers, store=store, device=device, progress=console.progress, on_epoch=_epoch_printer(resolved),
        )  # fmt: skip
        if result.was_finished:
            console.note(f"'{folder}' is already finished")
        _note_result(result)
        failures = result.failures
    print(folder)
    _report_failures(failures, folder)


def _epoch_printer(recipe: Recipe, prefix: str = "") -> EpochCallback:
    """Return a callback that prints losses, validation macro-F1 and the time left after each epoch.

    Args:
        recipe: Decides the number of epochs, unless `patience` ends them early.
        prefix: The beginning of each line.
    """
    seconds: list[float] = []

    def note_epoch(row: dict[str, float]) -> None:
        from lociscope.training.trainer import get_trainer

        total = get_trainer(recipe).count_epochs(recipe)
        seconds.append(row["seconds"])
        left = (total - row["epoch"]) * sum(seconds) / len(seconds)
        console.note(
            f"{prefix}epoch {row['epoch']:.0f} of {total}: loss {row['loss']:.4f}, val_loss {row['val_loss']:.4f}, "
            f"macro-F1 {row['macro_f1']:.3f}, {console.format_duration(row['seconds'])}"
            + (f", {console.format_duration(left)} left" if left else "")
        )

    return note_epoch


def _note_finished(folder: Path, finished: list[int], folds: int) -> None:
    if len(finished) == folds:
        console.note(f"'{folder}' is already finished")
    elif finished:
        console.note(f"already finished: fold {', '.join(map(str, finished))}")


def _note_result(result: TrainingResult) -> None:
    best = result.best
    _note_scores("Validation scores", result.scores)
    console.note(f"  val_loss  {best['val_loss']:.4f}, the lowest, of epoch {best['epoch']:.0f} of {result.epochs}")


def _note_scores(what: str, scores: Mapping[str, Interval]) -> None:
    groups = next(iter(scores.values())).n
    console.note(f"{what}, with 90 % intervals by group of fields ({groups} groups):")
    for name, score in scores.items():
        console.note(f"  {name:<8}  {score}")


def _report_failures(failures: Iterable[Failure], folder: Path) -> None:
    """Print how many fields failed, and exit with the code that says so; nothing if none did."""
    from lociscope.workflows.train import FAILURES

    if found := list(failures):
        console.report_failures(found, folder / FAILURES)
        raise typer.Exit(Exit.SOME_FAILED)
