"""The report of predicted fields without labels: locations, conditions, plates, groups, cells, warnings, a gallery."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lociscope.decide.doubt import doubt
from lociscope.labels import LABELS, N_LABELS
from lociscope.report.drift import format_p_value, format_share
from lociscope.report.page import render, write_page
from lociscope.warnings import describe_warning

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lociscope.artifacts.predictions import Predictions
    from lociscope.decide.conditions import ConditionComparison
    from lociscope.report.gallery import ScaleBar
    from lociscope.report.page import Link

MAX_ROWS = 100
"""Rows of a table that the page shows; the JSON file has all."""

MAX_PLATES = 12
MAX_IDS = 10
_WELL = re.compile(r"(?P<row>[A-Za-z]{1,2})0*(?P<column>\d{1,2})")


class ShownField(NamedTuple):
    """A field of the gallery.

    Attributes:
        id: Its name.
        picture: Its composite, as a `data:` URI.
        evidence: The evidence for the location, likewise; None without a model.
        bar: Its scale bar.
        probability: Of the location.
        doubt: In bits.
        locations: All that are reported.
        warned: Whether it has warnings.
    """

    id: str
    picture: str
    evidence: str | None
    bar: ScaleBar
    probability: float
    doubt: float
    locations: str
    warned: bool


class LocationGallery(NamedTuple):
    """The fields of one location, surest first; `fields` is how many there are, and `number` -1 means no location."""

    number: int
    fields: int
    shown: list[ShownField]


class Summary(NamedTuple):
    """Summaries of groups of fields: the property, the names of its columns, and the rows of `summarize`."""

    by: str
    names: tuple[str, ...]
    rows: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class FieldReport:
    """What the page shows.

    Attributes:
        name: The Predictions.
        predictions: The predictions.
        summaries: Of wells, antibodies and the like, where they are known.
        variation: Rows of the table of single-cell variation; empty without cells.
        comparison: Conditions compared; None where that was not asked for.
        compared_by: The column of the conditions, and what the units are.
        notes: What a reader of the comparison must know.
        galleries: Fields by location; empty without images.
        unreadable: Ids of fields whose images cannot be read.
        model: The model that shows the evidence; None without one.
    """

    name: str
    predictions: Predictions
    summaries: list[Summary]
    variation: list[dict[str, Any]]
    comparison: ConditionComparison | None
    compared_by: tuple[str, str]
    notes: Sequence[str]
    galleries: list[LocationGallery]
    unreadable: list[str]
    model: str | None


class Well(NamedTuple):
    """A well on the map of a plate: its name, its title, and per cent by view: doubt first, then the 28 locations."""

    name: str
    title: str
    values: list[int]


class Plate(NamedTuple):
    """A plate: its name, the names of its columns, and its rows, each with a well or None for each column."""

    name: str
    columns: list[int]
    rows: list[tuple[str, list[Well | None]]]


def write_field_report(path: Path, report: FieldReport, files: Sequence[Link] = ()) -> None:
    """Write the page.

    Args:
        path: The HTML file to write atomically.
        report: What it shows.
        files: The other files of the result.

    Raises:
        LociscopeError: The page cannot be written.
        MissingExtraError: jinja2 is not installed.
    """
    plates = make_plates(report.summaries)
    html = render(
        "report.html",
        title=f"Report on {report.name}",
        files=files,
        report=report,
        summary=summarize(report),
        locations=location_rows(report.predictions),
        plates=plates[:MAX_PLATES],
        more_plates=max(len(plates) - MAX_PLATES, 0),
        plate_views=[
            number for number in range(N_LABELS) if any(number in each for each in report.predictions.predicted)
        ],
        groups=[each for each in report.summaries if len(each.rows) > 1 or each.by != "plate"],
        changes=change_rows(report.comparison) if report.comparison else [],
        varied=sorted(report.variation, key=lambda row: -(row["differing"] or 0))[: MAX_ROWS // 4],
        variation=variation_rows(report.variation),
        warnings=warning_rows(report.predictions),
        LABELS=LABELS,
        max_rows=MAX_ROWS,
    )
    write_page(path, html)


def summarize(report: FieldReport) -> list[str]:
    """Summarize the predictions in plain sentences."""
    predictions = report.predictions
    n = len(predictions)
    status = Counter(predictions.status)
    rows = location_rows(predictions)
    sentences = [f"{n:,} field{'' if n == 1 else 's'} {'was' if n == 1 else 'were'} predicted."]
    if rows:
        common = ", ".join(f"{row['label']} ({row['share']})" for row in rows[:3])
        sentences.append(f"The most frequent location{' is' if len(rows) == 1 else 's are'} {common}.")
    none = sum(not each for each in predictions.predicted)
    if none:
        sentences.append(f"In {none:,} no location is reported.")
    if status["unlike-training"]:
        sentences.append(
            f"{status['unlike-training']:,} are unlike the fields that the model knows: do not trust them."
        )
    warned = sum(bool(each) for each in predictions.warnings)
    if warned:
        sentences.append(f"{warned:,} have warnings about their files or pixels.")
    found = report.comparison
    if found is not None:
        changed = [LABELS[each.number] for each in found.changes if each.changed]
        if found.test is None:
            sentences.append(f"The conditions have too few {report.compared_by[1]} for a test.")
        elif changed:
            sentences.append(
                f"Between the conditions, {_join(changed)} {'differs' if len(changed) == 1 else 'differ'}."
            )
        else:
            sentences.append("No location differs significantly between the conditions.")
    return sentences


def _join(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def location_rows(predictions: Predictions) -> list[dict[str, Any]]:
    """Return the locations that are reported, most frequent first: label, fields, share, bar in per cent, expected.

    `expected` is the sum of the probabilities: how many fields have the location if the model is calibrated.
    """
    counts = Counter(number for each in predictions.predicted for number in each)
    expected = np.nansum(np.asarray(predictions.probability, np.float64), axis=0)
    n = max(len(predictions), 1)
    return [
        {
            "label": LABELS[number],
            "fields": count,
            "share": format_share(count, n),
            "bar": 100 * count / n,
            "expected": float(expected[number]),
        }
        for number, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]


def make_plates(summaries: Sequence[Summary]) -> list[Plate]:
    """Return the maps of plates whose wells are named by row and column; empty where wells are not known."""
    wells = next((each.rows for each in summaries if each.by == "well"), [])
    found: dict[str, dict[tuple[str, int], Well]] = {}
    for row in wells:
        match = _WELL.fullmatch(str(row["well"]))
        if match:
            found.setdefault(row["plate"], {})[match["row"].upper(), int(match["column"])] = _make_well(row)
    plates = []
    for name, cells in sorted(found.items()):
        letters = sorted({letter for letter, _ in cells}, key=lambda each: (len(each), each))
        columns = list(range(1, max(column for _, column in cells) + 1))
        plates.append(
            Plate(name, columns, [(letter, [cells.get((letter, column)) for column in columns]) for letter in letters])
        )
    return plates


def _make_well(row: Mapping[str, Any]) -> Well:
    counted = row["fields"] - row["excluded"]
    shares = [round(100 * row[f"n{number:02d}"] / counted) if counted else 0 for number in range(N_LABELS)]
    means = [row[f"p{number:02d}"] for number in range(N_LABELS)]
    level = float(doubt(np.array([means], np.float64))[0]) if counted else 0.0  # None, unknown, becomes NaN
    title = f"{row['well']}: {row['locations'] or 'no location in most fields'}; {row['fields']} fields"
    return Well(str(row["well"]), title, [min(round(20 * level), 100), *shares])


def change_rows(comparison: ConditionComparison) -> list[dict[str, Any]]:
    """Return the locations under the conditions, smallest p first."""
    return [
        {
            "label": LABELS[each.number],
            "shares": [f"{100 * share:.0f} %" for share in each.shares],
            "bars": [round(100 * share, 1) for share in each.shares],
            "means": each.means,
            "p": "–" if each.p is None else format_p_value(each.p),
            "changed": each.changed,
        }
        for each in comparison.changes
    ]


def variation_rows(variation: Sequence[Mapping[str, Any]]) -> list[tuple[str, int, float, float, float | None]]:
    """Return by reported locations: fields, median whole cells, mean share of differing cells, mean CV of intensity."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in variation:
        if row["whole_cells"]:
            groups.setdefault(row["locations"] or "no location", []).append(row)
    made = []
    for name, rows in groups.items():
        spread = [row["intensity_cv"] for row in rows if row["intensity_cv"] is not None]
        made.append(
            (
                name,
                len(rows),
                float(np.median([row["whole_cells"] for row in rows])),
                float(np.mean([row["differing"] for row in rows])),
                float(np.mean(spread)) if spread else None,
            )
        )
    return sorted(made, key=lambda row: -row[1])[:MAX_ROWS]


def warning_rows(predictions: Predictions) -> list[tuple[str, int, list[str], int]]:
    """Return the warnings, most frequent first: text, fields, some ids, and how many more there are."""
    ids: dict[str, list[str]] = {}
    for name, warnings in zip(predictions.ids, predictions.warnings, strict=True):
        for each in warnings:
            ids.setdefault(describe_warning(each), []).append(name)
    ordered = sorted(ids.items(), key=lambda item: -len(item[1]))
    return [(text, len(those), those[:MAX_IDS], max(len(those) - MAX_IDS, 0)) for text, those in ordered[:MAX_ROWS]]
