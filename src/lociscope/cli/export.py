"""`lociscope export`: export a Run as a Bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lociscope.cli import console

if TYPE_CHECKING:
    from lociscope.workflows.export import ExportResult


def export(
    run: Annotated[
        Path, typer.Argument(help="A finished Run, or the folder of `train --folds`: its networks are averaged.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The Bundle to make.")] = Path("bundle"),
    name: Annotated[str | None, typer.Option(help="Its name in the card; by default the folder's.")] = None,
    licence: Annotated[str, typer.Option(help="Licence of the weights, SPDX.")] = "Apache-2.0",
    limits: Annotated[str | None, typer.Option(help="Limitations of the model, for the card.")] = None,
    catalog: Annotated[
        Path | None,
        typer.Option("--catalog", "-c", help="The Catalog that the Run was trained on, for its reference."),
    ] = None,
    reference: Annotated[
        int,
        typer.Option("--reference", min=0, help="Fields of the reference that `monitor` compares with; 0 for none."),
    ] = 384,
    workers: Annotated[int, typer.Option(min=1, help="Processes that simulate the reference's fields.")] = 2,
) -> None:
    """Export a network as a Bundle: ONNX compared with Keras, scored, hashed, self-testing, with a reference."""
    from lociscope.training.export import DEFAULT_LIMITS
    from lociscope.workflows.export import export_run

    result = export_run(
        run, output,
        name=name, licence=licence, limits=DEFAULT_LIMITS if limits is None else limits,
        catalog=catalog, reference=reference, workers=workers, progress=console.progress,
    )  # fmt: skip
    _note_result(result)
    if reference and not result.has_reference:
        console.note("no reference.npz: pass the Catalog that the Run was trained on with --catalog, to monitor drift")
    print(output)


def _note_result(result: ExportResult) -> None:
    card = result.bundle.card
    average = f", the average of {result.networks} networks" if result.networks > 1 else ""
    console.note(f"Bundle '{card.name}'{average}: {len(result.bundle.model) / 1e6:.2g} MB of ONNX")
    console.note(f"  largest difference between ONNX and Keras {result.difference:.1g}")
    for name, score in card.metrics.items():
        console.note(f"  {name} {score.value:.3f} [{score.low:.3f}, {score.high:.3f}]")
    if result.detector is None:
        console.note("  no out-of-distribution detector: no field is marked unlike-training (see `lociscope ood`)")
    else:
        console.note(f"  {result.detector.unlike:.1%} of generated pictures of other things are marked unlike-training")
