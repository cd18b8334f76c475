"""`lociscope import`: import image files as a Catalog."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lociscope.cli import console
from lociscope.cli.reading import AllowMissing, Channels, Pattern, PixelSize, Plane, Preset, parse_rules
from lociscope.errors import Exit
from lociscope.processes.progress import ignore_progress

if TYPE_CHECKING:
    from lociscope.workflows.import_fields import ImportReport

app = typer.Typer(help="Import image files as a Catalog.", no_args_is_help=True)

Out = Annotated[Path, typer.Option("--output", "-o", help="The Catalog to write.")]
DEFAULT_OUT = Path("catalog.parquet")
Labels = Annotated[Path | None, typer.Option(help="A CSV Id,Target; without it no field is labelled.")]


@app.command()
def kaggle(
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="SRC...", help="Folders of the competition, with train.csv and train/ or train.zip."),
    ],
    output: Out = DEFAULT_OUT,
    match: Annotated[
        Path | None,
        typer.Option(
            "--match", metavar="CATALOG", help="Reference fields of the Atlas: the same image gets their antibody."
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes that read images for --match.")] = 2,
) -> None:
    """Import the competition's train.csv and train/ or train.zip, of 2018 or of 2021."""
    from lociscope.workflows.import_fields import import_competition

    with console.progress("scanning fields") if match else nullcontext(ignore_progress) as progress:
        report = import_competition(sources, output, match=match, workers=workers, progress=progress)
    _print(report)


@app.command()
def hpa(
    sources: Annotated[
        list[Path], typer.Argument(metavar="SRC...", help="Folders of the Human Protein Atlas' images.")
    ],
    labels: Labels = None,
    output: Out = DEFAULT_OUT,
    allow_missing: AllowMissing = None,
) -> None:
    """Import images of the Human Protein Atlas; their names contain antibody, plate, well and site."""
    from lociscope.workflows.import_fields import import_atlas

    rules = parse_rules(None, allow_missing, None, None, None)
    _print(import_atlas(sources, output, labels, rules))


@app.command()
def plate(
    sources: Annotated[list[Path], typer.Argument(metavar="SRC...", help="Folders of images, one for each plate.")],
    labels: Labels = None,
    output: Out = DEFAULT_OUT,
    pattern: Pattern = None,
    preset: Preset = None,
    channels: Channels = None,
    allow_missing: AllowMissing = None,
    pixel_size: PixelSize = None,
    plane: Plane = None,
) -> None:
    """Import plates; well and site come from the names: by a pattern, or as Leica or the Atlas write them."""
    from lociscope.workflows.import_fields import import_plates

    rules = parse_rules(channels, allow_missing, pixel_size, plane, pattern, preset)
    _print(import_plates(sources, output, labels, rules))


@app.command()
def folder(
    sources: Annotated[
        list[Path], typer.Argument(metavar="SRC...", help="Folders of fields, in any format that `predict` reads.")
    ],
    labels: Labels = None,
    output: Out = DEFAULT_OUT,
    pattern: Pattern = None,
    preset: Preset = None,
    channels: Channels = None,
    allow_missing: AllowMissing = None,
    pixel_size: PixelSize = None,
    plane: Plane = None,
) -> None:
    """Import folders of fields, with labels from any CSV Id,Target."""
    from lociscope.workflows.import_fields import import_folders

    rules = parse_rules(channels, allow_missing, pixel_size, plane, pattern, preset)
    _print(import_folders(sources, output, labels, rules))


def _print(report: ImportReport) -> None:
    if report.matched is not None:
        fields = console.count_fields(len(report.catalog))
        print(f"{report.matched} of {fields} show the same cells as one of the {report.reference} reference fields")
    labelled = len(report.catalog.select_labelled())
    print(f"{console.count_fields(len(report.catalog))}, {labelled} labelled, in {report.output}")
    if report.failures:
        console.report_failures(report.failures, report.failures_file)
        raise typer.Exit(Exit.SOME_FAILED)
