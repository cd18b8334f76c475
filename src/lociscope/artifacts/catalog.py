"""The Catalog: a table of fields, with or without labels."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from lociscope.artifacts.label_table import read_labels
from lociscope.channels import CHANNEL_NAMES
from lociscope.errors import Code, LociscopeError
from lociscope.labels import N_LABELS, parse_target
from lociscope.storage.atomic import atomic_write
from lociscope.storage.file_errors import unreadable_error
from lociscope.storage.parquet import cast_column
from lociscope.storage.paths import as_path
from lociscope.storage.schema import check_ids
from lociscope.storage.table_files import (
    CSVS,
    blanks_to_null,
    parse_decimal_commas,
    read_any,
    read_header,
    standardize_columns,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    import pyarrow as pa

    from lociscope.storage.paths import AnyPath

__all__ = ["COLUMNS", "Catalog", "Entry", "hash_catalog", "is_catalog", "read_labels"]

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a Catalog; the columns are described in `docs/reference/files.md`.

    Attributes:
        id: Name of the field, unique in its Catalog.
        target: Class numbers; None for a field without label, an empty tuple for a label without location.
        red: Path of the plane, relative to the Catalog's folder; likewise `green`, `blue`, `yellow`.
        pixel_size: Side of a pixel in µm, or None where it is unknown.
        split: `train`, `valid` or `test`.
        fold: Number of the cross-validation fold, from 0.
    """

    id: str
    target: tuple[int, ...] | None = None
    red: str | None = None
    green: str | None = None
    blue: str | None = None
    yellow: str | None = None
    plane: int | None = None
    antibody: str | None = None
    gene: str | None = None
    cell_line: str | None = None
    specimen: str | None = None
    plate: str | None = None
    well: str | None = None
    site: str | None = None
    pixel_size: float | None = None
    source: str | None = None
    licence: str | None = None
    split: str | None = None
    fold: int | None = None


COLUMNS: tuple[str, ...] = tuple(field.name for field in fields(Entry))
_NUMBERS = {"plane": "int64", "pixel_size": "float64", "fold": "int64"}


@dataclass(frozen=True, slots=True)
class Catalog:
    """A table of fields, stored as columns.

    Attributes:
        table: The columns of `Entry`, and any further ones that its file has.
        folder: The folder to which the paths of planes are relative.
    """

    table: pa.Table
    folder: Path

    @classmethod
    def from_entries(cls, entries: Iterable[Entry], folder: Path) -> Self:
        """Make a Catalog of rows.

        Raises:
            LociscopeError: There is no row, or an id is blank or duplicated.
        """
        import pyarrow as pa

        rows = list(entries)
        _check_ids([row.id for row in rows], f"The Catalog of '{folder}'")
        columns = {name: [getattr(row, name) for row in rows] for name in COLUMNS}
        return cls(pa.table(columns, schema=_arrow_schema()), folder)

    @classmethod
    def read(cls, path: AnyPath, may_lack: Collection[str] = ()) -> Self:
        """Read a Catalog, or any Parquet or CSV table of paths.

        Column names may be in any case. A table of another program has no schema; its `target` may be a string of class
        numbers between spaces, and a blank is null.

        Args:
            path: The file.
            may_lack: Channels whose column may be absent.

        Raises:
            LociscopeError: The file is missing, is not a table of fields, is of a newer schema, or holds a column of
                another type, an id that is blank or duplicated, or a label that is not a class number.
        """
        path = as_path(path)
        what = f"Catalog '{path}'"
        table, ours = read_any(path, "Catalog", "catalog", SCHEMA)
        table = standardize_columns(table, COLUMNS, what)
        missing = [name for name in ("id", *CHANNEL_NAMES) if name not in table.column_names and name not in may_lack]
        if missing:
            raise LociscopeError(
                f"'{path}' has no column {missing[0]!r} (columns: {', '.join(table.column_names)}). "
                f"A table of fields needs the columns id, {', '.join(CHANNEL_NAMES)}; `lociscope import` makes one.",
                code=Code.WRONG_FILE,
            )
        table = _conform(table if ours else _plain(table, what), what)
        if not ours:
            _check_sizes(table, what)
        _check_ids(table["id"].to_pylist(), what)
        return cls(table, path.parent)

    def write(self, path: AnyPath) -> None:
        """Write the Catalog atomically; `path` should be in `folder`, to which its paths are relative."""
        import pyarrow.parquet as pq

        table = self.table.replace_schema_metadata({"kind": "catalog", "schema": str(SCHEMA)})
        with atomic_write(Path(path)) as part:
            pq.write_table(table, part)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __iter__(self) -> Iterator[Entry]:
        for batch in self.table.to_batches(max_chunksize=10_000):
            for row in batch.to_pylist():
                known: dict[str, Any] = {name: row[name] for name in COLUMNS if name in row}
                if known.get("target") is not None:
                    known["target"] = tuple(known["target"])
                yield Entry(**known)

    @property
    def ids(self) -> list[str]:
        """The ids of the fields, in order."""
        return list(self.table["id"].to_pylist())

    def filter(self, column: str, value: str | int) -> Self:
        """Return the rows whose `column` equals `value`, in order."""
        import pyarrow.compute as pc

        return type(self)(self.table.filter(pc.equal(self.table[column], value)), self.folder)

    def exclude(self, column: str, value: str | int) -> Self:
        """Return the rows whose `column` is null or differs from `value`, in order."""
        import pyarrow.compute as pc

        differs = pc.fill_null(pc.not_equal(self.table[column], value), True)
        return type(self)(self.table.filter(differs), self.folder)

    def select(self, rows: list[bool]) -> Self:
        """Return the rows for which `rows` is true, in order."""
        import pyarrow as pa

        return type(self)(self.table.filter(pa.array(rows, pa.bool_())), self.folder)

    def with_column(self, column: str, values: list[Any]) -> Self:
        """Return the rows with new values for a column of `Entry`: one value, or None, for each row."""
        import pyarrow as pa

        array = pa.array(values, _arrow_schema().field(column).type)
        index = self.table.column_names.index(column)
        return type(self)(self.table.set_column(index, column, array), self.folder)

    def select_labelled(self) -> Self:
        """Return the rows that have a label."""
        return type(self)(self.table.filter(self.table["target"].is_valid()), self.folder)


def hash_catalog(path: AnyPath) -> str:
    """Return the sha256 of a Catalog's file.

    Raises:
        LociscopeError: It cannot be read.
    """
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise unreadable_error(Path(path), error, "Catalog") from error


def is_catalog(path: Path) -> bool:
    """Return whether a file is a table of fields, not of labels: Parquet, or a CSV with columns of channels."""
    if path.suffix.lower() not in CSVS:
        return path.suffix.lower() == ".parquet"
    names = {name.strip().casefold() for name in read_header(path)}
    return {"id", "red", "green", "blue"} <= names


def _arrow_schema() -> pa.Schema:
    import pyarrow as pa

    kinds = {name: getattr(pa, _NUMBERS.get(name, "string"))() for name in COLUMNS}
    kinds["target"] = pa.list_(pa.int64())
    return pa.schema(list(kinds.items()))


def _conform(table: pa.Table, what: str) -> pa.Table:
    """Return the table with every column of `Entry`, cast to its type; further columns are kept."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for column in _arrow_schema():
        if column.name in table.column_names:
            values = cast_column(table, column.name, column.type, what)
            table = table.set_column(table.column_names.index(column.name), column, values)
        else:
            table = table.append_column(column, pa.nulls(len(table), column.type))
    numbers = pc.list_flatten(table["target"])
    wrong = pc.invert(pc.is_in(numbers, pa.array(range(N_LABELS), pa.int64())))
    if pc.any(wrong).as_py():
        first = numbers.filter(wrong)[0].as_py()
        raise LociscopeError(
            f"{what} holds the label {first}; expected class numbers 0–{N_LABELS - 1}. Correct it.",
            code=Code.INVALID_LABELS,
        )
    return table


def _plain(table: pa.Table, what: str) -> pa.Table:
    """Return a table of another program with null for blanks, and lists of class numbers as targets."""
    import pyarrow as pa

    for name in (name for name in COLUMNS if name in table.column_names):
        column = blanks_to_null(table[name])
        if name in _NUMBERS:
            column = parse_decimal_commas(column)
        elif name == "target" and pa.types.is_string(column.type):
            column = pa.chunked_array([_targets(column.to_pylist(), what)])
        table = table.set_column(table.column_names.index(name), name, column)
    return table


def _targets(texts: list[str | None], what: str) -> pa.Array:
    import pyarrow as pa

    targets = []
    for row, text in enumerate(texts, 1):
        try:
            targets.append(None if text is None else list(parse_target(text)))
        except LociscopeError as error:
            raise LociscopeError(f"{what} row {row}: {error}", code=error.code) from error
    return pa.array(targets, pa.list_(pa.int64()))


def _check_sizes(table: pa.Table, what: str) -> None:
    import pyarrow.compute as pc

    sizes = table["pixel_size"]
    wrong = sizes.filter(pc.invert(pc.and_(pc.greater(sizes, 0), pc.less(sizes, 1000))))
    if len(wrong) > wrong.null_count:
        raise LociscopeError(
            f"{what} holds the pixel_size {wrong.drop_null()[0].as_py()}; expected µm above 0, such as 0.08. "
            "Correct it.",
            code=Code.PIXEL_SIZE,
        )


def _check_ids(ids: list[str], what: str) -> None:
    if not ids:
        raise LociscopeError(
            f"{what} holds no field. Pass a folder with files like a1_red.png … a1_yellow.png.", code=Code.NOTHING_FOUND
        )
    check_ids(ids, what)
