"""The map of predicted fields: each a point, neighbours similar, coloured by location, cell line or plate."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from lociscope.labels import LABELS
from lociscope.report.page import render, write_json, write_page

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lociscope.report.page import Link

SCHEMA = 1
WIDTH, HEIGHT, MARGIN = 1000, 640, 24
PALETTE = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7b6fd0", "#8a8a3a", "#b0301c", "#3d8b3d",
)  # fmt: skip
"""Colours of the most frequent values; the others are grey."""


class MapField(NamedTuple):
    """A field on the map.

    Attributes:
        id: Its name.
        x: From the left, 0–1.
        y: From the top, 0–1.
        predicted: Its reported locations.
        likeliest: The likeliest reported location; None without any.
        cell_line: Its cell line; empty where unknown.
        plate: Its plate; empty where unknown.
    """

    id: str
    x: float
    y: float
    predicted: tuple[int, ...]
    likeliest: int | None
    cell_line: str
    plate: str


class Sprite(NamedTuple):
    """Thumbnails, row by row in one image: a `data:` URI, their side in px, and how many a row."""

    source: str
    side: int
    columns: int


@dataclass(frozen=True, slots=True)
class MapPage:
    """What the page shows.

    Attributes:
        name: The Predictions.
        fields: The points.
        total: Number of fields with an embedding.
        method: `UMAP` or `t-SNE`.
        sprite: The thumbnails, one a point; None without images.
    """

    name: str
    fields: list[MapField]
    total: int
    method: str
    sprite: Sprite | None


class Colouring(NamedTuple):
    """A property to colour by: its name, its values with a colour and a count, and the number of other values."""

    name: str
    values: list[tuple[str, str, int]]
    others: int


def write_map(path: Path, data: Path, page: MapPage, files: Sequence[Link] = ()) -> None:
    """Write the page, and the points as JSON.

    Args:
        path: The HTML file.
        data: The JSON file.
        page: What it shows.
        files: Links from the page.

    Raises:
        LociscopeError: A file cannot be written.
        MissingExtraError: jinja2 is not installed.
    """
    write_json(data, map_to_json(page))
    colourings = list_colourings(page.fields)
    html = render(
        "map.html",
        title=f"Map of {page.name}",
        files=files,
        page=page,
        points=[_point(each, colourings) for each in page.fields],
        colourings=colourings,
        width=WIDTH,
        height=HEIGHT,
        sprite=page.sprite,
    )
    write_page(path, html)


def values_of(field: MapField) -> dict[str, str]:
    """Return the value of each property that fields are coloured by."""
    location = "no location" if field.likeliest is None else LABELS[field.likeliest]
    return {"location": location, "cell line": field.cell_line, "plate": field.plate}


def list_colourings(fields: Sequence[MapField]) -> list[Colouring]:
    """Return the properties with at least one known value, each with its most frequent values and their colours."""
    found = []
    for name in ("location", "cell line", "plate"):
        counts = Counter(value for field in fields if (value := values_of(field)[name]))
        if counts and (name == "location" or len(counts) > 1):
            common = counts.most_common(len(PALETTE))
            values = [(value, colour, n) for (value, n), colour in zip(common, PALETTE, strict=False)]
            found.append(Colouring(name, values, len(counts) - len(values)))
    return found


def _point(field: MapField, colourings: Sequence[Colouring]) -> dict[str, Any]:
    """Return a point in units of the drawing; `marks` are the places of its values in the legends, -1 for others."""
    values = values_of(field)
    places = [[value for value, _, _ in each.values] for each in colourings]
    marks = [
        names.index(values[each.name]) if values[each.name] in names else -1
        for each, names in zip(colourings, places, strict=True)
    ]
    return {
        "x": round(MARGIN + field.x * (WIDTH - 2 * MARGIN), 1),
        "y": round(MARGIN + field.y * (HEIGHT - 2 * MARGIN), 1),
        "id": field.id,
        "marks": " ".join(map(str, marks)),
        "colour": PALETTE[marks[0]] if marks and marks[0] >= 0 else "",
        "text": _describe(field),
    }


def _describe(field: MapField) -> str:
    locations = ", ".join(LABELS[each] for each in field.predicted)
    return "; ".join(each for each in (locations, field.cell_line, field.plate and f"plate {field.plate}") if each)


def map_to_json(page: MapPage) -> dict[str, Any]:
    """Return a map as values that JSON has: `schema`, `name`, `method`, `fields`, `points`."""
    return {
        "schema": SCHEMA,
        "name": page.name,
        "method": page.method,
        "fields": page.total,
        "points": [
            {
                "id": each.id,
                "x": round(each.x, 4),
                "y": round(each.y, 4),
                "locations": [LABELS[number] for number in each.predicted],
                "cell_line": each.cell_line or None,
                "plate": each.plate or None,
            }
            for each in page.fields
        ],
    }
