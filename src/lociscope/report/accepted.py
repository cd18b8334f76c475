"""The parts of an acceptance report as rows, sentences and paths of the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lociscope.labels import ANATOMICAL_ORDER, ANATOMY, LABELS
from lociscope.report.drift import format_p_value
from lociscope.report.page import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lociscope.report.metrics import Metrics
    from lociscope.report.scores import Acceptance, ClassScore, Split, Subset

MAX_DEPTH = 45
"""Per cent of the accent colour of a class that is always confused, at which figures remain readable."""
NAMED = 3
"""Confusions that are named in words."""


@dataclass(frozen=True, slots=True)
class ConfusionRow:
    """A missed location: its place in the order of the page, whether it begins a compartment, and its cells.

    A cell is the number of fields, the depth of its colour in per cent, and whether it begins a compartment.
    """

    label: str
    place: int
    first: bool
    cells: list[tuple[int, int, bool]]


@dataclass(frozen=True, slots=True)
class CurveRow:
    """A precision–recall curve as the path of an SVG with 100 units a side, and the height of chance."""

    label: str
    positives: int
    average_precision: float | None
    path: str
    chance: float


def confusion_rows(accepted: Acceptance, classes: Sequence[ClassScore]) -> list[ConfusionRow]:
    """Return the confusions of the locations that occur, in anatomical order; empty where there is none."""
    if not any(any(row) for row in accepted.confusions):
        return []
    shown = [each for each in ANATOMICAL_ORDER if classes[each].positives or classes[each].predicted]
    starts = {next((each for each in shown if each in numbers), -1) for _, numbers in ANATOMY}
    return [
        ConfusionRow(
            LABELS[missed],
            place,
            missed in starts and place > 0,
            [
                (
                    count,
                    round(MAX_DEPTH * count / max(classes[missed].positives, 1)),
                    wrong in starts and wrong != shown[0],
                )
                for wrong in shown
                for count in (accepted.confusions[missed][wrong],)
            ],
        )
        for place, missed in enumerate(shown)
    ]


def describe_confusions(accepted: Acceptance) -> list[str]:
    """Describe the most frequent confusions in sentences."""
    pairs = [(n, missed, wrong) for missed, row in enumerate(accepted.confusions) for wrong, n in enumerate(row) if n]
    return [
        f"{LABELS[missed]} is missed in {n} field{'' if n == 1 else 's'} where {LABELS[wrong]} is wrongly reported."
        for n, missed, wrong in sorted(pairs, key=lambda each: (-each[0], each[1:]))[:NAMED]
    ]


def subset_tables(accepted: Acceptance) -> list[tuple[str, Sequence[Subset], str]]:
    """Return the tables of kinds of fields: title, rows, and a sentence on the difference."""
    tables: list[tuple[str, Sequence[Subset], str]] = [
        ("One label or several", accepted.label_count.subsets, _describe_test(accepted.label_count))
    ]
    if accepted.cell_lines:
        tables.append(("Cell lines", accepted.cell_lines, ""))
    if accepted.variation is not None:
        tables.append(("Single-cell variation", accepted.variation.subsets, _describe_test(accepted.variation)))
    return tables


def _describe_test(split: Split) -> str:
    if split.test is None:
        return "There are too few fields of both kinds for a test whether their overlaps differ."
    one, other = (each.name.lower() for each in split.subsets[:2])
    return (
        f"Kolmogorov–Smirnov test of the overlap (Jaccard) of each field, {one} against {other}: D = "
        f"{number(split.test.statistic)}, p {format_p_value(split.test.p)}. Fields of one antibody are similar, so the "
        "true p is larger."
    )


def curve_rows(metrics: Metrics, accepted: Acceptance) -> list[CurveRow]:
    """Return the precision–recall curves of the locations that occur, most frequent first."""
    rows = []
    for score, points in zip(metrics.classes, accepted.curves, strict=True):
        if points:
            path = "".join(
                f"{'L' if each else 'M'}{3 + 100 * recall:.1f} {103 - 100 * precision:.1f}"
                for each, (recall, precision) in enumerate(points)
            )
            chance = 103 - 100 * score.positives / metrics.fields
            rows.append(CurveRow(score.label, score.positives, score.average_precision, path, round(chance, 1)))
    return sorted(rows, key=lambda row: -row.positives)
