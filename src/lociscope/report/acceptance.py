"""Compute what HPA judged models by: scores of subsets, levels of classes, confusions, curves, calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lociscope.decide.class_metrics import (
    count_confusions,
    exact_match,
    macro_jaccard,
    macro_precision,
    macro_recall,
    micro_f1,
    precision_recall_curve,
    thin_curve,
)
from lociscope.decide.ensemble_scoring import make_diagrams
from lociscope.decide.intervals import bootstrap, bootstrap_classes
from lociscope.decide.metrics import jaccard, lrap, macro_average_precision, macro_f1
from lociscope.errors import MissingExtraError
from lociscope.labels import LABELS, LEVELS, Level
from lociscope.report.scores import Acceptance, ClassScore, Figure, Split, Subset, TwoSampleTest, or_none

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lociscope.decide.metrics import ClassMetric, RowMetric

LEVEL = 0.9
CLASS_RESAMPLES = 200
"""Resamples for the interval of each class and each subset."""

MIN_TESTED = 5
"""Fewest fields of each kind for a test, and fewest positives of a class for an interval."""

ONE_LABEL, MORE_LABELS = "One label", "Several labels"
VARIED, UNIFORM = "With single-cell variation", "Without"


def accept(
    truth: np.ndarray,
    probability: np.ndarray,
    decided: np.ndarray,
    groups: np.ndarray | None,
    cell_lines: Sequence[str | None] | None = None,
    varied: Mapping[int, bool] | None = None,
    labelled: np.ndarray | None = None,
) -> Acceptance:
    """Compute the parts of an acceptance report.

    Args:
        truth: (n, 28) of bool.
        probability: (n, 28) in 0–1.
        decided: (n, 28) of bool.
        groups: (n,) names of groups that are resampled whole; None where fields are independent.
        cell_lines: The cell line of each field, where known.
        varied: By row, whether the cells of the field differ from each other, where it is known.
        labelled: (n, 28) of bool: the labels, also of classes that the model does not know; None where it knows all.

    Raises:
        MissingExtraError: SciPy is not installed.
    """
    parts = _Parts(truth, probability, decided, groups)
    labelled = truth if labelled is None else labelled
    count = labelled.sum(axis=1)
    split = parts.split({ONE_LABEL: count == 1, MORE_LABELS: count > 1, "No label": count == 0})
    lines = np.array([line or "" for line in cell_lines or ()])
    names, counts = np.unique(lines[lines != ""], return_counts=True)
    return Acceptance(
        levels={level.name: parts.figure(macro_f1, *_join(level, truth, decided, labelled)) for level in LEVELS},
        micro_f1=or_none(micro_f1(truth, decided)),
        label_count=split,
        cell_lines=tuple(
            parts.subset(name, lines == name) for name in names[np.argsort(-counts, kind="stable")].tolist()
        ),
        variation=None if not varied else parts.split(_mask_varied(varied, len(truth))),
        confusions=tuple(tuple(row) for row in count_confusions(truth, decided).tolist()),
        curves=tuple(_curve(truth[:, number], probability[:, number]) for number in range(truth.shape[1])),
        reliability=make_diagrams(truth, probability),
    )


def score_classes(
    truth: np.ndarray, probability: np.ndarray, decided: np.ndarray, groups: np.ndarray | None
) -> tuple[ClassScore, ...]:
    """Return the scores of each class, with 90 % intervals from `MIN_TESTED` positives: resamples of fewer mislead."""
    found: dict[str, list[float]] = {}
    intervals: list[dict[str, tuple[float, float]]] = [{} for _ in LABELS]
    for name, metric, values in (
        ("f1", macro_f1, decided),
        ("precision", macro_precision, decided),
        ("recall", macro_recall, decided),
        ("jaccard", macro_jaccard, decided),
        ("average_precision", macro_average_precision, probability),
    ):
        each = bootstrap_classes(metric, truth, values, groups=groups, n=CLASS_RESAMPLES, level=LEVEL)
        found[name] = [interval.value for interval in each]
        for number, interval in enumerate(each):
            if not np.isnan(interval.low) and truth[:, number].sum() >= MIN_TESTED:
                intervals[number][name] = (round(interval.low, 4), round(interval.high, 4))
    return tuple(
        ClassScore(
            label=label,
            positives=int(truth[:, number].sum()),
            predicted=int(decided[:, number].sum()),
            intervals=intervals[number],
            **{name: or_none(values[number]) for name, values in found.items()},
        )
        for number, label in enumerate(LABELS)
    )


class _Parts:
    """Scores parts of the fields."""

    def __init__(
        self, truth: np.ndarray, probability: np.ndarray, decided: np.ndarray, groups: np.ndarray | None
    ) -> None:
        self._truth, self._probability, self._decided, self._groups = truth, probability, decided, groups

    def figure(
        self, metric: ClassMetric | RowMetric, truth: np.ndarray, values: np.ndarray, rows: np.ndarray | None = None
    ) -> Figure:
        """Return a score with its interval; `rows` are those of the arrays, for their groups."""
        groups = self._groups if rows is None or self._groups is None else self._groups[rows]
        found = bootstrap(metric, truth, values, groups=groups, n=CLASS_RESAMPLES, level=LEVEL)
        return Figure.from_interval(found)

    def subset(self, name: str, rows: np.ndarray) -> Subset:
        """Score the fields of a mask."""
        truth, probability, decided = self._truth[rows], self._probability[rows], self._decided[rows]
        return Subset(
            name=name,
            fields=len(truth),
            figures={
                metric.name: self.figure(metric, truth, values, rows)
                for metric, values in (
                    (jaccard, decided),
                    (exact_match, decided),
                    (macro_f1, decided),
                    (lrap, probability),
                )
            },
        )

    def split(self, masks: Mapping[str, np.ndarray]) -> Split:
        """Score parts, and test whether the overlap of the first two differs."""
        subsets = tuple(self.subset(name, rows) for name, rows in masks.items() if rows.any())
        overlap = jaccard.per_row(self._truth, self._decided)
        one, other = (overlap[rows] for rows in list(masks.values())[:2])
        return Split(subsets=subsets, test=_compare(one, other) if min(len(one), len(other)) >= MIN_TESTED else None)


def _join(level: Level, truth: np.ndarray, decided: np.ndarray, labelled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and decisions of a level.

    A field may have a class of the level by labels alone that the model does not know. Then the class is neither right
    nor wrong, so a decision for it does not count.
    """
    true, every, chosen = (level.aggregate(np.asarray(each, bool)) for each in (truth, labelled, decided))
    return true, chosen & ~(every & ~true)


def _compare(one: np.ndarray, other: np.ndarray) -> TwoSampleTest:
    try:
        from scipy.stats import ks_2samp
    except ImportError:
        raise MissingExtraError("The acceptance report", "report") from None
    found = ks_2samp(one, other, method="asymp")
    return TwoSampleTest(statistic=float(found.statistic), p=float(found.pvalue))


def _mask_varied(varied: Mapping[int, bool], n: int) -> dict[str, np.ndarray]:
    rows = np.arange(n)
    return {
        VARIED: np.isin(rows, [row for row, differs in varied.items() if differs]),
        UNIFORM: np.isin(rows, [row for row, differs in varied.items() if not differs]),
    }


def _curve(positive: np.ndarray, score: np.ndarray) -> tuple[tuple[float, float], ...]:
    return tuple(thin_curve(*precision_recall_curve(positive, score))) if positive.any() else ()
