"""`lociscope summarize` and `lociscope convert`: predictions for people and for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

if TYPE_CHECKING:
    from lociscope.workflows.share import Target

CatalogOption = Annotated[
    Path | None, typer.Option("--catalog", help="The fields' Catalog, which gives their properties.")
]


def summarize(
    predictions: Annotated[Path, typer.Argument(metavar="PREDICTIONS", help="The table of the fields.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write, .csv or .parquet.")],
    by: Annotated[
        str, typer.Option("--by", help="well, plate, antibody, gene, cell_line or specimen.", metavar="PROPERTY")
    ] = "well",
    catalog: CatalogOption = None,
) -> None:
    """Summarize predicted fields by well, antibody or another property."""
    from lociscope.workflows.share import summarize_predictions

    rows = summarize_predictions(predictions, output, by=by, catalog=catalog)
    print(f"{len(rows)} {'row' if len(rows) == 1 else 'rows'} in {output}")


def convert(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="Predictions, or for anndata also a table of cells.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write, .h5ad or .csv.")],
    to: Annotated[str, typer.Option("--to", metavar="TARGET", help="anndata, omero or omero-wells.")],
    catalog: CatalogOption = None,
    image_suffix: Annotated[
        str, typer.Option("--image-suffix", help="What the images' names in OMERO have after the id: .ome.tif.")
    ] = "",
) -> None:
    """Write predictions for other programs: AnnData, or a CSV for `omero metadata populate`."""
    from lociscope.workflows.share import convert_predictions

    rows = convert_predictions(table, output, to=cast("Target", to), catalog=catalog, image_suffix=image_suffix)
    print(f"{rows} {'row' if rows == 1 else 'rows'} in {output}")
