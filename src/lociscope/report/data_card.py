"""The data card of a Catalog: where its fields come from, their labels, and what they lack."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from lociscope.data.explore.findings import FindingKind
from lociscope.data.explore.labels import find_rare_classes, summarize_labels
from lociscope.decide.prior import HPA_2018
from lociscope.labels import LABELS
from lociscope.report.card_page import UNKNOWN, CardPage, Section, Table
from lociscope.splits.groups import find_group_columns, group_ids

if TYPE_CHECKING:
    from lociscope.artifacts.catalog import Catalog
    from lociscope.data.explore.labels import LabelSummary

MAX_VALUES = 10
"""Values of a column that are listed."""

COLUMNS = (("source", "Sources"), ("licence", "Licences"), ("cell_line", "Cell lines"), ("split", "Split"))
COUNTED = (("antibody", "Antibodies"), ("gene", "Genes"), ("specimen", "Specimens"), ("plate", "Plates"))


def make_data_card(catalog: Catalog, name: str, sha256: str) -> CardPage:
    """Make the data card of a Catalog.

    Args:
        catalog: The fields.
        name: The name of its file.
        sha256: The hash of its file.
    """
    groups = group_ids(catalog)
    labels = summarize_labels(catalog, groups)
    sections = [Section("Fields", [], Table(("", ""), _field_rows(catalog, sha256, len(set(groups)))))]
    if labels is None:
        sections.append(Section("Labels", ["No field has a label."]))
    else:
        sections += [_labels(labels), Section("Gaps", _gaps(labels))]
    if not find_group_columns(catalog):
        text = "Antibodies and specimens are not known, so a random split can put fields of one antibody on both sides."
        sections.append(Section("Groups", [text]))
    return CardPage("data card", f"Data card of {name}", sections)


def _field_rows(catalog: Catalog, sha256: str, groups: int) -> list[tuple[str, str]]:
    table = catalog.table
    rows = [("Fields", f"{len(catalog):,}"), ("SHA-256 of the Catalog", sha256)]
    rows += [(title, _list_values(table[name].to_pylist())) for name, title in COLUMNS]
    for name, title in COUNTED:
        distinct = {value for value in table[name].to_pylist() if value is not None}
        rows.append((title, f"{len(distinct):,}" if distinct else UNKNOWN))
    sizes = sorted({value for value in table["pixel_size"].to_pylist() if value is not None})
    rows.append(("Pixel sizes, µm", ", ".join(f"{size:g}" for size in sizes[:MAX_VALUES]) or UNKNOWN))
    if find_group_columns(catalog):
        rows.append(("Groups of fields that are not independent", f"{groups:,}"))
    return rows


def _list_values(values: list[str | None]) -> str:
    counts = Counter(value for value in values if value is not None)
    named = [f"{value} ({count:,})" for value, count in counts.most_common(MAX_VALUES)]
    more = [f"{len(counts) - MAX_VALUES} more"] if len(counts) > MAX_VALUES else []
    return ", ".join([*named, *more]) or UNKNOWN


def _labels(labels: LabelSummary) -> Section:
    per_field = ", ".join(f"{fields:,} with {count}" for count, fields in labels.per_field.items())
    rows = [
        (
            LABELS[each],
            f"{int(labels.counts[each]):,}",
            f"{int(labels.groups[each]):,}",
            f"{100 * labels.counts[each] / labels.fields:.2f} %",
            f"{100 * HPA_2018[each]:.2f} %",
        )
        for each in sorted(range(len(LABELS)), key=lambda number: -labels.counts[number])
    ]
    text = f"{labels.fields:,} fields have labels: {per_field} label{'' if list(labels.per_field) == [1] else 's'}."
    return Section("Labels", [text], Table(("Location", "Fields", "Groups", "Share", "Share in HPA 2018"), rows))


def _gaps(labels: LabelSummary) -> list[str]:
    found = find_rare_classes(labels)
    absent = [LABELS[each.labels[0]] for each in found if each.kind == FindingKind.CLASS_ABSENT]
    rare = [LABELS[each.labels[0]] for each in found if each.kind == FindingKind.CLASS_TOO_RARE]
    texts = []
    if absent:
        texts.append(f"No field shows {', '.join(absent)}.")
    if rare:
        texts.append(f"Too few fields to judge a model by: {', '.join(rare)}.")
    return texts or ["Every location has 20 fields or more."]
