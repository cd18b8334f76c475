"""Read the columns of a table of Predictions that any program wrote."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from lociscope.errors import Code, LociscopeError
from lociscope.labels import HPA_NAMES, LABELS, N_LABELS, parse_target
from lociscope.storage.parquet import cast_column
from lociscope.storage.table_files import parse_decimal_commas
from lociscope.warnings import parse_warnings

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from lociscope.warnings import FieldWarning

logger = logging.getLogger(__name__)

FALLBACK_THRESHOLD = 0.5
"""Threshold of a table without a column of predicted classes."""

LIST = "probability"
"""The column of probabilities that lociscope writes: lists."""

_LISTS = (LIST, "probabilities", "probs", "prob", "scores", "predictions")
_NUMBERED = re.compile(r"(?P<prefix>.*?)(?P<number>\d{1,2})\s*")
_FLOAT = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|nan|inf", re.IGNORECASE)
_CLASSES = {re.sub(r"[\W_]", "", name).casefold(): number for name, number in HPA_NAMES.items()}


def read_probabilities(table: pa.Table, path: Path) -> np.ndarray:
    """Return the probabilities of a table: a column of lists, or 28 columns named by number or by location.

    Columns named by number have one prefix and the numbers 0–27: `p00` … `p27`, `0` … `27`, `class_0` … `class_27`.

    Returns:
        (n, 28) float32.

    Raises:
        LociscopeError: There are none, there is more than one set of them, or one is not a number.
    """
    import pyarrow as pa

    names = _numbered(table.column_names, path) or _called(table.column_names)
    if names is not None:
        return _matrix_of_columns(table, names, path)
    named = next((name for wanted in _LISTS for name in table.column_names if name.casefold() == wanted), None)
    lists = [name for name in table.column_names if _is_list(table, name)] if named is None else [named]
    if len(lists) != 1:
        found = ", ".join(table.column_names)
        raise LociscopeError(
            f"'{path}' is not a table of Predictions: it has no column {LIST!r} of lists of {N_LABELS}, and no "
            f"{N_LABELS} columns p00 … p{N_LABELS - 1} or named after the locations (columns: {found[:80]}"
            f"{'…' if len(found) > 80 else ''}). Pass a file that `lociscope predict` wrote, or rename the columns.",
            code=Code.WRONG_FILE,
        )
    column = table[lists[0]]
    if not pa.types.is_string(column.type):
        column = cast_column(table, lists[0], pa.list_(pa.float32()), f"Predictions '{path}'")
    return to_matrix(column.to_pylist(), path)


def to_matrix(rows: list[Any], path: Path) -> np.ndarray:
    """Convert rows of 28 numbers, or strings that list them, to an array.

    Raises:
        LociscopeError: A row holds another number of them, or something else.
    """
    rows = [_FLOAT.findall(row) if isinstance(row, str) else row for row in rows]
    wrong = next((i for i, row in enumerate(rows) if row is None or len(row) != N_LABELS), None)
    if wrong is not None:
        raise LociscopeError(
            f"Predictions '{path}' row {wrong + 1} does not hold {N_LABELS} probabilities. Make the file again.",
            code=Code.CORRUPT,
        )
    try:
        return np.asarray(rows, np.float32).reshape(len(rows), N_LABELS)
    except (TypeError, ValueError) as error:
        raise LociscopeError(
            f"Predictions '{path}' hold a probability that is not a number ({error}). Make them again.",
            code=Code.INVALID_VALUE,
        ) from error


def _numbered(names: list[str], path: Path) -> list[str] | None:
    """Return the columns with one prefix and the numbers 0–27, in order."""
    by_prefix: defaultdict[str, dict[int, str]] = defaultdict(dict)
    for name in names:
        if match := _NUMBERED.fullmatch(name):
            by_prefix[match["prefix"]][int(match["number"])] = name
    complete = [columns for columns in by_prefix.values() if sorted(columns) == list(range(N_LABELS))]
    if len(complete) > 1:
        first = " and ".join(repr(columns[0]) for columns in complete[:2])
        raise LociscopeError(
            f"'{path}' has more than one set of {N_LABELS} columns, of {first}. Keep one of them.", code=Code.DUPLICATE
        )
    if complete:
        return [complete[0][number] for number in range(N_LABELS)]
    for prefix, columns in by_prefix.items():
        if 0 in columns and max(columns) < N_LABELS and ("p00" in names or len(columns) > N_LABELS // 2):
            number = min(set(range(N_LABELS)) - set(columns))
            missing = f"{prefix}{number:0{len(columns[0].strip()) - len(prefix)}d}"
            raise LociscopeError(
                f"'{path}' is not a table of Predictions: it has no column {missing!r} beside {columns[0]!r} (columns: "
                f"{', '.join(names)[:80]}). Provide all {N_LABELS} classes, 0–{N_LABELS - 1}.",
                code=Code.WRONG_FILE,
            )
    if any(sorted(columns) == list(range(1, N_LABELS + 1)) for columns in by_prefix.values()):
        raise LociscopeError(
            f"'{path}' numbers its classes 1–{N_LABELS}; expected 0–{N_LABELS - 1}, Nucleoplasm first. "
            "Rename the columns.",
            code=Code.INVALID_VALUE,
        )
    return None


def _called(names: list[str]) -> list[str] | None:
    """Return the columns named after the 28 locations, in the order of the classes."""
    found = {_CLASSES[plain]: name for name in names if (plain := re.sub(r"[\W_]", "", name).casefold()) in _CLASSES}
    return [found[number] for number in range(len(LABELS))] if len(found) == N_LABELS else None


def _is_list(table: pa.Table, name: str) -> bool:
    """Return whether a column, other than the embedding, holds lists of floats."""
    import pyarrow as pa

    kind = table[name].type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return name != "embedding" and is_list and pa.types.is_floating(kind.value_type)


def _matrix_of_columns(table: pa.Table, names: list[str], path: Path) -> np.ndarray:
    import pyarrow as pa

    columns = []
    for name in names:
        column = parse_decimal_commas(table[name])
        try:
            columns.append(column.cast(pa.float32()).to_numpy())
        except pa.ArrowException as error:
            raise LociscopeError(
                f"Predictions '{path}' hold a probability that is not a number (column {name!r}: {error}). "
                "Make them again.",
                code=Code.INVALID_VALUE,
            ) from error
    return np.stack(columns, axis=1) if len(table) else np.empty((0, N_LABELS), np.float32)


def check_probabilities(probability: np.ndarray, ids: list[str], what: str) -> None:
    """Refuse probabilities outside 0–1.

    A class without any probability is one that the model does not know.

    Raises:
        LociscopeError: A value is outside 0–1, or NaN where another field has a number; or no class is known.
    """
    unknown = np.isnan(probability).all(axis=0)
    if unknown.all():
        unknown[:] = False
    wrong = ~((probability >= 0) & (probability <= 1) | unknown)  # also true where not a number
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise LociscopeError(
            f"{what} hold {probability[row, column]} as the probability of class {column} "
            f"of {ids[row]!r}; expected a number in 0–1. Pass probabilities, not logits.",
            code=Code.INVALID_VALUE,
        )


def get_values(table: pa.Table, name: str) -> list[Any]:
    """Return the values of a column; None for each row where the column is absent."""
    return list(table[name].to_pylist()) if name in table.column_names else [None] * len(table)


def get_texts(table: pa.Table, name: str) -> list[str]:
    """Return the values of a column as strings, empty where there are none."""
    return ["" if value is None else str(value) for value in get_values(table, name)]


def read_predicted(table: pa.Table, probability: np.ndarray, what: str) -> list[tuple[int, ...]]:
    """Return the predicted classes of each row, ascending.

    Without a column `predicted`, these are the classes above `FALLBACK_THRESHOLD`, and a warning is logged.

    Raises:
        LociscopeError: A row holds something that is not a class.
    """
    if "predicted" not in table.column_names:
        logger.warning("%s have no column 'predicted': the classes above %s are predicted", what, FALLBACK_THRESHOLD)
        return [tuple(map(int, np.flatnonzero(row > FALLBACK_THRESHOLD))) for row in probability]
    rows = get_values(table, "predicted")
    return [_classes(row, f"{what} row {number}") for number, row in enumerate(rows, 1)]


def _classes(value: Any, what: str) -> tuple[int, ...]:  # noqa: ANN401 - whatever a table of others holds
    """Return the class numbers of a list, a string with blanks between them, one number, or nothing."""
    if value is None:
        return ()
    if isinstance(value, str):
        try:
            return parse_target(value)
        except LociscopeError as error:
            raise LociscopeError(f"{what}: {error}", code=error.code) from error
    numbers = value if isinstance(value, list) else [value]
    wrong = [number for number in numbers if number not in range(N_LABELS)]
    if wrong:
        raise LociscopeError(
            f"{what} holds the class {wrong[0]!r}; expected class numbers 0–{N_LABELS - 1}. Make it again.",
            code=Code.INVALID_LABELS,
        )
    return tuple(sorted({int(number) for number in numbers}))


def read_warnings(table: pa.Table) -> list[tuple[FieldWarning, ...]]:
    """Return the warnings of each row."""
    return [_warnings(row) for row in get_values(table, "warnings")]


def _warnings(value: object) -> tuple[FieldWarning, ...]:
    if isinstance(value, str):
        return parse_warnings(value.split("; ")) if value else ()
    return parse_warnings(value) if isinstance(value, list) else ()


def read_embedding(table: pa.Table, path: Path) -> np.ndarray | None:
    """Return the embeddings, (n, d) float32, or None where there are none.

    Raises:
        LociscopeError: Their lengths differ, or one holds something that is not a number.
    """
    rows = get_values(table, "embedding")
    lengths = {len(row) if isinstance(row, list) else None for row in rows}
    if lengths <= {None}:
        return None
    if len(lengths) > 1:
        raise LociscopeError(
            f"Predictions '{path}' hold embeddings of different lengths. Make them again.", code=Code.CORRUPT
        )
    try:
        return np.asarray(rows, np.float32)
    except (TypeError, ValueError) as error:
        raise LociscopeError(
            f"Predictions '{path}' hold an embedding that is not a list of numbers ({error}). Make them again.",
            code=Code.CORRUPT,
        ) from error
