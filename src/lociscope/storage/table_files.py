"""Tables of fields: names of those to write; those that any program wrote, with column names in any case."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING

from lociscope.errors import Code, LociscopeError, UsageError
from lociscope.storage.file_errors import not_csv_error, unreadable_error
from lociscope.storage.parquet import read_parquet

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import pyarrow as pa

CSVS = (".csv", ".tsv")
TABLES = (".parquet", *CSVS)
"""Suffixes of the tables that are read."""

MICROMETRES = ("um", "µm", "micron", "microns", "micrometer", "micrometers", "micrometre", "micrometres")
"""Units that a column name may end in."""

_URL = re.compile(r"(?:^|/)(?P<scheme>[a-z][a-z0-9+.-]+):/+(?P<rest>.*)", re.IGNORECASE | re.DOTALL)

_SIZE = "pixel_size"
_LIKE_SIZE = re.compile("pixelsize|physicalsize|perp(?:ixel|x)$")

SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".ods")


def check_suffix(path: Path, *expected: str, reason: str = "") -> None:
    """Refuse to write a table whose name has another suffix.

    Args:
        path: The file to write.
        expected: The suffixes that it may have, such as `.parquet`.
        reason: Begins the error message: "`kaggle` writes CSV. ".

    Raises:
        UsageError: It has none of them.
    """
    if path.suffix not in expected:
        raise UsageError(
            f"{reason}'{path}' ends in {path.suffix!r}; expected {' or '.join(expected)}. Rename it.",
            code=Code.UNSUPPORTED_FORMAT,
        )


def read_any(path: Path, what: str, kind: str, schema: int) -> tuple[pa.Table, bool]:
    """Read a table that any program wrote.

    Args:
        path: A Parquet file, or a CSV with commas, semicolons or tabs; its values are strings, blanks are null.
        what: Its noun for error messages: `Catalog`, `Predictions`.
        kind: The kind that lociscope gives such a Parquet file.
        schema: The newest schema that can be read.

    Returns:
        The table, and whether lociscope wrote it as one of that kind.

    Raises:
        LociscopeError: The file is missing, is a URL, a spreadsheet or another file, or is lociscope's of another kind
            or of a newer schema.
    """
    suffix = path.suffix.lower()
    if url := find_url(path):
        raise LociscopeError(
            f"'{url}' is a URL, which lociscope does not read. Download it, and name the file.",
            code=Code.UNSUPPORTED_FORMAT,
        )
    if suffix in SPREADSHEETS:
        raise LociscopeError(
            f"'{path}' is a spreadsheet, which lociscope does not read. Save its sheet as CSV.",
            code=Code.UNSUPPORTED_FORMAT,
        )
    if suffix in CSVS:
        return _read_csv(path, what), False
    table = read_parquet(path, what, kind, schema, foreign=True)
    return _with_plain_strings(table), b"kind" in (table.schema.metadata or {})


def find_url(path: Path) -> str | None:
    """Return the URL that a path was written as, `https://…` or `s3://…`; None for others, and for a `RemotePath`."""
    match = _URL.search(path.as_posix())
    url = match and f"{match['scheme']}://{match['rest']}"
    return None if url is None or str(path) == url or path.exists() else url


def read_header(path: Path) -> list[str]:
    """Return the column names of a CSV file; an empty list where it cannot be read."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            head = lines.readline(1 << 16)
    except (OSError, UnicodeDecodeError):
        return []
    delimiter, spaced = _delimiter(head)
    return next(csv.reader([head], delimiter=delimiter, skipinitialspace=spaced), [])


def standardize_columns(table: pa.Table, known: Iterable[str], what: str) -> pa.Table:
    """Rename columns to the known names that they equal but for case, blanks, punctuation and a unit of µm.

    Raises:
        LociscopeError: Two columns have one name, or a column of another name seems to be the pixel size.
    """
    wanted = {_letters(name): name for name in known}
    if _SIZE in wanted.values():
        wanted |= {_letters(_SIZE + unit): _SIZE for unit in MICROMETRES}
    names = [wanted.get(_letters(name), name) for name in table.column_names]
    duplicate = next((name for name in names if names.count(name) > 1), None)
    if duplicate is not None:
        raise LociscopeError(f"{what} has two columns called {duplicate!r}. Keep one of them.", code=Code.DUPLICATE)
    other = next((name for name in names if _LIKE_SIZE.search(_letters(name))), None)
    if other is not None and _SIZE in wanted.values() and _SIZE not in names:
        raise LociscopeError(
            f"{what} has a column {other!r}. Call the side of a pixel {_SIZE!r}, and give it in µm.",
            code=Code.PIXEL_SIZE,
        )
    return table.rename_columns(names)


def blanks_to_null(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Replace blanks of a string column, and NaN of a float column, by null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_floating(column.type):
        return pc.if_else(pc.is_nan(column), None, column)
    if pa.types.is_string(column.type):
        return pc.if_else(pc.equal(pc.utf8_trim_whitespace(column), ""), None, column)
    return column


def parse_decimal_commas(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Replace decimal commas of a string column, as in `0,08`, by points."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_string(column.type):
        return column
    return pc.replace_substring_regex(pc.utf8_trim_whitespace(column), r"^([-+]?\d+),(\d+)$", r"\1.\2")


def _read_csv(path: Path, what: str) -> pa.Table:
    import pyarrow as pa

    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            delimiter, spaced = _delimiter(lines.readline(1 << 16))
            lines.seek(0)
            rows = [row for row in csv.reader(lines, delimiter=delimiter, skipinitialspace=spaced) if row]
    except OSError as error:
        raise unreadable_error(path, error, what) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise not_csv_error(path, error) from error
    names, *rows = rows or [[]]
    wrong = next((number for number, row in enumerate(rows, 2) if len(row) > len(names)), None)
    if wrong is not None:
        raise LociscopeError(
            f"{what} '{path}' line {wrong} has {len(rows[wrong - 2])} values for {len(names)} columns "
            f"({_listed(names)}). Put values that hold a '{delimiter}' in quotes.",
            code=Code.CORRUPT,
        )
    columns = [[row[at] if at < len(row) and row[at] else None for row in rows] for at in range(len(names))]
    return pa.table([pa.array(column, pa.string()) for column in columns], names=names)


def _with_plain_strings(table: pa.Table) -> pa.Table:
    """Convert columns of dictionary, large and view strings to plain strings."""
    import pyarrow as pa

    for number, column in enumerate(table.columns):
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
            kind = pa.string()
        if kind != column.type:
            table = table.set_column(number, table.column_names[number], column.cast(kind))
    return table


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name).casefold()


def _delimiter(head: str) -> tuple[str, bool]:
    """Guess the delimiter of a CSV from its first line; also return whether it is followed by blanks."""
    bare = re.sub(r'"[^"]*"', "", head)
    delimiter = max(",;\t", key=bare.count)
    return delimiter, f"{delimiter} " in bare


def _listed(names: Sequence[str]) -> str:
    text = ", ".join(names)
    return text if len(text) <= 80 else f"{text[:80]}…"
