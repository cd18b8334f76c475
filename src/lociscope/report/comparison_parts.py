"""Parts of the comparison page: intervals, scores by class, quality against cost, paired differences."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lociscope.decide.metrics import average_precision_per_class
from lociscope.labels import ANATOMICAL_ORDER, LABELS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lociscope.report.ranking import ComparisonGroup

DEPTH = 45
"""Per cent of the accent colour at a score of 1, at which figures remain readable."""
COSTS = (("latency_ms", "ms per field"), ("bytes", "size"))


@dataclass(frozen=True, slots=True)
class ClassRow:
    """A location: its positives, and the average precision of each Run with a depth of colour; `best` is the place."""

    label: str
    positives: int
    cells: list[tuple[float, int]]
    best: int


@dataclass(frozen=True, slots=True)
class CostPoint:
    """A Run on the plot of quality against cost, in px; whether no other Run is better in both."""

    name: str
    x: float
    y: float
    efficient: bool


@dataclass(frozen=True, slots=True)
class CostPlot:
    """A plot of average precision against a cost, on a logarithmic axis, with the ends of both axes as text."""

    what: str
    points: list[CostPoint]
    low: str
    high: str
    bottom: str
    top: str


def class_rows(group: ComparisonGroup) -> list[ClassRow]:
    """Return the average precision of each Run by location with positives, in anatomical order."""
    truth = group.models[0].candidate.truth
    scores = [average_precision_per_class(truth, each.candidate.probability) for each in group.models]
    rows = []
    for number in ANATOMICAL_ORDER:
        positives = int(truth[:, number].sum())
        if positives:
            values = [float(each[number]) for each in scores]
            cells = [(value, round(DEPTH * value)) for value in values]
            rows.append(ClassRow(LABELS[number], positives, cells, max(range(len(values)), key=values.__getitem__)))
    return rows


def find_efficient(rows: Sequence[Mapping[str, Any]], metric: str, cost: str) -> set[str]:
    """Return the Runs that no other Run exceeds in quality at the same or a lower cost (the Pareto front).

    Args:
        rows: From `build_rows`; those without the cost are left out.
        metric: Name of the metric, higher is better.
        cost: `latency_ms` or `bytes`, lower is better.
    """
    known = [(row["name"], row["figures"][metric]["value"], row["cost"][cost]) for row in rows if row["cost"][cost]]
    known = [each for each in known if each[1] is not None]
    return {
        name
        for name, value, price in known
        if not any(other >= value and paid <= price and (other > value or paid < price) for _, other, paid in known)
    }


def cost_plots(rows: Sequence[Mapping[str, Any]], metric: str) -> list[CostPlot]:
    """Return the plots of quality against latency and against size, for two Runs or more with a known cost."""
    plots = []
    for cost, what in COSTS:
        known = [row for row in rows if row["cost"][cost] and row["figures"][metric]["value"] is not None]
        if len(known) < 2:
            continue
        efficient = find_efficient(rows, metric, cost)
        prices = [math.log(row["cost"][cost]) for row in known]
        values = [row["figures"][metric]["value"] for row in known]
        points = [
            CostPoint(
                row["name"],
                _place(price, prices, 60, 580),
                round(220 - _place(value, values, 0, 180), 1),
                row["name"] in efficient,
            )
            for row, price, value in zip(known, prices, values, strict=True)
        ]
        low, high = (_format(cost, math.exp(each)) for each in (min(prices), max(prices)))
        plots.append(CostPlot(what, points, low, high, f"{min(values):.3f}", f"{max(values):.3f}"))
    return plots


def _place(value: float, values: Sequence[float], start: float, end: float) -> float:
    low, high = min(values), max(values)
    return round(start + (end - start) * ((value - low) / (high - low) if high > low else 0.5), 1)


def _format(cost: str, value: float) -> str:
    return f"{value / 1e6:.3g} MB" if cost == "bytes" else f"{value:.3g} ms"
