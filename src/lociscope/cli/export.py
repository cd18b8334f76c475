"""`lociscope export`: a Run becomes a Bundle."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    run: Annotated[Path, typer.Argument(help="A finished Run.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The Bundle to make.")] = Path("bundle"),
    name: Annotated[str | None, typer.Option(help="Its name in the card; by default the folder's.")] = None,
    licence: Annotated[str, typer.Option(help="Licence of the weights, SPDX.")] = "Apache-2.0",
    limits: Annotated[str | None, typer.Option(help="What the model is not, for the card.")] = None,
) -> None:
    """Export a network as a Bundle: ONNX compared with Keras, scored, hashed, self-testing."""
    from lociscope.run import Run
    from lociscope.training import export as exporting

    words = exporting.DEFAULT_LIMITS if limits is None else limits
    difference = exporting.export(Run.open(run), output, name or output.resolve().name, licence, words)
    print(f"{output} (ONNX differs from Keras by {difference:.1g} at most)")
