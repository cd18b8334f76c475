"""`lociscope evaluate`: score a Run, a Bundle or Predictions against the truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lociscope.cli import console
from lociscope.errors import Exit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lociscope.report.metrics import Metrics

SHOWN = {
    "lrap": "LRAP",
    "top_3": "Top-3",
    "macro_f1": "Macro-F1",
    "macro_average_precision": "Average precision (macro)",
    "minutes": "Minutes per field",
}
"""The metrics that are printed."""


def evaluate(
    subject: Annotated[Path, typer.Argument(help="A Run, the folder of `train --folds`, a Bundle, or Predictions.")],
    truth: Annotated[
        Path | None, typer.Argument(metavar="[CATALOG]", help="A Catalog or a CSV Id,Target; a Run records its own.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the report.")] = Path("evaluation"),
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", "-b", help="The model behind Predictions or a Run, to show where its evidence is."),
    ] = None,
    figures: Annotated[
        Path | None, typer.Option("--figures", metavar="DIR", help="Write the figures of a paper as SVG and PDF.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Threads that read fields.")] = 2,
) -> None:
    """Score predictions with intervals, and write the acceptance report report.html and metrics.json."""
    from lociscope.workflows import evaluate as workflow

    with console.progress("predicting") as progress:
        made = workflow.evaluate(
            subject, truth, output, bundle=bundle, figures=figures, workers=workers, progress=progress
        )
    for line in describe_metrics(made.metrics):
        console.note(line)
    print(made.page)
    if made.failures:
        console.report_failures(made.failures, made.failures_file)
        raise typer.Exit(Exit.SOME_FAILED)


def describe_metrics(metrics: Metrics) -> Iterator[str]:
    """Yield the main metrics, one line each, with interval and number of fields or groups."""
    for key, name in SHOWN.items():
        each = metrics.figures[key]
        if each.value is None:
            continue
        interval = "" if each.low is None else f"{each.level:.0%} interval {each.low:.3f} to {each.high:.3f}, "
        baseline = "" if each.baseline is None else f"; baseline {each.baseline:.3f}"
        yield f"{name}: {each.value:.3f} ({interval}n = {each.n}){baseline}"
