"""Label tables, CSVs with the columns `Id` and `Target`."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from lociscope.errors import Code, LociscopeError
from lociscope.labels import parse_target
from lociscope.storage.file_errors import not_csv_error, unreadable_error

if TYPE_CHECKING:
    from lociscope.storage.paths import AnyPath


def read_labels(path: AnyPath, column: str = "Target") -> dict[str, tuple[int, ...]]:
    """Read a label table, a CSV with the columns `Id` and `Target`.

    A byte-order mark, Windows line ends, further columns, and column names in another case are accepted.

    Args:
        path: The CSV file.
        column: Name of the column of labels.

    Returns:
        Class numbers by id, in the order of the file.

    Raises:
        LociscopeError: The file cannot be read, lacks a column, holds an id twice, or a wrong label.
    """
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            columns = list(reader.fieldnames or [])
            reader.fieldnames = [_match_name(name, ("Id", column)) for name in columns]
            if "Id" not in reader.fieldnames or column not in reader.fieldnames:
                raise LociscopeError(
                    f"'{path}' is not a label table: expected the columns Id,{column}, "
                    f"found {','.join(columns)[:80] or 'nothing'}. Write the header line 'Id,{column}'.",
                    code=Code.WRONG_FILE,
                )
            return _parse_rows(reader, path, column)
    except OSError as error:
        raise unreadable_error(path, error) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise not_csv_error(path, error) from error


def _match_name(name: str, known: tuple[str, ...]) -> str:
    return next((each for each in known if each.casefold() == name.strip().casefold()), name)


def _parse_rows(reader: csv.DictReader[str], path: Path, column: str) -> dict[str, tuple[int, ...]]:
    labels: dict[str, tuple[int, ...]] = {}
    for row in reader:
        identifier = row["Id"]
        if not identifier:
            raise LociscopeError(
                f"'{path}' line {reader.line_num} has no id. Give every row its Id.", code=Code.INVALID_VALUE
            )
        if identifier in labels:
            raise LociscopeError(
                f"'{path}' names the id {identifier!r} twice, again in line {reader.line_num}. Keep one of them.",
                code=Code.DUPLICATE,
            )
        if row[column] is None:
            raise LociscopeError(
                f"'{path}' line {reader.line_num} has no {column}. Check whether the file is complete.",
                code=Code.CORRUPT,
            )
        try:
            labels[identifier] = parse_target(row[column])
        except LociscopeError as error:
            raise LociscopeError(f"'{path}' line {reader.line_num}: {error}", code=error.code) from error
    return labels
