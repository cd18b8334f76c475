"""The results of a comparison as plain values: one mapping per Run, for CSV, JSON and the pages made from them."""

from __future__ import annotations

import csv
import math
from typing import TYPE_CHECKING, Any

from lociscope.report.candidates import describe_changes, diff_recipes, flatten
from lociscope.storage.atomic import atomic_write

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from lociscope.decide.intervals import Interval
    from lociscope.report.candidates import Candidate
    from lociscope.report.compare import Failure
    from lociscope.report.ranking import ComparisonGroup, RankedModel

SCHEMA = 1
DIGITS = 4
"""Decimals of scores; the intervals are much wider than that."""


def build_rows(candidates: Sequence[Candidate], comparison_groups: Sequence[ComparisonGroup]) -> list[dict[str, Any]]:
    """Return one mapping per candidate, in the order given.

    Args:
        candidates: All candidates.
        comparison_groups: From `compare_candidates`.

    Returns:
        For each: `name`, `note`, `set` (a number for each set of validation fields), `fields`, `units`, `base`,
        `from_base` and `from_previous` (triples of key, value before, value now), `figures` and `gains` (`value`,
        `low`, `high` and `n` of each metric), `cost`, `minutes`, `epochs`, `learned` (training fields), `scores`.
    """
    placed = {each.candidate.name: (number, group, each) for number, group, each in iter_models(comparison_groups)}
    rows = []
    for position, candidate in enumerate(candidates):
        number, group, model = placed[candidate.name]
        base = next(each.candidate for each in group.models if each.candidate.name == group.base)
        before = candidates[position - 1] if position else candidate
        rows.append(
            {
                "name": candidate.name,
                "note": candidate.recipe.note,
                "network": candidate.recipe.network.name,
                "set": number,
                "fields": group.fields,
                "units": group.units,
                "base": group.base,
                "from_base": diff_recipes(candidate.recipe, base.recipe),
                "from_previous": diff_recipes(candidate.recipe, before.recipe),
                "figures": {name: interval_to_dict(each) for name, each in model.figures.items()},
                "gains": {name: interval_to_dict(each) for name, each in model.gains.items()},
                "cost": _cost(candidate),
                "folds": len(candidate.runs),
                "minutes": round(candidate.minutes, 2),
                "epochs": candidate.epochs,
                "learned": candidate.train_fields,
                "scores": {name: dict(measures) for name, measures in candidate.scores.items()},
            }
        )
    return rows


def iter_models(comparison_groups: Sequence[ComparisonGroup]) -> Iterator[tuple[int, ComparisonGroup, RankedModel]]:
    """Yield every model with its group and the number of the group, from 1."""
    for number, group in enumerate(comparison_groups, start=1):
        for each in group.models:
            yield number, group, each


def interval_to_dict(interval: Interval) -> dict[str, float | int | None]:
    """Convert an interval to plain values; None where it is not defined."""
    ends = {"value": interval.value, "low": interval.low, "high": interval.high}
    return {key: None if math.isnan(each) else round(each, DIGITS) for key, each in ends.items()} | {"n": interval.n}


def _cost(candidate: Candidate) -> dict[str, Any]:
    cost = candidate.cost
    return {
        "parameters": candidate.parameters,
        "macs": cost.macs if cost else None,
        "latency_ms": cost.latency_ms if cost else None,
        "where": cost.where if cost else "",
        "reason": cost.reason if cost else "",
        "bytes": candidate.size,
    }


def to_json(
    comparison_groups: Sequence[ComparisonGroup], rows: Sequence[Mapping[str, Any]], failures: Sequence[Failure]
) -> dict[str, Any]:
    """Return a comparison as values that JSON has.

    Returns:
        `schema`; `runs`, the rows; `groups`, for each set of validation fields `set`, `fields`, `units`, `base`,
        `baseline`, `differences` (first minus second, average precision) and `shortlist`; `failures`.
    """
    return {
        "schema": SCHEMA,
        "runs": list(rows),
        "groups": [
            {
                "set": number,
                "fields": group.fields,
                "units": group.units,
                "base": group.base,
                "baseline": {name: None if math.isnan(value) else value for name, value in group.baseline.items()},
                "differences": [
                    {"first": one, "second": other, **interval_to_dict(each)}
                    for (one, other), each in group.differences.items()
                ],
                "shortlist": None
                if group.shortlist is None
                else [
                    {"name": each.name, "share": each.share, "folds": each.folds} for each in group.shortlist.members
                ],
            }
            for number, group in enumerate(comparison_groups, start=1)
        ],
        "failures": [{"folder": each.folder, "reason": each.reason, "code": str(each.code)} for each in failures],
    }


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the rows as a table: nested values by dotted key, differences as text.

    Raises:
        LociscopeError: The file cannot be written.
    """
    flattened = [
        flatten({**row, **{key: describe_changes(row[key]) for key in ("from_base", "from_previous")}}) for row in rows
    ]
    columns = list(dict.fromkeys(key for row in flattened for key in row))
    with atomic_write(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(flattened)
