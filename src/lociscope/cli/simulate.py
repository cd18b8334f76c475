"""`lociscope simulate`: simulate fields of cells."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lociscope.cli import console

app = typer.Typer(help="Simulate fields of cells.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Simulate fields of cells."""


@app.command()
def atlas(
    folder: Annotated[Path, typer.Argument(help="Where to write it.")],
    fields: Annotated[int, typer.Option("--fields", "-n", min=1, help="How many fields.")],
    size: Annotated[int, typer.Option(min=64, help="Side of a field in px; 512 is the competition's.")] = 512,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same pixels.")] = 0,
    location: Annotated[
        list[str] | None, typer.Option(help="A location that every field shows, by its name; may be repeated.")
    ] = None,
    cell_line: Annotated[str | None, typer.Option(help="The cell line of every field.")] = None,
    label_noise: Annotated[float, typer.Option(min=0, max=1, help="Share of labels that are wrong.")] = 0.0,
    balance: Annotated[
        float, typer.Option(min=0, max=1, help="Class balance: 0 the frequencies of HPA v18, 1 nearly even.")
    ] = 0.0,
    workers: Annotated[int, typer.Option(min=1, help="Processes that simulate.")] = 2,
) -> None:
    """Write an atlas in the competition's layout, with the truth of every cell."""
    from lociscope.workflows.simulate import simulate_atlas

    with console.progress("simulating") as report:
        made = simulate_atlas(
            folder,
            fields,
            size=size,
            seed=seed,
            locations=location or None,
            cell_line=cell_line,
            label_noise=label_noise,
            balance=balance,
            workers=workers,
            progress=report,
        )
    print(f"{console.count_fields(fields)} in {made}")
