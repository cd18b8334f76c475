"""The plate of a run as a grid: how far each well is imaged, and how often it was imaged again."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lociscope.service.jobs.plate import FORMATS, STEPS, parse_well, row_name

if TYPE_CHECKING:
    from collections.abc import Mapping


class WellProgress(NamedTuple):
    """A well of a run.

    Attributes:
        name: Its name.
        planned: Number of planned fields.
        done: How many of them are imaged.
        again: Number of requested fields that are imaged.
        shade: Share of the planned fields that are imaged, 0–`STEPS`.
    """

    name: str
    planned: int
    done: int
    again: int
    shade: int


class Grid(NamedTuple):
    """A plate: the numbers of its columns, and for each row its letters and its wells, None where none is planned."""

    columns: list[int]
    rows: list[tuple[str, list[WellProgress | None]]]


def make_grid(wells: Mapping[str, Mapping[str, int]]) -> Grid | None:
    """Return the grid of a plate with the planned wells.

    Args:
        wells: For each planned well `planned`, `done` and `again`.
    """
    places = {place: name for name in wells if (place := parse_well(name)) is not None}
    if not places:
        return None
    last_row, last_column = (1 + max(place[axis] for place in places) for axis in (0, 1))
    height, width = next(
        ((rows, columns) for rows, columns in FORMATS if rows >= last_row and columns >= last_column),
        (last_row, last_column),
    )
    rows = [
        (row_name(row), [_make_well(places.get((row, column)), wells) for column in range(width)])
        for row in range(height)
    ]
    return Grid(list(range(1, width + 1)), rows)


def _make_well(name: str | None, wells: Mapping[str, Mapping[str, int]]) -> WellProgress | None:
    if name is None:
        return None
    planned, done, again = (wells[name][key] for key in ("planned", "done", "again"))
    return WellProgress(name, planned, done, again, min(STEPS, round(STEPS * done / max(1, planned))))
