"""Parquet files: check the kind and the schema of those that lociscope wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lociscope.errors import Code, LociscopeError
from lociscope.storage.file_errors import unreadable_error
from lociscope.storage.schema import check_schema

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa


def read_parquet(path: Path, what: str, kind: str, schema: int, *, foreign: bool = False) -> pa.Table:
    """Read a Parquet file.

    Args:
        path: The file.
        what: Its noun for error messages: `Catalog`, `Predictions`.
        kind: The value that its metadata must carry under `kind`.
        schema: The newest schema that can be read.
        foreign: Whether to read files of other programs, which state no kind.

    Returns:
        The table.

    Raises:
        LociscopeError: The file is missing, is not Parquet, is of another kind or of a newer schema.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # One plain file, no dataset discovery: a path is never read as a pattern or a partition.
        with path.open("rb") as file:
            table = pq.ParquetFile(file).read()
        table.validate(full=True)  # bytes that are not text, found by fuzzing
    except OSError as error:
        if error.errno is None:  # pyarrow's error for damaged contents
            raise LociscopeError(
                f"'{path}' is damaged or cut short ({error}). Make it again.", code=Code.CORRUPT
            ) from error
        raise unreadable_error(path, error, what) from error
    except (pa.ArrowException, ValueError, KeyError) as error:
        raise LociscopeError(
            f"'{path}' is not a {what} file: it is not Parquet. Name a file that lociscope wrote.", code=Code.WRONG_FILE
        ) from error
    metadata = table.schema.metadata or {}
    found = metadata.get(b"kind", b"").decode(errors="replace")
    if foreign and not found:
        return table
    if found != kind:
        raise LociscopeError(
            f"'{path}' is not a {what} file (its kind is {found!r}). Name a {what} file that lociscope wrote.",
            code=Code.WRONG_FILE,
        )
    check_schema(metadata.get(b"schema"), schema, f"{what} '{path}'")
    return table


def to_list_array(rows: np.ndarray) -> pa.ListArray:
    """Return a column of lists of float32, in which NaN is null.

    Args:
        rows: (n, k).
    """
    import pyarrow as pa

    flat = np.ascontiguousarray(rows, np.float32).ravel()
    offsets = np.arange(len(rows) + 1, dtype=np.int32) * rows.shape[1]
    return pa.ListArray.from_arrays(offsets, pa.array(flat, mask=np.isnan(flat)))


def cast_column(table: pa.Table, name: str, kind: pa.DataType, what: str) -> pa.ChunkedArray:
    """Cast a column to a type; strings and lists of other layouts are accepted.

    Raises:
        LociscopeError: The column holds something else.
    """
    import re

    import pyarrow as pa

    try:
        return table[name].cast(kind)
    except pa.ArrowException as error:
        value = re.search(r"'(.{0,40}).*' as a scalar", str(error), re.DOTALL)
        found = f"{value[1]!r}" if value else str(table[name].type)
        raise LociscopeError(
            f"{what}: column {name!r} holds {found}, expected {kind}. Correct that column.", code=Code.INVALID_VALUE
        ) from error
