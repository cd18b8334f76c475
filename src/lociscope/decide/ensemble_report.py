"""The report on a fitted ensemble, as stored in `report.json`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from lociscope.decide.intervals import Interval

SCHEMA = 2


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Score(_Frozen):
    """A score with its interval; None where it is not defined."""

    value: float | None
    low: float | None
    high: float | None
    level: float = Field(description="Coverage of the interval, 0–1.")
    n: int = Field(description="Number of fields, or groups of fields, that were resampled.")

    @classmethod
    def from_interval(cls, interval: Interval) -> Score:
        """Convert an `Interval`; NaN becomes None."""
        value, low, high = (None if np.isnan(each) else each for each in (interval.value, interval.low, interval.high))
        return cls(value=value, low=low, high=high, level=interval.level, n=interval.n)


class Trial(_Frozen):
    """One combiner with one threshold policy."""

    combiner: str
    policy: str
    fitted: float = Field(description="Macro-F1 on the fields of the fit.")
    macro_f1: float = Field(description="Macro-F1 in the outer cross-validation.")
    macro_f1_frequent: float | None = Field(description="The same over classes with at least 20 positives.")

    @property
    def optimism(self) -> float:
        """Macro-F1 on the fields of the fit minus macro-F1 in the outer cross-validation."""
        return self.fitted - self.macro_f1


class ClassReport(_Frozen):
    """The scores of one class."""

    number: int
    positives: int
    threshold: float
    f1: float | None = Field(description="F1 in the outer cross-validation; None without positives.")
    average_precision: float | None


class ReliabilityDiagram(_Frozen):
    """A reliability diagram; its bins have equal shares of the expected positives."""

    name: str
    classes: tuple[int, ...]
    positives: int
    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    error: float = Field(description="Expected calibration error, over 15 bins of equal count.")


class EnsembleReport(_Frozen):
    """The contents of `report.json` of a fitted ensemble."""

    schema_: Annotated[int, Field(alias="schema")] = SCHEMA
    fields: int
    members: int
    unseen: tuple[bool, ...] = Field(
        (), description="For each member, whether records prove that it was not trained on these fields."
    )
    combiner: str
    policy: str
    why: str = Field(description="Why this combiner was selected, for a reader.")
    losses: dict[str, float] = Field(description="Cross-validated log loss of each combiner; the lowest is selected.")
    weights: tuple[float, ...] = Field(description="Mean share of each member over classes, by position.")
    trials: tuple[Trial, ...]
    expected: Score = Field(description="Macro-F1 to expect on as many new fields, with its 95 % interval.")
    scores: dict[str, Score] = Field(description="Outer cross-validation, with bootstrap intervals over fields.")
    levels: dict[str, Score] = Field(description="Macro-F1 on coarser levels.")
    over_mean: Score | None = Field(description="Paired gain in macro-F1 over the mean of all members, 90 % interval.")
    over_best: Score | None = Field(description="Paired gain in macro-F1 over the best member alone, 90 % interval.")
    classes: tuple[ClassReport, ...]
    reliability: tuple[ReliabilityDiagram, ...]
    coverage: float = Field(description="Measured share of fields whose prediction set has all true locations.")
    coverage_promised: float = Field(description="Nominal coverage of the prediction sets.")
    set_size: float = Field(description="Mean number of locations in a prediction set.")
    unsure: float = Field(description="Share of fields with the status unsure.")
    negative: float = Field(description="Share of fields with the status negative.")
    jaccard_ok: float | None = Field(description="Mean Jaccard index of the fields with the status ok.")
    jaccard_unsure: float | None = Field(description="Mean Jaccard index of the unsure ones.")
    notes: tuple[str, ...]
