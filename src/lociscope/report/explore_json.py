"""The figures of an exploration as JSON: everything that the page shows, and all findings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lociscope.decide.prior import HPA_2018
from lociscope.labels import LABELS, N_LABELS
from lociscope.report.explore_texts import KINDS

if TYPE_CHECKING:
    from lociscope.data.explore.comparison import TestComparison
    from lociscope.data.explore.labels import LabelSummary
    from lociscope.report.explore import ExplorePage

SCHEMA = 1


def explore_to_json(page: ExplorePage) -> dict[str, Any]:
    """Return an exploration as values that JSON has.

    Returns:
        `schema`, `name`, `fields`, `readable`, `model`, `findings` (worst first, each with `kind`, `ids`, `score` and
        what is particular to it), `remedies` by kind, and, where they are known, `labels`, `pixels`, `test` and `map`.
    """
    kinds = dict.fromkeys(finding.kind for finding in page.findings)
    made: dict[str, Any] = {
        "schema": SCHEMA,
        "name": page.name,
        "fields": len(page.catalog),
        "readable": len(page.inspection.rows),
        "model": page.model,
        "findings": [finding.to_json() for finding in page.findings],
        "remedies": {str(kind): KINDS[kind].remedy for kind in kinds},
    }
    if page.labels is not None:
        made["labels"] = _labels_to_json(page.labels)
    if page.pixels is not None:
        made["pixels"] = {"quantiles": page.pixels.quantiles, "sizes": [list(size) for size in page.pixels.sizes]}
    if page.comparison is not None:
        made["test"] = _test_to_json(page.comparison)
    if page.map is not None:
        ids = page.catalog.ids
        made["map"] = [
            {"id": ids[row], "x": round(float(x), 4), "y": round(float(y), 4)}
            for row, (x, y) in zip(page.map.rows, page.map.points, strict=True)
        ]
    return made


def _labels_to_json(labels: LabelSummary) -> dict[str, Any]:
    return {
        "fields": labels.fields,
        "classes": [
            {
                "number": number,
                "label": LABELS[number],
                "fields": int(labels.counts[number]),
                "groups": int(labels.groups[number]),
                "share": float(labels.counts[number]) / labels.fields,
                "share_hpa": float(HPA_2018[number]),
            }
            for number in range(N_LABELS)
        ],
        "labels_per_field": {str(count): fields for count, fields in labels.per_field.items()},
        "pairs": labels.pairs.tolist(),
        "order": list(labels.order),
        "label_sets": [{"labels": list(numbers), "fields": count} for numbers, count in labels.sets],
        "distinct_label_sets": labels.distinct_sets,
        "cell_lines": {
            line: {"fields": count, "classes": counts.tolist()} for line, (count, counts) in labels.lines.items()
        },
    }


def _test_to_json(comparison: TestComparison) -> dict[str, Any]:
    found = comparison.adversarial
    return {
        "fields": comparison.fields,
        "readable": comparison.readable,
        "compared": comparison.compared,
        "shifts": [shift._asdict() for shift in comparison.shifts],
        "adversarial": None
        if found is None
        else {
            "auc": found.auc.value,
            "low": found.auc.low,
            "high": found.auc.high,
            "n": found.auc.n,
            "statistic": found.statistic,
        },
    }
