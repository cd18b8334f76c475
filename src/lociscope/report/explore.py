"""The page of an exploration: findings worst first, then labels, pixels, a map of fields, and the test data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lociscope.channels import CHANNEL_NAMES, CHANNELS
from lociscope.data.explore.figures import MEASURES, PixelSummary, summarize_pixels
from lociscope.data.explore.findings import SEVERITY
from lociscope.decide.prior import HPA_2018
from lociscope.labels import LABELS
from lociscope.report.drift import FIGURES, Strip, format_p_value
from lociscope.report.explore_pictures import MAX_SHOWN, select_shown
from lociscope.report.explore_texts import KINDS, describe_finding
from lociscope.report.page import interval, number, render, write_page

if TYPE_CHECKING:
    from pathlib import Path

    from lociscope.artifacts.catalog import Catalog
    from lociscope.data.explore.comparison import Shift, TestComparison
    from lociscope.data.explore.findings import Finding, FindingKind
    from lociscope.data.explore.inspect import Inspection
    from lociscope.data.explore.labels import LabelSummary
    from lociscope.data.explore.map import FieldMap
    from lociscope.report.explore_pictures import Picture, Pictures

MAX_IDS = 30
"""Ids of a finding that the page lists."""

_CLIPPED = ("Clipped", "% of pixels at the camera’s limit", 2)


@dataclass(frozen=True, slots=True)
class ExplorePage:
    """What a page shows.

    Attributes:
        name: What was explored.
        catalog: Its fields.
        labels: Their labels; None without any.
        inspection: Their pixels.
        findings: Worst first.
        comparison: With the test fields; None without any.
        test_name: The test Catalog.
        model: The model that judged labels and placed the fields on the map; None where there was none.
        map: The map; None for too few images.
        pictures: Images of findings and of classes.
    """

    name: str
    catalog: Catalog
    labels: LabelSummary | None
    inspection: Inspection
    findings: list[Finding]
    comparison: TestComparison | None
    test_name: str | None
    model: str | None
    map: FieldMap | None
    pictures: Pictures

    @property
    def pixels(self) -> PixelSummary | None:
        """Quantiles of the pixels; None without images."""
        return summarize_pixels(self.inspection.fields)


@dataclass(frozen=True, slots=True)
class FindingRow:
    """One finding on the page: its fields, what is particular to it, and images."""

    ids: list[str]
    more: int
    text: str
    pictures: list[Picture]


@dataclass(frozen=True, slots=True)
class FindingGroup:
    """All findings of a kind: how many there are, and those that are shown."""

    kind: FindingKind
    title: str
    meaning: str
    remedy: str
    count: int
    rows: list[FindingRow]
    pictured: bool


@dataclass(frozen=True, slots=True)
class MapPoint:
    """A field on the map, in percent, and its marks: its classes and its cell line."""

    x: float
    y: float
    id: str
    marks: str


def write_explore(path: Path, page: ExplorePage, data: str) -> None:
    """Write the page.

    Args:
        path: The HTML file to write atomically.
        page: What it shows.
        data: Name of the JSON file beside it.

    Raises:
        LociscopeError: The page cannot be written.
        MissingExtraError: jinja2 is not installed.
    """
    groups = group_findings(page)
    labels = page.labels
    html = render(
        "explore.html",
        title=f"Exploration of {page.name}",
        page=page,
        data=data,
        summary=summarize(page),
        groups=groups,
        classes=class_rows(labels) if labels else [],
        heat=heat_rows(labels) if labels else [],
        lines=line_rows(labels) if labels else [],
        sets=[(" + ".join(LABELS[each] for each in numbers) or "no location", n) for numbers, n in labels.sets]
        if labels
        else [],
        pixel_rows=pixel_rows(page.pixels) if page.pixels else [],
        sizes=page.pixels.sizes if page.pixels else [],
        points=map_points(page),
        choices=map_choices(page),
        shifts=[shift_row(shift) for shift in page.comparison.shifts] if page.comparison else [],
        grouped=labels is not None and bool((labels.groups != labels.counts).any()),
        LABELS=LABELS,
        max_shown=MAX_SHOWN,
        interval=interval,
    )
    write_page(path, html)


def summarize(page: ExplorePage) -> list[str]:
    """Summarize the exploration in plain sentences."""
    fields, labelled = len(page.catalog), 0 if page.labels is None else page.labels.fields
    read, known = len(page.inspection.rows), page.inspection.failures or page.inspection.rows
    sentences = [
        f"{fields:,} field{'' if fields == 1 else 's'}, {f'{labelled:,}' if labelled else 'none'} with a label."
    ]
    sentences.append(
        f"The images of {read:,} were read." if known else "There are no images: only labels are explored."
    )
    serious = [each for each in page.findings if each.ids]
    concerned = len({name for each in serious for name in each.ids})
    if serious:
        sentences.append(f"{len(serious):,} findings concern {concerned:,} fields; the worst come first.")
    elif known:
        sentences.append("No field was found to be faulty.")
    if page.model and page.labels:
        sentences.append(f"Labels were judged by {page.model}, so doubt a finding about labels as you would the model.")
    return sentences


def group_findings(page: ExplorePage) -> list[FindingGroup]:
    """Return the findings by kind, worst kind first."""
    counts: dict[FindingKind, int] = {}
    for finding in page.findings:
        counts[finding.kind] = counts.get(finding.kind, 0) + 1
    groups = []
    for kind, numbers in sorted(select_shown(page.findings).items(), key=lambda item: SEVERITY[item[0]]):
        rows = []
        for each in numbers:
            finding = page.findings[each]
            ids = [*finding.ids, *(f"{name} (test)" for name in finding.test_ids)]
            pictures = page.pictures.findings.get(each, [])
            rows.append(FindingRow(ids[:MAX_IDS], max(len(ids) - MAX_IDS, 0), describe_finding(finding), pictures))
        pictured = any(row.pictures for row in rows)
        groups.append(FindingGroup(kind, *KINDS[kind], counts[kind], rows, pictured))
    return groups


def class_rows(labels: LabelSummary) -> list[dict[str, Any]]:
    """Return the classes, most frequent first: fields, groups, share here and in HPA's fields, in per cent."""
    most = max(float(labels.counts.max()) / labels.fields, float(HPA_2018.max()))
    rows = []
    for label in np.argsort(-labels.counts, kind="stable").tolist():
        share, prior = float(labels.counts[label]) / labels.fields, float(HPA_2018[label])
        rows.append(
            {
                "name": LABELS[label],
                "fields": int(labels.counts[label]),
                "groups": int(labels.groups[label]),
                "share": 100 * share,
                "prior": 100 * prior,
                "bar": 100 * share / most,
                "mark": 100 * prior / most,
            }
        )
    return rows


def heat_rows(labels: LabelSummary) -> list[tuple[str, list[tuple[int, int] | None]]]:
    """Return the rows of the co-occurrence table: fields with both classes, and a depth of colour, 0–100.

    The colour is the share of the fields of the rarer class; None is the diagonal.
    """
    rows = []
    for one in labels.order:
        cells: list[tuple[int, int] | None] = []
        for other in labels.order:
            both = int(labels.pairs[one, other])
            rarer = int(min(labels.counts[one], labels.counts[other]))
            cells.append(None if one == other else (both, round(45 * both / max(rarer, 1))))
        rows.append((LABELS[one], cells))
    return rows


def line_rows(labels: LabelSummary) -> list[tuple[str, int, list[tuple[int, int]]]]:
    """Return the cell lines: name, fields, and for each class in the order of the page its fields and a depth."""
    return [
        (line, count, [(int(counts[label]), round(45 * int(counts[label]) / max(count, 1))) for label in labels.order])
        for line, (count, counts) in labels.lines.items()
    ]


def pixel_rows(pixels: PixelSummary) -> list[dict[str, Any]]:
    """Return quantiles of each measure and channel as text, and as strips on one scale for each measure."""
    rows = []
    for measure in MEASURES:
        name, what, digits = FIGURES.get(measure, _CLIPPED)
        values = pixels.quantiles[measure]
        low, high = min(each[0] for each in values.values()), max(each[-1] for each in values.values())
        for channel in CHANNELS:
            found = values[channel.name]
            places = [100 * (value - low) / (high - low) if high > low else 50.0 for value in found]
            rows.append(
                {
                    "name": name,
                    "what": what,
                    "first": channel.name == CHANNEL_NAMES[0],
                    "stain": channel.stain,
                    "strip": Strip(*(round(place, 2) for place in places)),
                    "median": number(found[2], digits),
                    "range": interval(found[0], found[-1], digits),
                }
            )
    return rows


def map_points(page: ExplorePage) -> list[MapPoint]:
    """Return the points of the map."""
    if page.map is None:
        return []
    ids, targets, lines = (page.catalog.table[name].to_pylist() for name in ("id", "target", "cell_line"))
    numbers = {line: number for number, line in enumerate(page.labels.lines if page.labels else ())}
    made = []
    for row, (x, y) in zip(page.map.rows, page.map.points, strict=True):
        marks = [f"c{label}" for label in targets[row] or ()]
        marks += [f"l{numbers[lines[row]]}"] if lines[row] in numbers else []
        made.append(MapPoint(round(float(x) * 960 + 20, 1), round(float(y) * 560 + 20, 1), ids[row], " ".join(marks)))
    return made


def map_choices(page: ExplorePage) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return what can be marked on the map: groups of (mark, name)."""
    if page.map is None or page.labels is None:
        return []
    classes = sorted(page.labels.order, key=lambda label: LABELS[label])
    choices = [("Location", [(f"c{label}", LABELS[label]) for label in classes])]
    if page.labels.lines:
        choices.append(("Cell line", [(f"l{number}", line) for number, line in enumerate(page.labels.lines)]))
    return choices


def shift_row(shift: Shift) -> tuple[str, str, str, str]:
    """Return a shift as text: what, here, in the test data, p."""
    if shift.kind == "location":
        return shift.name, f"{100 * shift.value:.1f} %", f"{100 * shift.test:.1f} %", format_p_value(shift.p)
    measure, _, channels = shift.name.partition("_")
    name, _, digits = FIGURES[measure]
    stains = " and ".join(channel.stain for channel in CHANNELS if channel.name in channels.split("_"))
    return (
        f"{name or 'Correlation'}, {stains}",
        number(shift.value, digits),
        number(shift.test, digits),
        format_p_value(shift.p),
    )
