"""The page of drift over time: what moved and since when, a strip for each statistic, and the fields that tell most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lociscope.report.drift import FIGURES, name_channels
from lociscope.report.page import number, render, write_page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Column:
    """One window of a strip, as percentages of the height from below: the 5, 25, 50, 75 and 95 % quantiles."""

    title: str
    low: float
    lower: float
    middle: float
    upper: float
    high: float
    moved: bool


@dataclass(frozen=True, slots=True)
class Strip:
    """One statistic over all windows; the reference's middle half as percentages of the height."""

    name: str
    what: str
    reference: str
    columns: list[Column | None]
    lower: float
    upper: float
    top: str
    bottom: str
    moved: int


def write_timeline(path: Path, timeline: Mapping[str, Any], pictures: Sequence[Any] = ()) -> None:
    """Write the page.

    Args:
        path: The HTML file to write atomically.
        timeline: The output of `lociscope monitor report --json`, with `texts`, the causes of each window as text.
        pictures: The telling fields, with `id`, `window` and `uri`.

    Raises:
        LociscopeError: The page cannot be written.
        MissingExtraError: jinja2 is not installed.
    """
    drifted = sum(bool(window["report"] and window["report"]["drifted"]) for window in timeline["windows"])
    compared = sum(window["report"] is not None for window in timeline["windows"])
    strips = sorted(build_strips(timeline["windows"]), key=lambda strip: -strip.moved)
    html = render(
        "timeline.html",
        title="Drift over time" if timeline["ordered"] else f"Drift by {timeline['by'].replace('_', ' ')}",
        timeline=timeline,
        drifted=drifted,
        compared=compared,
        moved=[strip for strip in strips if strip.moved],
        still=[strip for strip in strips if not strip.moved],
        pictures=pictures,
        name_measure=name_measure,
    )
    write_page(path, html)


def name_measure(measure: str) -> str:
    """Return a statistic as `Microtubules (red): median`; locations and embeddings keep their names."""
    kind = measure.partition("_")[0]
    if kind not in FIGURES:
        return measure[:1].upper() + measure[1:]
    return f"{name_channels(measure)}: {(FIGURES[kind][0] or 'correlation').lower()}"


def build_strips(windows: Sequence[Mapping[str, Any]]) -> list[Strip]:
    """Build the strip of each statistic; windows that were not compared leave a gap."""
    found: dict[str, dict[int, Mapping[str, Any]]] = {}
    for place, window in enumerate(windows):
        for each in window["report"]["statistics"] if window["report"] else ():
            found.setdefault(each["name"], {})[place] = each
    return [_build_strip(name, findings, windows) for name, findings in found.items()]


def _build_strip(name: str, findings: Mapping[int, Mapping[str, Any]], windows: Sequence[Mapping[str, Any]]) -> Strip:
    _, what, digits = FIGURES[name.partition("_")[0]]
    reference = next(iter(findings.values()))["reference"]
    every = [value for each in findings.values() for value in (*each["window"], *each["reference"])]
    low, span = min(every), (max(every) - min(every)) or 1.0

    def place(value: float) -> float:
        return round(float(100 * (value - low) / span), 1)

    columns: list[Column | None] = []
    for index, window in enumerate(windows):
        each = findings.get(index)
        if each is None:
            columns.append(None)
            continue
        title = f"{window['name']}, n = {window['fields']}: median {number(each['window'][2], digits)}"
        lowest, lower, middle, upper, highest = map(place, each["window"])
        columns.append(Column(title, lowest, lower, middle, upper, highest, each["moved"]))
    return Strip(
        name_measure(name),
        what,
        number(reference[2], digits),
        columns,
        place(reference[1]),
        place(reference[3]),
        number(max(every), digits),
        number(low, digits),
        sum(column is not None and column.moved for column in columns),
    )
