"""`lociscope simulate`: fields of virtual cells."""

from pathlib import Path
from typing import Annotated

import typer

from lociscope.cli import console

app = typer.Typer(help="Draw fields of virtual cells.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Draw fields of virtual cells."""


@app.command()
def atlas(
    folder: Annotated[Path, typer.Argument(help="Where to write it.")],
    fields: Annotated[int, typer.Option("--fields", "-n", min=1, help="How many fields.")],
    size: Annotated[int, typer.Option(min=64, help="Side of a field in px; 512 is the competition's.")] = 512,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same pixels.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes that draw.")] = 2,
) -> None:
    """Write an atlas in the competition's layout, with the truth of every cell."""
    from lociscope.simulate.atlas import write_atlas

    with console.progress("drawing") as tell:
        made = write_atlas(folder, fields=fields, size=size, seed=seed, workers=workers, progress=tell)
    print(f"{console.counted(fields)} in {made}")
