"""Summarise Predictions by well, antibody or another property of the fields."""

from __future__ import annotations

import csv
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from lociscope.artifacts.predictions import PROBABILITY_COLUMNS, SUFFIXES, Predictions
from lociscope.errors import Code, LociscopeError, UsageError, suggest
from lociscope.images.discovery.hpa import parse_origin
from lociscope.labels import LABELS, N_LABELS, to_nullable
from lociscope.storage.atomic import atomic_write
from lociscope.storage.table_files import check_suffix

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from lociscope.artifacts.catalog import Catalog

PROPERTIES = ("well", "plate", "antibody", "gene", "cell_line", "specimen")
"""What fields can be grouped by."""
MAJORITY = 0.5
"""Share of the fields of a group in which a location must be predicted to be one of the group's."""
COUNT_COLUMNS: tuple[str, ...] = tuple(f"n{number:02d}" for number in range(N_LABELS))
COUNTED = ("ok", "unsure", "negative")
"""Statuses of the fields whose predictions count; others, such as `unlike-training`, are only counted as excluded."""

Key = tuple[str, ...]
"""The values that the fields of a group share."""


def find_keys(
    predictions: Predictions, by: str, catalog: Catalog | None = None, properties: Sequence[str] = PROPERTIES
) -> tuple[tuple[str, ...], list[Key]]:
    """Return the group of each field.

    Args:
        predictions: The fields.
        by: One of `properties`; wells are distinguished by plate, too.
        catalog: Gives the properties; without it plate, well and antibody come from the Predictions and the ids.
        properties: What fields can be grouped by.

    Returns:
        The names of the properties, and for each field their values; empty where unknown.

    Raises:
        UsageError: `by` is not a property.
        LociscopeError: No field has the property.
    """
    if by not in properties:
        raise UsageError(f"`by` has no {by!r}.{suggest(by, properties)}", code=Code.UNKNOWN_NAME)
    names = ("plate", "well") if by == "well" else (by,)
    known = {} if catalog is None else {entry.id: entry for entry in catalog}
    keys = []
    for row, identifier in enumerate(predictions.ids):
        origin = parse_origin(identifier)
        if predictions.positions:
            origin |= {key: value for key, value in predictions.positions[row]._asdict().items() if value}
        entry = known.get(identifier)
        keys.append(tuple(str(getattr(entry, name, None) or origin.get(name, "")) for name in names))
    if not any(key[-1] for key in keys):
        raise LociscopeError(
            f"No field has a known {by}. Pass the Catalog of the fields, with a column {by!r}, as `catalog`.",
            code=Code.NOT_FOUND,
        )
    return names, keys


def summarize(predictions: Predictions, names: Sequence[str], keys: Sequence[Key]) -> list[dict[str, Any]]:
    """Summarise the fields of each group.

    Args:
        predictions: The n fields.
        names: Names of the columns of the group.
        keys: The n fields' values of these columns.

    Returns:
        One row for each group, in the order of the keys: their values; `fields`; `excluded`, how many of them are
        unlike the training fields; `warned`, how many have warnings; `locations`, predicted in at least `MAJORITY` of
        the counted fields; the mean probabilities `p00` … `p27`, None without a counted field or where the model does
        not know the class; and in how many fields
        a location is predicted, `n00` … `n27`.
    """
    members: dict[Key, list[int]] = {}
    for row, key in enumerate(keys):
        members.setdefault(key, []).append(row)
    return [
        dict(zip(names, key, strict=True)) | _summarize_group(predictions, rows)
        for key, rows in sorted(members.items())
    ]


def _summarize_group(predictions: Predictions, rows: list[int]) -> dict[str, Any]:
    counted = [row for row in rows if predictions.status[row] in COUNTED]
    numbers = Counter(number for row in counted for number in predictions.predicted[row])
    mean: Iterable[float | None] = [None] * N_LABELS
    if counted:
        mean = to_nullable(np.asarray(predictions.probability[counted], np.float64).mean(axis=0))
    return {
        "fields": len(rows),
        "excluded": len(rows) - len(counted),
        "warned": sum(bool(predictions.warnings[row]) for row in rows),
        "locations": "; ".join(LABELS[k] for k in sorted(numbers) if numbers[k] >= MAJORITY * len(counted)),
        **dict(zip(PROBABILITY_COLUMNS, mean, strict=True)),
        **{name: numbers[k] for k, name in enumerate(COUNT_COLUMNS)},
    }


def write_summary(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write a summary as `.csv`, or as `.parquet`.

    Raises:
        UsageError: The path has another suffix.
        LociscopeError: The location cannot be written.
    """
    check_suffix(path, *SUFFIXES)
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        with atomic_write(path) as part:
            pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), part)
    else:
        with atomic_write(path) as part, part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(rows[0])
            writer.writerows(
                [f"{value:.6f}" if isinstance(value, float) else value for value in row.values()] for row in rows
            )
