"""The comparison of Runs on one page: the logbook of an experiment, and the shortlist that it suggests."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lociscope.report.comparison_rows import interval_to_dict
from lociscope.report.curves import small_curves
from lociscope.report.page import NOTHING, interval, number, render, write_page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np

    from lociscope.report.candidates import Candidate
    from lociscope.report.ranking import ComparisonGroup

NAMES = {
    "macro_f1": ("Macro-F1", "at one threshold"),
    "macro_average_precision": ("Average precision", "macro"),
    "lrap": ("LRAP", "of the ranking"),
    "macro_auc": ("AUC", "macro"),
}
"""The measures as the page calls them."""
HEADLINE = "macro_average_precision"
"""What a Run is called the best by: it depends on no threshold, and counts rare places like common ones."""
FEW = 16
"""So many Runs still have room for figures in their heat map."""
DEEPEST = 45
"""Per cent of the accent colour at a correlation of 1: the figures on it stay readable."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A folder that could not be compared, and why."""

    folder: str
    reason: str


@dataclass(frozen=True, slots=True)
class TableCell:
    """A figure in a table: what is shown, what is sorted by, and what is said beside it."""

    text: str
    key: float | None = None
    small: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class HeatMapCell:
    """A field of the heat map: its figure, whether there is room for it, and how deep its colour is, in per cent."""

    text: str
    shown: bool
    depth: int


def write_compare(
    path: Path,
    candidates: Sequence[Candidate],
    comparison_groups: Sequence[ComparisonGroup],
    rows: Sequence[Mapping[str, Any]],
    failures: Sequence[Failure] = (),
) -> None:
    """Writes the page.

    Args:
        path: The HTML file to write, whole or not at all.
        candidates: All that were compared, in the order in which they are to stand.
        comparison_groups: What `compare_candidates` made of them.
        rows: What `rows_of` made of both.
        failures: What could not be compared.

    Raises:
        LociscopeError: The page cannot be written.
        MissingExtraError: jinja2 or matplotlib is not installed.
    """
    groups = [[row for row in rows if row["set"] == place] for place, _ in enumerate(comparison_groups, start=1)]
    html = render(
        "compare.html",
        title=f"Comparison of {len(candidates)} Run{'' if len(candidates) == 1 else 's'}",
        result=summarize(comparison_groups),
        comparison_groups=[
            (group, each, best_by_measure(each)) for group, each in zip(comparison_groups, groups, strict=True)
        ],
        rows=rows,
        names=NAMES,
        elsewhere=list(
            dict.fromkeys((name, each) for row in rows for name, found in row["scores"].items() for each in found)
        ),
        curves=small_curves(candidates),
        failures=failures,
        format_score=format_score,
        format_gain=format_gain,
        format_costs=format_costs,
        heat_map=heat_map,
        interval_to_dict=interval_to_dict,
        interval=interval,
        describe_group=describe_group,
    )
    write_page(path, html)


def summarize(comparison_groups: Sequence[ComparisonGroup]) -> list[str]:
    """The result in plain words, a sentence each."""
    sentences = []
    if len(comparison_groups) > 1:
        sentences.append(
            f"The Runs were validated on {len(comparison_groups)} different sets of fields; only Runs of one set are "
            "compared with each other."
        )
    for group in comparison_groups:
        best = max(group.models, key=lambda each: each.figures[HEADLINE].value)
        top = best.figures[HEADLINE]
        if len(group.models) > 1:
            sentences.append(
                f"Of the {len(group.models)} on {describe_group(group)}, {best.candidate.name} has the highest average "
                f"precision: {number(top.value)} ({interval(top.low, top.high)})."
            )
        sentences += _suggestion(group)
    return sentences


def _suggestion(group: ComparisonGroup) -> list[str]:
    found = group.shortlist
    if found is None:
        return []
    more = found.gains[HEADLINE]
    if len(found.members) == 1:
        return [f"Greedy selection takes {found.members[0].name} alone: no other lowers the log loss beside it."]
    sure = "" if more.low > 0 else ", so not surely"
    members = ", ".join(each.name for each in found.members)
    return [
        f"Greedy selection combines {members}: it gains {number(more.value, 3)} in "
        f"average precision ({interval(more.low, more.high, 3)}{sure}) over {found.best} alone."
    ]


def describe_group(group: ComparisonGroup) -> str:
    """`1,200 validation fields of 300 specimens`."""
    units = "" if group.units is None else f" of {group.units:,} specimens"
    return f"{group.fields:,} validation fields{units}"


def best_by_measure(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """By measure the name of the Run that scores highest, where there is one to compare with."""
    if len(rows) < 2:
        return {}
    return {measure: max(rows, key=lambda row: row["figures"][measure]["value"] or -1.0)["name"] for measure in NAMES}


def format_score(found: Mapping[str, Any] | None, digits: int = 3) -> TableCell:
    """A score with its interval."""
    if found is None or found["value"] is None:
        return TableCell(NOTHING)
    return TableCell(number(found["value"], digits), found["value"], interval(found["low"], found["high"], digits))


def format_gain(found: Mapping[str, Any] | None) -> TableCell:
    """A gain with its interval and its sign, marked where the interval leaves 0 out."""
    if found is None or found["value"] is None:
        return TableCell(NOTHING)
    kind = "up" if (found["low"] or 0) > 0 else "down" if (found["high"] or 0) < 0 else ""
    sign = "+" if found["value"] > 0 else ""
    return TableCell(
        f"{sign}{number(found['value'], 3)}", found["value"], interval(found["low"], found["high"], 3), kind
    )


def format_costs(row: Mapping[str, Any]) -> list[TableCell]:
    """Parameters, GMAC, ms a field, MB and minutes; a dash where a figure is not known."""
    cost = row["cost"]
    parameters, macs, latency = cost["parameters"], cost["macs"], cost["latency_ms"]
    return [
        TableCell(NOTHING) if parameters is None else TableCell(f"{parameters:,}", parameters),
        TableCell(NOTHING) if macs is None else TableCell(f"{macs / 1e9:.3g}", macs),
        TableCell(NOTHING) if latency is None else TableCell(f"{latency:.3g}", latency),
        TableCell(f"{cost['bytes'] / 1e6:.1f}", cost["bytes"]),
        TableCell(f"{row['minutes']:.1f}", row["minutes"]),
    ]


def heat_map(alike: np.ndarray) -> list[list[HeatMapCell | None]]:
    """The correlations as coloured squares, with figures where there is room; None on the diagonal."""
    return [
        [
            None if row == column else _heat_map_cell(float(value), len(alike) <= FEW)
            for column, value in enumerate(values)
        ]
        for row, values in enumerate(alike)
    ]


def _heat_map_cell(value: float, shown: bool) -> HeatMapCell:
    if math.isnan(value):
        return HeatMapCell(NOTHING, shown, 0)
    return HeatMapCell(number(round(value, 2) + 0.0), shown, round(DEEPEST * min(max(value, 0.0), 1.0)))
