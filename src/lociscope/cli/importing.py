"""`lociscope import`: files become a Catalog."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lociscope.cli import console
from lociscope.cli.reading import AllowMissing, Channels, Pattern, PixelSize, Plane, Preset, parse_rules
from lociscope.errors import Code, Exit, LociscopeError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lociscope.artifacts.catalog import Catalog
    from lociscope.images.discovery.sources import Failure

app = typer.Typer(help="Make a Catalog of files.", no_args_is_help=True)

Out = Annotated[Path, typer.Option("--output", "-o", help="The Catalog to write.")]
DEFAULT_OUT = Path("catalog.parquet")


Labels = Annotated[Path | None, typer.Option(help="A CSV Id,Target; without it nothing is labelled.")]


@app.command()
def kaggle(
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="SRC...", help="Folders of the competition, with train.csv and train/ or train.zip."),
    ],
    output: Out = DEFAULT_OUT,
    known: Annotated[
        Path | None,
        typer.Option(
            "--match", metavar="CATALOG", help="Fields of the Atlas: what is the same picture takes over its antibody."
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes that read pictures for --match.")] = 2,
) -> None:
    """Make a Catalog of the competition's train.csv and train/ or train.zip, of 2018 or of 2021."""
    _check(output)
    from lociscope.data.importing import import_kaggle

    catalog, failures = _each(sources, output, lambda source: import_kaggle(source, output.parent))
    if known is not None:
        catalog = _matched(catalog, failures, known, workers)
    _write(catalog, failures, output)


@app.command()
def hpa(
    sources: Annotated[
        list[Path], typer.Argument(metavar="SRC...", help="Folders of the Human Protein Atlas' pictures.")
    ],
    labels: Labels = None,
    output: Out = DEFAULT_OUT,
    allow_missing: AllowMissing = None,
) -> None:
    """Make a Catalog of the Human Protein Atlas' pictures; their names tell antibody, plate, well and site."""
    _check(output)
    from lociscope.data.importing import import_hpa

    rules = parse_rules(None, allow_missing, None, None, None)
    _write(*import_hpa(sources, labels, output.parent, rules), output)


@app.command()
def plate(
    sources: Annotated[list[Path], typer.Argument(metavar="SRC...", help="Folders of plates' pictures, one a plate.")],
    labels: Labels = None,
    output: Out = DEFAULT_OUT,
    pattern: Pattern = None,
    preset: Preset = None,
    channels: Channels = None,
    allow_missing: AllowMissing = None,
    pixel_size: PixelSize = None,
    plane: Plane = None,
) -> None:
    """Make a Catalog of a plate, whose names tell well and site: by a pattern, as Leica's or as the Atlas'."""
    _check(output)
    from lociscope.data.importing import import_plate

    rules = parse_rules(channels, allow_missing, pixel_size, plane, pattern, preset)
    if labels is not None and len(sources) > 1:
        raise UsageError(
            "--labels belongs to one plate. Import each with its labels, and join them with `split`.",
            code=Code.INVALID_LABELS,
        )
    catalog, failures = _each(sources, output, lambda source: import_plate(source, labels, output.parent, rules))
    _write(catalog, failures, output)


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
    """Make a Catalog of a folder, with labels from any CSV Id,Target."""
    _check(output)
    from lociscope.data.importing import import_folder

    rules = parse_rules(channels, allow_missing, pixel_size, plane, pattern, preset)
    _write(*import_folder(sources, labels, output.parent, rules), output)


def _each(
    sources: list[Path], output: Path, make: Callable[[Path], tuple[Catalog, list[Failure]]]
) -> tuple[Catalog, list[Failure]]:
    """Make a Catalog of each source, and join them."""
    from lociscope.data.joining import join_catalogs

    parts = [make(source) for source in sources]
    catalog = join_catalogs([catalog for catalog, _ in parts], sources, output.parent)
    return catalog, [failure for _, failures in parts for failure in failures]


def _matched(catalog: Catalog, failures: list[Failure], path: Path, workers: int) -> Catalog:
    """Fills in antibody and the like where a field shows the same cells as one of another Catalog."""
    from lociscope.artifacts.catalog import Catalog
    from lociscope.data.duplicates import copy_columns
    from lociscope.data.scan import scan_catalog

    known = Catalog.read(path)
    if not known.table["antibody"].null_count < len(known):
        raise LociscopeError(
            f"Catalog '{path}' names no antibody. Make it of the Atlas' files: `lociscope import hpa`.",
            code=Code.INVALID_VALUE,
        )
    with console.progress("looking at fields") as tell:
        seen = scan_catalog(catalog, workers=workers, progress=tell)
    with console.progress("looking at the Atlas' fields") as tell:
        seen_known = scan_catalog(known, workers=workers, progress=tell)
    failures += [*seen.failures, *seen_known.failures]
    made, found = copy_columns(catalog, seen, known, seen_known)
    print(f"{found} of {console.counted(len(catalog))} found among the {len(known)} of {path}")
    return made


def _check(output: Path) -> None:
    """Refuses an output that would not be found again, or that is somebody else's."""
    if output.suffix != ".parquet":
        raise UsageError(
            f"-o '{output}' ends in {output.suffix!r}; a Catalog ends in .parquet. Rename it.",
            code=Code.UNSUPPORTED_FORMAT,
        )
    if output.exists():
        from lociscope.artifacts.catalog import Catalog

        try:
            Catalog.read(output)
        except LociscopeError as error:
            raise LociscopeError(
                f"'{output}' exists and is no Catalog. Name another file with -o.", code=Code.CONFLICT
            ) from error


def _write(catalog: Catalog, failures: list[Failure], output: Path) -> None:
    from lociscope.images.discovery.sources import write_failures

    catalog.write(output)
    listing = output.with_name(output.stem + ".failures.csv")
    write_failures(failures, listing)
    labelled = len(catalog.select_labelled())
    print(f"{console.counted(len(catalog))}, {labelled} labelled, in {output}")
    if failures:
        console.tell_failures(failures, listing)
        raise typer.Exit(Exit.SOME_FAILED)
