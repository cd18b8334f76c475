"""The models of `metrics.json`: figures with intervals, scores of classes, and the parts of an acceptance report."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from lociscope.decide.ensemble_report import ReliabilityDiagram

if TYPE_CHECKING:
    from lociscope.decide.intervals import Interval


class Frozen(BaseModel):
    """A model that is not changed, and has no other keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Figure(Frozen):
    """A score with its bootstrap interval; null where it is not defined."""

    value: float | None
    low: float | None
    high: float | None
    n: int = Field(ge=0, description="Number of fields, or of groups where they are known, that were resampled.")
    level: float = Field(gt=0, lt=1, description="Coverage of the interval.")
    baseline: float | None = Field(
        None,
        description="Score of a constant answer that does not depend on the image.",
        validation_alias=AliasChoices("baseline", "blind"),
    )

    @classmethod
    def from_interval(cls, interval: Interval, baseline: float = math.nan) -> Self:
        """Convert an `Interval`; NaN becomes null."""
        return cls(
            value=or_none(interval.value),
            low=or_none(interval.low),
            high=or_none(interval.high),
            n=interval.n,
            level=interval.level,
            baseline=or_none(baseline),
        )


class ClassScore(Frozen):
    """One class: its positives, how often it was predicted, and its scores; null where it has no positives.

    `intervals` has the lower and upper end of each score that has an interval, by name.
    """

    label: str
    positives: int
    predicted: int
    f1: float | None
    average_precision: float | None
    precision: float | None = None
    recall: float | None = None
    jaccard: float | None = None
    intervals: dict[str, tuple[float, float]] = {}


class Subset(Frozen):
    """The scores of a part of the fields, such as one cell line; `figures` by name of the metric."""

    name: str
    fields: int
    figures: dict[str, Figure]


class TwoSampleTest(Frozen):
    """A two-sided Kolmogorov–Smirnov test between the first two subsets, on the overlap (Jaccard) of each field."""

    statistic: float = Field(description="Largest difference between the two cumulative distributions, 0–1.")
    p: float


class Split(Frozen):
    """The fields in parts, with a test whether the first two differ; null where one of them has too few."""

    subsets: tuple[Subset, ...]
    test: TwoSampleTest | None


class Acceptance(Frozen):
    """What HPA judged the competition's models by, beyond the headline figures.

    The classes of `confusions` (row: missed, column: wrongly reported instead) and `curves` (recall and precision) are
    in index order.
    """

    levels: dict[str, Figure] = Field(description="Macro-F1 on each level of classes, finest first.")
    micro_f1: float | None
    label_count: Split = Field(description="Fields with one label against those with several.")
    cell_lines: tuple[Subset, ...] = ()
    variation: Split | None = Field(None, description="Fields with single-cell variation against the others.")
    confusions: tuple[tuple[int, ...], ...]
    curves: tuple[tuple[tuple[float, float], ...], ...]
    reliability: tuple[ReliabilityDiagram, ...]


def or_none(value: float) -> float | None:
    """Return a number, or None for NaN."""
    return None if math.isnan(value) else float(value)
