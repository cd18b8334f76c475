"""The figures of a report of predicted fields as JSON."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from lociscope.labels import LABELS
from lociscope.report.field_report import location_rows, warning_rows

if TYPE_CHECKING:
    from lociscope.decide.conditions import ConditionComparison
    from lociscope.report.field_report import FieldReport

SCHEMA = 1


def field_report_to_json(report: FieldReport) -> dict[str, Any]:
    """Return a report as values that JSON has.

    Returns:
        `schema`, `name`, `fields`, `statuses`, `locations`, `summaries` by property, `variation`, `comparison`,
        `gallery` (ids of the shown fields by location), `unreadable`, `warnings`, `model`.
    """
    predictions = report.predictions
    return {
        "schema": SCHEMA,
        "name": report.name,
        "fields": len(predictions),
        "statuses": dict(Counter(predictions.status)),
        "locations": [{key: row[key] for key in ("label", "fields", "expected")} for row in location_rows(predictions)],
        "summaries": {each.by: each.rows for each in report.summaries},
        "variation": report.variation,
        "comparison": None if report.comparison is None else _comparison_to_json(report.comparison, report),
        "gallery": {
            "no location" if each.number < 0 else LABELS[each.number]: [field.id for field in each.shown]
            for each in report.galleries
        },
        "unreadable": report.unreadable,
        "warnings": [{"text": text, "fields": count} for text, count, _, _ in warning_rows(predictions)],
        "model": report.model,
    }


def _comparison_to_json(comparison: ConditionComparison, report: FieldReport) -> dict[str, Any]:
    column, unit = report.compared_by
    return {
        "column": column,
        "unit": unit,
        "conditions": list(comparison.conditions),
        "fields": list(comparison.fields),
        "units": list(comparison.units),
        "test": comparison.test,
        "pairs": comparison.pairs,
        "left_out": comparison.left_out,
        "notes": list(report.notes),
        "changes": [
            {
                "label": LABELS[each.number],
                "shares": list(each.shares),
                "means": list(each.means),
                "p": each.p,
                "changed": each.changed,
            }
            for each in comparison.changes
        ],
    }
