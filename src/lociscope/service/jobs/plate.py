"""The plates of a job as heat maps: the mean probability of one location in each well."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lociscope.service.jobs.records import JobField

STEPS = 10
"""Number of shades of a heat map."""

_WELL = re.compile(r"(?P<row>[A-Za-z]{1,2})0*(?P<column>[1-9]\d?)")
FORMATS = ((2, 3), (4, 6), (8, 12), (16, 24), (32, 48))
"""Rows and columns of plates of 6 to 1536 wells."""


class Well(NamedTuple):
    """A well: its name, the fields in it, their mean probability, and its shade 0–`STEPS`; None without a field."""

    name: str
    fields: int
    mean: float | None
    shade: int
    first: int | None


class Plate(NamedTuple):
    """A plate: its name, the names of its columns, and its rows."""

    name: str
    columns: list[int]
    rows: list[tuple[str, list[Well]]]


def make_plates(fields: Sequence[JobField], location: int) -> list[Plate]:
    """Return a heat map of each plate; none where no field names its well.

    Args:
        fields: The fields of a job.
        location: The class number whose probability is shown.
    """
    plates: dict[str, dict[tuple[int, int], list[JobField]]] = {}
    for field in fields:
        place = parse_well(field.position.well)
        if place is not None:
            plates.setdefault(field.position.plate, {}).setdefault(place, []).append(field)
    return [_make_plate(name, wells, location) for name, wells in sorted(plates.items())]


def parse_well(name: str) -> tuple[int, int] | None:
    """Return the row and the column of a well such as `B07`, from 0; None for any other name."""
    match = _WELL.fullmatch(name.strip())
    if match is None:
        return None
    row = 0
    for letter in match["row"].upper():
        row = 26 * row + ord(letter) - ord("A") + 1
    return row - 1, int(match["column"]) - 1


def _make_plate(name: str, wells: dict[tuple[int, int], list[JobField]], location: int) -> Plate:
    last_row, last_column = (1 + max(place[axis] for place in wells) for axis in (0, 1))
    height, width = next(
        ((rows, columns) for rows, columns in FORMATS if rows >= last_row and columns >= last_column),
        (last_row, last_column),
    )
    rows = [
        (row_name(row), [_make_well(row, column, wells.get((row, column), []), location) for column in range(width)])
        for row in range(height)
    ]
    return Plate(name, list(range(1, width + 1)), rows)


def _make_well(row: int, column: int, fields: list[JobField], location: int) -> Well:
    values = [float(field.probability[location]) for field in fields if field.probability is not None]
    mean = float(np.mean(values)) if values else None
    shade = 0 if mean is None else round(STEPS * mean)
    return Well(f"{row_name(row)}{column + 1:02d}", len(fields), mean, shade, fields[0].number if fields else None)


def row_name(row: int) -> str:
    """Return the letters of a row, from 0."""
    return chr(ord("A") + row) if row < 26 else f"A{chr(ord('A') + row - 26)}"
