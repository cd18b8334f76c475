"""Render the fields that an exploration shows: small composites, and strips of single channels."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lociscope.channels import CHANNEL_NAMES, CHANNELS
from lociscope.data.explore.findings import FindingKind
from lociscope.errors import LociscopeError
from lociscope.images.io.read import read_field
from lociscope.images.render import render_composite
from lociscope.labels import LABELS
from lociscope.report.page import jpeg_uri

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lociscope.data.explore.findings import Finding
    from lociscope.data.explore.inspect import Inspection
    from lociscope.data.explore.sources import FieldSet
    from lociscope.images.discovery.sources import FieldSource

MAX_SHOWN = 12
"""Findings of a kind that a page shows with pictures; the JSON file has all."""

MAX_COPIES = 4
"""Fields of a group of duplicates that a page shows."""

SHEET = 6
"""Fields of a class on its contact sheet."""

SIZE, STRIP_SIZE = 144, 96
CHANNEL_KINDS = frozenset(
    {
        FindingKind.SWAPPED_CHANNELS,
        FindingKind.REPEATED_CHANNEL,
        FindingKind.MISSING_CHANNEL,
        FindingKind.BLANK,
        FindingKind.SATURATED,
        FindingKind.FAINT_CHANNEL,
    }
)
"""Kinds that are about channels, and shown as strips of four."""


class Picture(NamedTuple):
    """An image of a field.

    Attributes:
        id: The field.
        source: A `data:` URI.
        alt: What it shows.
        width: In px.
        height: In px.
    """

    id: str
    source: str
    alt: str
    width: int
    height: int


class Pictures(NamedTuple):
    """The images of a page.

    Attributes:
        findings: By number of a finding, in the order of the page, those of its fields.
        sheets: By class, those of its contact sheet.
    """

    findings: dict[int, list[Picture]]
    sheets: dict[int, list[Picture]]


def select_shown(findings: Sequence[Finding]) -> dict[FindingKind, list[int]]:
    """Return for each kind the numbers of the findings that a page shows."""
    shown: dict[FindingKind, list[int]] = {}
    for number, finding in enumerate(findings):
        rows = shown.setdefault(finding.kind, [])
        if len(rows) < MAX_SHOWN:
            rows.append(number)
    return shown


def render_pictures(
    fields: FieldSet, inspection: Inspection, findings: Sequence[Finding], others: FieldSet | None
) -> Pictures:
    """Render the images of a page.

    Every channel is scaled by the same rule, from its 1st to its 99.8th percentile, so that images can be compared.

    Args:
        fields: The fields.
        inspection: What was kept of them.
        findings: As on the page.
        others: The test fields, if any.
    """
    readable = {fields.sources[row].id: fields.sources[row] for row in inspection.rows}
    test_sources = {source.id: source for source in others.sources} if others is not None else {}
    drawn: dict[int, list[Picture]] = {}
    for kind, numbers in select_shown(findings).items():
        strip = kind in CHANNEL_KINDS
        for number in numbers:
            finding = findings[number]
            sources = [readable[name] for name in finding.ids if name in readable][:MAX_COPIES]
            sources += [test_sources[name] for name in finding.test_ids if name in test_sources]
            drawn[number] = [picture for source in sources if (picture := _render(source, strip))]
    sheets = {
        label: [picture for source in sources if (picture := _render(source, strip=False))]
        for label, sources in _select_sheets(fields, readable)
    }
    return Pictures(drawn, sheets)


def _select_sheets(fields: FieldSet, readable: dict[str, FieldSource]) -> Iterator[tuple[int, list[FieldSource]]]:
    """Yield the fields of each class's contact sheet: those with the fewest labels, evenly over the Catalog."""
    members: dict[int, list[tuple[int, str]]] = {label: [] for label in range(len(LABELS))}
    for name, target in zip(fields.catalog.ids, fields.catalog.table["target"].to_pylist(), strict=True):
        if name in readable:
            for label in target or ():
                members[label].append((len(target), name))
    for label, those in members.items():
        if those:
            least = sorted(count for count, _ in those)[min(SHEET, len(those)) - 1]
            names = [name for count, name in those if count <= least]
            yield label, [readable[name] for name in islice(names[:: max(len(names) // SHEET, 1)], SHEET)]


def _render(source: FieldSource, strip: bool) -> Picture | None:
    """Return an image of a field, or None where it cannot be read any more."""
    from dataclasses import replace

    try:
        pixels = read_field(replace(source, allow_missing=CHANNEL_NAMES)).pixels
    except LociscopeError:
        return None
    if not strip:
        made = render_composite(pixels, SIZE)
        return Picture(source.id, jpeg_uri(made), f"Field {source.id}", SIZE, SIZE)
    planes = [render_composite(pixels, STRIP_SIZE, (number,)).max(axis=-1) for number in range(len(CHANNELS))]
    stains = ", ".join(channel.stain for channel in CHANNELS)
    return Picture(
        source.id, jpeg_uri(np.hstack(planes)), f"Field {source.id}: {stains}", len(planes) * STRIP_SIZE, STRIP_SIZE
    )
