"""The comparison of Runs on one page: the logbook of an experiment, with a suggested shortlist."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lociscope.errors import Code
from lociscope.report.comparison_parts import class_rows, cost_plots
from lociscope.report.comparison_rows import interval_to_dict
from lociscope.report.curves import overlay_curves, small_curves
from lociscope.report.definitions import DECIDED_AT_ONE_THRESHOLD, MACRO_F1
from lociscope.report.page import NOTHING, interval, number, render, write_page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np

    from lociscope.report.candidates import Candidate
    from lociscope.report.page import Link
    from lociscope.report.ranking import ComparisonGroup, RankedModel

NAMES = {
    "macro_f1": ("Macro-F1", "at one threshold"),
    "macro_average_precision": ("Average precision", "macro"),
    "lrap": ("LRAP", "of the ranking"),
    "macro_auc": ("AUC", "macro"),
}
"""Names of the metrics on the page."""
HEADLINE = "macro_average_precision"
"""The metric by which Runs are ranked: independent of thresholds, with equal weight for rare and frequent classes."""
MAX_WITH_FIGURES = 16
"""Largest number of Runs for which the heat map shows figures."""
MAX_DEPTH = 45
"""Per cent of the accent colour at a correlation of 1, at which figures remain readable."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A folder that could not be compared, and why."""

    folder: str
    reason: str
    code: Code = Code.INVALID_VALUE


@dataclass(frozen=True, slots=True)
class TableCell:
    """A figure in a table: its text, its sort key, small text beside it, and its CSS class."""

    text: str
    key: float | None = None
    small: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class HeatMapCell:
    """A cell of the heat map: its figure, whether it is shown, and the depth of its colour in per cent."""

    text: str
    shown: bool
    depth: int


def write_compare(
    path: Path,
    candidates: Sequence[Candidate],
    comparison_groups: Sequence[ComparisonGroup],
    rows: Sequence[Mapping[str, Any]],
    failures: Sequence[Failure] = (),
    files: Sequence[Link] = (),
) -> None:
    """Write the page.

    Args:
        path: The HTML file to write atomically.
        candidates: All candidates, in the order of the page.
        comparison_groups: From `compare_candidates`.
        rows: From `build_rows`.
        failures: Folders that could not be compared.
        files: The other files of the result, and the Runs.

    Raises:
        LociscopeError: The page cannot be written.
        MissingExtraError: jinja2 or matplotlib is not installed.
    """
    groups = [[row for row in rows if row["set"] == i] for i, _ in enumerate(comparison_groups, start=1)]
    html = render(
        "compare.html",
        title=f"Comparison of {len(candidates)} Run{'' if len(candidates) == 1 else 's'}",
        result=summarize(comparison_groups),
        comparison_groups=[
            (group, each, best_by_measure(each), class_rows(group), cost_plots(each, HEADLINE))
            for group, each in zip(comparison_groups, groups, strict=True)
        ],
        files=files,
        headline=HEADLINE,
        definition=f"{MACRO_F1} {DECIDED_AT_ONE_THRESHOLD}",
        overlays=overlay_curves(candidates),
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
    """Summarize the result in plain sentences."""
    sentences = []
    if len(comparison_groups) > 1:
        sentences.append(
            f"The Runs were validated on {len(comparison_groups)} different sets of fields; only Runs of one set are "
            "compared with each other."
        )
    for group in comparison_groups:
        best = rank_models(group)[0]
        top = best.figures[HEADLINE]
        if len(group.models) > 1:
            sentences.append(
                f"Of the {len(group.models)} on {describe_group(group)}, {best.candidate.name} has the highest average "
                f"precision: {number(top.value)} ({interval(top.low, top.high)})."
            )
        sentences += _summarize_shortlist(group)
    return sentences


def rank_models(group: ComparisonGroup) -> list[RankedModel]:
    """Return the models of a group by average precision, best first."""
    return sorted(group.models, key=lambda each: -each.figures[HEADLINE].value)


def _summarize_shortlist(group: ComparisonGroup) -> list[str]:
    shortlist = group.shortlist
    if shortlist is None:
        return []
    gain = shortlist.gains[HEADLINE]
    if len(shortlist.members) == 1:
        alone = shortlist.members[0].name
        return [f"Greedy ensemble selection chooses {alone} alone: no other Run lowers the log loss."]
    doubt = "" if gain.low > 0 else ", not significant"
    members = ", ".join(each.name for each in shortlist.members)
    return [
        f"Greedy ensemble selection chooses {members}: the combination gains {number(gain.value, 3)} in "
        f"average precision ({interval(gain.low, gain.high, 3)}{doubt}) over {shortlist.best} alone."
    ]


def describe_group(group: ComparisonGroup) -> str:
    """Describe a group by its fields: `1,200 validation fields of 300 specimens`."""
    units = "" if group.units is None else f" of {group.units:,} specimens"
    return f"{group.fields:,} validation fields{units}"


def best_by_measure(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the name of the Run with the highest score by metric; empty for a single Run."""
    if len(rows) < 2:
        return {}
    return {metric: max(rows, key=lambda row: row["figures"][metric]["value"] or -1.0)["name"] for metric in NAMES}


def format_score(found: Mapping[str, Any] | None, digits: int = 3) -> TableCell:
    """Format a score with its interval."""
    if found is None or found["value"] is None:
        return TableCell(NOTHING)
    return TableCell(number(found["value"], digits), found["value"], interval(found["low"], found["high"], digits))


def format_gain(found: Mapping[str, Any] | None) -> TableCell:
    """Format a gain with its interval and its sign, marked where the interval excludes 0."""
    if found is None or found["value"] is None:
        return TableCell(NOTHING)
    kind = "up" if (found["low"] or 0) > 0 else "down" if (found["high"] or 0) < 0 else ""
    sign = "+" if found["value"] > 0 else ""
    return TableCell(
        f"{sign}{number(found['value'], 3)}", found["value"], interval(found["low"], found["high"], 3), kind
    )


def format_costs(row: Mapping[str, Any]) -> list[TableCell]:
    """Format parameters, GMAC, ms per field, MB and minutes; a dash where a figure is not known."""
    cost = row["cost"]
    parameters, macs, latency = cost["parameters"], cost["macs"], cost["latency_ms"]
    return [
        TableCell(NOTHING) if parameters is None else TableCell(f"{parameters:,}", parameters),
        TableCell(NOTHING) if macs is None else TableCell(f"{macs / 1e9:.3g}", macs),
        TableCell(NOTHING) if latency is None else TableCell(f"{latency:.3g}", latency),
        TableCell(f"{cost['bytes'] / 1e6:.1f}", cost["bytes"]),
        TableCell(f"{row['minutes']:.1f}", row["minutes"]),
    ]


def heat_map(correlation: np.ndarray) -> list[list[HeatMapCell | None]]:
    """Return the cells of the heat map of correlations; None on the diagonal."""
    return [
        [
            None if row == column else _heat_map_cell(float(value), len(correlation) <= MAX_WITH_FIGURES)
            for column, value in enumerate(values)
        ]
        for row, values in enumerate(correlation)
    ]


def _heat_map_cell(value: float, shown: bool) -> HeatMapCell:
    if math.isnan(value):
        return HeatMapCell(NOTHING, shown, 0)
    return HeatMapCell(number(round(value, 2) + 0.0), shown, round(MAX_DEPTH * min(max(value, 0.0), 1.0)))
