"""`lociscope export`: export a Run as a Bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lociscope.cli import console
from lociscope.errors import Code, UsageError

if TYPE_CHECKING:
    from lociscope.workflows.export import ExportResult


def export(
    run: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...",
            help="A finished Run, or the folder of `train --folds`: its networks are averaged. With --ensemble the "
            "Runs or Bundles of the fit, in its order.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The Bundle to make.")] = Path("bundle"),
    name: Annotated[str | None, typer.Option(help="Its name in the card; by default the folder's.")] = None,
    licence: Annotated[str, typer.Option(help="Licence of the weights, SPDX.")] = "Apache-2.0",
    limits: Annotated[str | None, typer.Option(help="Limitations of the model, for the card.")] = None,
    ensemble: Annotated[
        Path | None, typer.Option("--ensemble", help="A folder of `ensemble fit`: combine the models by its weights.")
    ] = None,
    catalog: Annotated[
        Path | None,
        typer.Option(
            "--catalog",
            "-c",
            help="The Catalog that the Run was trained on, for its reference; with --ensemble, fields that no member "
            "was trained on.",
        ),
    ] = None,
    reference: Annotated[
        int,
        typer.Option("--reference", min=0, help="Fields of the reference that `monitor` compares with; 0 for none."),
    ] = 384,
    workers: Annotated[int, typer.Option(min=1, help="Processes that simulate the reference's fields.")] = 2,
) -> None:
    """Export a network as a Bundle: ONNX compared with Keras, scored, hashed, self-testing, with a reference."""
    if ensemble is not None:
        _export_ensemble(
            run, ensemble, output,
            name=name, licence=licence, limits=limits, catalog=catalog, reference=reference, workers=workers,
        )  # fmt: skip
        return
    if len(run) > 1:
        raise UsageError(
            f"{len(run)} Runs were passed. Combine them with `lociscope ensemble fit`, and pass its folder "
            "as `ensemble`.",
            code=Code.INVALID_VALUE,
        )
    from lociscope.training.export import DEFAULT_LIMITS
    from lociscope.workflows.export import export_run

    result = export_run(
        run[0], output,
        name=name, licence=licence, limits=DEFAULT_LIMITS if limits is None else limits,
        catalog=catalog, reference=reference, workers=workers, progress=console.progress,
    )  # fmt: skip
    _note_result(result)
    if reference and not result.has_reference:
        console.note("no reference.npz: pass the Catalog that the Run was trained on with --catalog, to monitor drift")
    print(output)


def _export_ensemble(members: list[Path], ensemble: Path, output: Path, **options: Any) -> None:  # noqa: ANN401
    from lociscope.workflows.export_ensemble import export_ensemble

    made = export_ensemble(members, ensemble, output, progress=console.progress, **options)
    card = made.bundle.card
    if made.unidentified:
        names = ", ".join(f"'{path}'" for path in made.unidentified)
        console.note(f"lociscope: not checked whether these are the members of the fit in the same order: {names}.")
    size = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    console.note(
        f"Bundle '{card.name}', {len(made.bundle.members)} members combined by '{card.provenance['combiner']}': "
        f"{size / 1e6:.2g} MB"
    )
    for name, score in card.metrics.items():
        console.note(f"  {name} {score.value:.3f} [{score.low:.3f}, {score.high:.3f}]")
    if options["reference"] and not made.has_reference:
        console.note("no reference.npz: pass a Catalog that no member was trained on with --catalog, to monitor drift")
    print(output)


def _note_result(result: ExportResult) -> None:
    card = result.bundle.card
    is_network = card.kind == "network"
    average = f", the average of {result.networks} networks" if result.networks > 1 else ""
    console.note(f"Bundle '{card.name}'{average}: {len(result.bundle.model) / 1e6:.2g} MB")
    if is_network:
        console.note(f"  largest difference between ONNX and Keras {result.difference:.1g}")
    for name, score in card.metrics.items():
        console.note(f"  {name} {score.value:.3f} [{score.low:.3f}, {score.high:.3f}]")
    if result.detector is None:
        console.note("  no out-of-distribution detector: no field is marked unlike-training (see `lociscope ood`)")
    else:
        console.note(f"  {result.detector.unlike:.1%} of generated pictures of other things are marked unlike-training")
