"""`lociscope demo`: a whole project in miniature."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lociscope.cli import console
from lociscope.cli.evaluate import describe_metrics


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for all files.")] = Path("demo"),
    data: Annotated[Path | None, typer.Option(help="Fields to use instead of simulated ones.")] = None,
    labels: Annotated[Path | None, typer.Option(help="Their labels, a CSV Id,Target.")] = None,
    fields: Annotated[int, typer.Option(min=10, help="Number of simulated fields.")] = 500,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training fields.")] = 15,
    seed: Annotated[int, typer.Option(min=1, help="Seed of fields, split and training.")] = 1,
    workers: Annotated[int, typer.Option(min=1, help="Processes that simulate and threads that read.")] = 2,
) -> None:
    """Run a whole project in miniature: predict with the shipped bundle, train LeNet-5, export, report."""
    from lociscope.workflows.demo import run_demo

    result = run_demo(
        output, data=data, labels=labels, fields=fields, epochs=epochs, seed=seed, workers=workers,
        progress=console.progress, on_step=lambda what, seconds: console.note(f"{seconds:6.1f} s  {what}"),
    )  # fmt: skip
    for name, metrics in (("The shipped bundle", result.shipped), ("LeNet-5, trained here", result.trained)):
        console.note(f"{name}, on {metrics.fields} fields that it never saw:")
        for line in describe_metrics(metrics):
            console.note(f"  {line}")
    print(result.page)
