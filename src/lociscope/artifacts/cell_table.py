"""The table of predicted cells, `OUT.cells.parquet`: one row for each cell of each field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lociscope.storage.atomic import atomic_write
from lociscope.storage.parquet import read_parquet

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from lociscope.storage.paths import AnyPath

KIND = "cells"
SCHEMA = 1

COLUMNS: dict[str, str] = {
    "id": "string",
    "cell": "int32",
    "locations": "list<string>",
    "predicted": "list<int64>",
    "probability": "list<float>",
    "status": "string",
    "y": "float",
    "x": "float",
    "top": "int32",
    "left": "int32",
    "bottom": "int32",
    "right": "int32",
    "area_um2": "float",
    "nucleus_area_um2": "float",
    "at_edge": "bool",
    "intensity": "float",
    "distance": "float",
    "plate": "string",
    "well": "string",
    "site": "string",
}
"""The columns and their types; `docs/reference/files.md` describes them."""


def cell_schema() -> pa.Schema:
    """Return the Arrow schema of the table."""
    import pyarrow as pa

    types = {
        "string": pa.string(),
        "int32": pa.int32(),
        "float": pa.float32(),
        "bool": pa.bool_(),
        "list<string>": pa.list_(pa.string()),
        "list<int64>": pa.list_(pa.int64()),
        "list<float>": pa.list_(pa.float32()),
    }
    return pa.schema([(name, types[kind]) for name, kind in COLUMNS.items()])


def write_cells(table: pa.Table, path: AnyPath, about: Mapping[str, Any] | None = None) -> None:
    """Write a table of cells atomically.

    Args:
        table: With the columns of `COLUMNS`.
        path: The file, `.parquet`.
        about: What made it, kept in the metadata for `get_about`.

    Raises:
        LociscopeError: The location cannot be written.
    """
    import pyarrow.parquet as pq

    metadata = {"kind": KIND, "schema": str(SCHEMA), "about": json.dumps(dict(about or {}))}
    with atomic_write(Path(path)) as part:
        pq.write_table(table.replace_schema_metadata(metadata), part)


def read_cells(path: AnyPath) -> pa.Table:
    """Read a table of cells.

    Raises:
        LociscopeError: The file is missing, is not a table of cells, or is of a newer schema.
    """
    return read_parquet(Path(path), "table of cells", KIND, SCHEMA)


def get_about(schema: pa.Schema) -> dict[str, Any]:
    """Return what made a table of cells, from its schema."""
    about: dict[str, Any] = json.loads((schema.metadata or {}).get(b"about", b"{}"))
    return about


def is_cell_table(path: AnyPath) -> bool:
    """Return whether a file is a table of cells."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_schema(path).metadata or {}
    except (pa.ArrowException, OSError):
        return False
    return bool(metadata.get(b"kind") == KIND.encode())
