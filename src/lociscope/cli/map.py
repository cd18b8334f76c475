"""`lociscope map`: predicted fields as points, similar ones side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lociscope.cli import console


def map_fields(
    predictions: Annotated[Path, typer.Argument(help="Predictions with embeddings, .parquet.")],
    fields: Annotated[
        Path | None,
        typer.Argument(metavar="[FIELDS]", help="Their Catalog, or a folder or archive: gives thumbnails."),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The page, .html; the points are written beside it as .json.")
    ] = Path("map.html"),
    method: Annotated[
        str | None, typer.Option("--method", help="umap or tsne; by default umap, where umap-learn is installed.")
    ] = None,
) -> None:
    """Map predicted fields by their embeddings, with thumbnails, coloured by location, cell line or plate."""
    from lociscope.workflows.map import map_predictions

    with console.progress("rendering") as progress:
        page = map_predictions(predictions, output, fields=fields, method=method, progress=progress)
    print(page)
