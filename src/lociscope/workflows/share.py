"""Turn predictions into the files of other programs, and summarise them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

from lociscope.artifacts.catalog import Catalog
from lociscope.artifacts.cell_table import is_cell_table, read_cells
from lociscope.artifacts.predictions import Predictions
from lociscope.errors import Code, LociscopeError, UsageError, suggest
from lociscope.predict.anndata_file import write_cells_anndata, write_fields_anndata
from lociscope.predict.omero import write_omero_images, write_omero_wells
from lociscope.predict.summaries import find_keys, summarize, write_summary
from lociscope.storage.paths import as_path
from lociscope.storage.table_files import check_suffix

if TYPE_CHECKING:
    from lociscope.storage.paths import AnyPath

Target = Literal["anndata", "omero", "omero-wells"]
"""`anndata`: `.h5ad` of fields or cells; `omero`, `omero-wells`: CSV for `omero metadata populate`."""
_SUFFIX_OF = {"anndata": ".h5ad", "omero": ".csv", "omero-wells": ".csv"}


def summarize_predictions(
    predictions: AnyPath, output: AnyPath, *, by: str = "well", catalog: AnyPath | None = None
) -> list[dict[str, Any]]:
    """Summarise Predictions by a property of the fields.

    Args:
        predictions: The table of the fields.
        output: The summary, `.csv` or `.parquet`.
        by: `well`, `plate`, `antibody`, `gene`, `cell_line` or `specimen`.
        catalog: The Catalog of the fields, which gives the property; without it plate, well and antibody come from
            the table and from names such as the Human Protein Atlas'.

    Returns:
        The rows, as `lociscope.predict.summaries.summarize` makes them.

    Raises:
        UsageError: `by` is unknown, or the output has another suffix.
        LociscopeError: A file cannot be read or written, or no field has the property.
    """
    table = Predictions.read(as_path(predictions))
    names, keys = find_keys(table, by, _read_catalog(catalog))
    rows = summarize(table, names, keys)
    write_summary(rows, as_path(output))
    return rows


def convert_predictions(
    table: AnyPath, output: AnyPath, *, to: Target, catalog: AnyPath | None = None, image_suffix: str = ""
) -> int:
    """Write Predictions or a table of cells for another program.

    Args:
        table: Predictions, or for `anndata` also a table of cells.
        output: The file, `.h5ad` for `anndata` and `.csv` for the others.
        to: The target.
        catalog: Gives plate and well for `omero-wells`.
        image_suffix: What the images' names in OMERO have after the fields' names, such as `.ome.tif`.

    Returns:
        The number of rows.

    Raises:
        UsageError: The target is unknown, or the output has another suffix.
        LociscopeError: A file cannot be read or written, or is of the wrong kind.
        MissingExtraError: anndata is not installed.
    """
    source, path = as_path(table), as_path(output)
    if to not in get_args(Target):
        raise UsageError(f"`to` has no {to!r}.{suggest(to, get_args(Target))}", code=Code.UNKNOWN_NAME)
    check_suffix(path, _SUFFIX_OF[to], reason=f"`to={to}` writes {_SUFFIX_OF[to]}. ")
    if is_cell_table(source):
        if to != "anndata":
            raise LociscopeError(
                f"'{source}' is a table of cells, and `to={to}` needs one of fields. Pass the table of the fields.",
                code=Code.WRONG_FILE,
            )
        cells = read_cells(source)
        write_cells_anndata(cells, path)
        return len(cells)
    predictions = Predictions.read(source)
    if to == "anndata":
        write_fields_anndata(predictions, path)
    elif to == "omero":
        write_omero_images(predictions, path, suffix=image_suffix)
    else:
        write_omero_wells(predictions, path, _read_catalog(catalog))
    return len(predictions)


def _read_catalog(path: AnyPath | None) -> Catalog | None:
    return None if path is None else Catalog.read(as_path(path))
