"""`lociscope import`: files become a Catalog."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lociscope.cli import console
from lociscope.errors import Exit, LociscopeError, UsageError

if TYPE_CHECKING:
    from lociscope.catalog import Catalog
    from lociscope.images.sources import Failure

app = typer.Typer(help="Make a Catalog of files.", no_args_is_help=True)

Out = Annotated[Path, typer.Option("--output", "-o", help="The Catalog to write.")]
DEFAULT_OUT = Path("catalog.parquet")


@app.command()
def kaggle(
    source: Annotated[Path, typer.Argument(help="The competition's folder, with train.csv and train/.")],
    output: Out = DEFAULT_OUT,
) -> None:
    """Make a Catalog of the competition's train.csv and train/."""
    _check(output)
    from lociscope.data.importing import import_kaggle

    _write(*import_kaggle(source, output.parent), output)


@app.command()
def folder(
    source: Annotated[Path, typer.Argument(help="A folder of <id>_{red,green,blue,yellow}.png files.")],
    labels: Annotated[Path | None, typer.Option(help="A CSV Id,Target; without it nothing is labelled.")] = None,
    output: Out = DEFAULT_OUT,
) -> None:
    """Make a Catalog of a folder, with labels from any CSV Id,Target."""
    _check(output)
    from lociscope.data.importing import import_folder

    _write(*import_folder(source, labels, output.parent), output)


def _check(output: Path) -> None:
    """Refuses an output that would not be found again, or that is somebody else's."""
    if output.suffix != ".parquet":
        raise UsageError(f"-o '{output}' ends in {output.suffix!r}; a Catalog ends in .parquet. Rename it.")
    if output.exists():
        from lociscope.catalog import Catalog

        try:
            Catalog.read(output)
        except LociscopeError as error:
            raise LociscopeError(f"'{output}' exists and is no Catalog. Name another file with -o.") from error


def _write(catalog: "Catalog", failures: "list[Failure]", output: Path) -> None:
    from lociscope.images.sources import write_failures

    catalog.write(output)
    listing = output.with_name(output.stem + ".failures.csv")
    write_failures(failures, listing)
    labelled = len(catalog.labelled())
    print(f"{console.counted(len(catalog))}, {labelled} labelled, in {output}")
    if failures:
        console.tell_failures(failures, listing)
        raise typer.Exit(Exit.SOME_FAILED)
