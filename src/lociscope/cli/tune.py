"""`lociscope tune`: search the hyperparameters of a recipe."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lociscope.cli import console
from lociscope.cli.train import CatalogPath, DeviceOption, RecipeName, Workers
from lociscope.errors import Exit

if TYPE_CHECKING:
    from lociscope.artifacts.study import TrialRecord
    from lociscope.workflows.tune import TuningResult


def tune(
    recipe: RecipeName,
    trials: Annotated[int, typer.Option("--trials", "-n", min=1, help="Trials in all, those of earlier calls too.")],
    catalog: CatalogPath = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", help="Change a value, which is then not searched: train.epochs=3. Repeatable."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The study to make or to continue; studies/<recipe>.")
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(
            "--store",
            metavar="DIR",
            envvar="LOCISCOPE_STORE",
            help="Keep prepared fields here, for other trainings too; else they are removed after the last trial.",
        ),
    ] = None,
    workers: Workers = 2,
    timeout: Annotated[
        float | None, typer.Option(metavar="MIN", min=0.01, help="Minutes after which no other epoch begins.")
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Search for better hyperparameters. The same command continues, up to --trials trials in all."""
    from lociscope.artifacts.recipe_changes import parse_changes
    from lociscope.workflows.train import FAILURES
    from lociscope.workflows.tune import tune_recipe

    folder = output or Path("studies") / Path(recipe).stem
    if output is None:
        console.note(f"Study '{folder}'")
    result = tune_recipe(
        recipe, trials, folder,
        changes=parse_changes(settings or []), catalog=catalog, store=store, workers=workers, device=device,
        seconds=60 * (timeout or float("inf")), progress=console.progress, on_trial=_note_trial,
    )  # fmt: skip
    if result.out_of_time:
        console.note(f"The {timeout:g} minutes are over. The same command continues.")
    _note_result(result)
    print(result.study.best_file)
    if result.failures:
        console.report_failures(result.failures, folder / FAILURES)
        raise typer.Exit(Exit.SOME_FAILED)


def _note_trial(last: TrialRecord, best: TrialRecord | None) -> None:
    how = last.why if last.state == "failed" else last.state if last.lrap is None else f"LRAP {last.lrap:.4f}"
    console.note(f"trial {last.number}: {how}" + (f"; best {best.lrap:.4f}, trial {best.number}" if best else ""))


def _note_result(result: TuningResult) -> None:
    best = result.get_best()
    states = ", ".join(f"{count} {state}" for state, count in Counter(each.state for each in result.trials).items())
    console.note(f"Best of {len(result.trials)} trials ({states}): trial {best.number}, on the validation fields:")
    console.note(f"  LRAP      {best.lrap:.3f}" + (f", gain over the recipe {result.gain}" if result.gain else ""))
    console.note(f"  macro-AP  {best.macro_average_precision:.3f}")
    console.note(f"  val_loss  {best.val_loss:.4f}")
