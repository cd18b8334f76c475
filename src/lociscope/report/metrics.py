"""`metrics.json`: how well Predictions fit the truth, every figure with its interval and a blind reference."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lociscope.decide.checks import check_probability, check_truth
from lociscope.decide.costs import BREAK_EVEN, minutes
from lociscope.decide.intervals import Interval, bootstrap, paired_bootstrap
from lociscope.decide.metrics import (
    RowMetric,
    jaccard,
    lrap,
    macro_auc,
    macro_average_precision,
    macro_f1,
    macro_f1_frequent,
    top_k,
)
from lociscope.errors import Code, LociscopeError
from lociscope.labels import LABELS, N_LABELS
from lociscope.storage.atomic import atomic_write
from lociscope.storage.schema import check_schema

if TYPE_CHECKING:
    from pathlib import Path

    from lociscope.decide.metrics import ClassMetric

SCHEMA = 1
LEVEL = 0.9
USEFUL_MINUTES = 6.0
USEFUL_GAIN = 0.05
"""Below so many minutes, and above so much LRAP gained on the label prior, use begins; `docs/frame.md`."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Figure(_Frozen):
    """A score with its bootstrap interval; null where it is not defined."""

    value: float | None
    low: float | None
    high: float | None
    n: int = Field(ge=0, description="Fields, or groups of fields where they are known, that were resampled.")
    level: float = Field(gt=0, lt=1, description="Coverage of the interval.")
    blind: float | None = Field(None, description="Score of a fixed answer that never looks at the picture.")

    @classmethod
    def of(cls, interval: Interval, blind: float = math.nan) -> Self:
        """Takes an interval over; NaN becomes null."""
        return cls(
            value=_or_none(interval.value),
            low=_or_none(interval.low),
            high=_or_none(interval.high),
            n=interval.n,
            level=interval.level,
            blind=_or_none(blind),
        )


class ClassScore(_Frozen):
    """One class: how often it was true and predicted, and its scores; null where it is never true."""

    label: str
    positives: int
    predicted: int
    f1: float | None
    average_precision: float | None


class Metrics(_Frozen):
    """`metrics.json`.

    The figures are `lrap`, `top_3`, `macro_f1`, `macro_f1_frequent` (classes with 20 positives or more),
    `macro_average_precision`, `macro_auc` (3 or more), `jaccard` and `minutes`. The macro figures are means
    over the classes with positives; `absent` are the others.
    """

    schema_: Annotated[int, Field(alias="schema")] = SCHEMA
    what: str = Field(description="What was evaluated, to follow 'On', as in '200 fields the training did not see'.")
    fields: int
    groups: int | None = Field(description="Groups (antibodies, specimens) drawn whole; null where unknown.")
    figures: dict[str, Figure]
    prior_lrap: float | None = Field(description="LRAP of ranking every field by the labels' own frequencies.")
    gain_over_prior: Figure = Field(description="LRAP above `prior_lrap`, paired by field.")
    absent: tuple[str, ...]
    classes: tuple[ClassScore, ...]

    def write(self, path: Path) -> None:
        """Writes JSON, whole or not at all."""
        with atomic_write(path) as part:
            part.write_text(self.model_dump_json(by_alias=True, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads what `write` wrote.

        Raises:
            LociscopeError: The file is missing, damaged, or of a newer schema.
        """
        import json

        try:
            values: Any = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(values, dict):
                raise LociscopeError(
                    f"'{path}' holds no metrics. Name a metrics.json of `lociscope evaluate`.", code=Code.WRONG_FILE
                )
            check_schema(values.get("schema"), SCHEMA, f"Metrics '{path}'")
            return cls.model_validate(values)
        except (OSError, ValueError, ValidationError) as error:
            raise LociscopeError(
                f"Metrics '{path}' cannot be read ({error}). Evaluate again.", code=Code.UNREADABLE
            ) from error


def measure(
    truth: np.ndarray,
    probability: np.ndarray,
    predicted: np.ndarray,
    what: str,
    groups: np.ndarray | None = None,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Metrics:
    """Scores Predictions.

    Args:
        truth: (n, 28), 1 where a place is labelled; `labels.to_multi_hot` makes it.
        probability: (n, 28) in 0–1.
        predicted: (n, 28), 1 where a place was decided on.
        what: What was evaluated, to follow "On": `200 simulated fields that the training did not see`.
        groups: (n,) names of what is not independent: antibodies, specimens. Default: each field by itself,
            and then the intervals are too narrow where fields share an antibody.
        resamples: Bootstrap resamples.
        seed: Decides them.

    Returns:
        The scores, with 90 % intervals.

    Raises:
        LociscopeError: The arrays do not fit each other, or do not have 28 columns.
    """
    known, decided = check_truth(truth), check_truth(predicted)
    chance = check_probability(probability, known)
    if known.shape[1] != N_LABELS or decided.shape != known.shape:
        raise LociscopeError(
            f"Truth {known.shape} and decisions {decided.shape} do not fit; pass {N_LABELS} columns and equal rows.",
            code=Code.INVALID_VALUE,
        )
    rate = known.mean(axis=0)
    prior = np.broadcast_to(rate, known.shape)

    def figure(metric: ClassMetric | RowMetric, given: np.ndarray, blind: np.ndarray) -> Figure:
        interval = bootstrap(metric, known, given, groups=groups, n=resamples, seed=seed, level=LEVEL)
        return Figure.of(interval, float(metric(known, np.broadcast_to(blind, known.shape))))

    figures = (
        (lrap, chance, rate),
        (top_k(3), chance, rate),
        (macro_f1, decided, np.ones(N_LABELS)),  # of all fixed answers, every place has the highest F1
        (macro_f1_frequent, decided, np.ones(N_LABELS)),
        (macro_average_precision, chance, rate),
        (macro_auc, chance, rate),
        (jaccard, decided, np.arange(N_LABELS) == rate.argmax()),
        (minutes, decided, rate >= BREAK_EVEN),
    )
    gain = paired_bootstrap(lrap, known, chance, prior, groups=groups, n=resamples, seed=seed, level=LEVEL)
    return Metrics(
        what=what,
        fields=len(known),
        groups=None if groups is None else gain.n,
        figures={metric.name: figure(metric, given, blind) for metric, given, blind in figures},
        prior_lrap=_or_none(float(lrap(known, prior))),
        gain_over_prior=Figure.of(gain),
        absent=tuple(name for name, share in zip(LABELS, rate, strict=True) if share == 0),
        classes=_classes(known, chance, decided),
    )


def _classes(truth: np.ndarray, probability: np.ndarray, decided: np.ndarray) -> tuple[ClassScore, ...]:
    f1 = macro_f1(truth, decided).per_class
    precision = macro_average_precision(truth, probability).per_class
    return tuple(
        ClassScore(
            label=label,
            positives=int(truth[:, number].sum()),
            predicted=int(decided[:, number].sum()),
            f1=_or_none(f1[number]),
            average_precision=_or_none(precision[number]),
        )
        for number, label in enumerate(LABELS)
    )


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
