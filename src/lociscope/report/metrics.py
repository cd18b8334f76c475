"""Score Predictions against the truth: `metrics.json`, with an interval and a baseline for every metric."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Self

import numpy as np
from pydantic import AliasChoices, BaseModel, ConfigDict, Field

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
from lociscope.labels import LABELS, N_LABELS, expand_classes, find_known
from lociscope.storage.atomic import atomic_write
from lociscope.storage.file_errors import unreadable_error
from lociscope.storage.schema import parse_model

if TYPE_CHECKING:
    from pathlib import Path

    from lociscope.decide.metrics import ClassMetric

SCHEMA = 3
"""In schema 1, `baseline` was named `blind`; before schema 3 every class was known to the model."""
LEVEL = 0.9
USEFUL_MINUTES = 6.0
"""A model is useful where its errors cost fewer minutes per field; `docs/frame.md`."""
USEFUL_GAIN = 0.05
"""A model is useful where its LRAP exceeds that of the label prior by more; `docs/frame.md`."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Figure(_Frozen):
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
            value=_or_none(interval.value),
            low=_or_none(interval.low),
            high=_or_none(interval.high),
            n=interval.n,
            level=interval.level,
            baseline=_or_none(baseline),
        )


class ClassScore(_Frozen):
    """One class: its positives, how often it was predicted, and its scores; null where it has no positives."""

    label: str
    positives: int
    predicted: int
    f1: float | None
    average_precision: float | None


class Metrics(_Frozen):
    """The contents of `metrics.json`.

    The metrics in `figures` are `lrap`, `top_3`, `macro_f1`, `macro_f1_frequent` (classes with 20 positives or more),
    `macro_average_precision`, `macro_auc` (3 or more), `jaccard` and `minutes`. The macro metrics are means
    over the classes with positives; `absent` are the others. Classes that the model does not know, `unknown`, are not
    scored: fields are scored by their other labels.
    """

    schema_: Annotated[int, Field(alias="schema")] = SCHEMA
    what: str = Field(description="The fields that were evaluated, as they follow 'Evaluated on'.")
    fields: int
    groups: int | None = Field(description="Number of groups (antibodies, specimens); null where unknown.")
    figures: dict[str, Figure]
    prior_lrap: float | None = Field(description="LRAP of the label prior: every field ranked by class frequency.")
    gain_over_prior: Figure = Field(description="LRAP minus `prior_lrap`, paired by field.")
    absent: tuple[str, ...]
    unknown: tuple[str, ...] = ()
    classes: tuple[ClassScore, ...]

    def write(self, path: Path) -> None:
        """Write JSON atomically."""
        with atomic_write(path) as part:
            part.write_text(self.model_dump_json(by_alias=True, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a `metrics.json` of this or an earlier schema.

        Raises:
            LociscopeError: The file is missing, damaged, or of a newer schema.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise unreadable_error(path, error, "Metrics") from error
        return parse_model(data, cls, SCHEMA, f"Metrics '{path}'")


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
    """Score Predictions.

    Args:
        truth: (n, 28), 1 where a location is labelled; see `labels.to_multi_hot`.
        probability: (n, 28) in 0–1; NaN for a class that the model does not know.
        predicted: (n, 28), 1 where a location was decided.
        what: The fields, as they follow "Evaluated on": `200 simulated fields that the training did not see`.
        groups: (n,) names of groups that are not independent, such as antibodies or specimens. By default each field
            is independent, and the intervals are too narrow where fields share an antibody.
        resamples: Number of bootstrap resamples.
        seed: Random seed of the resamples.

    Returns:
        The scores, with 90 % intervals.

    Raises:
        LociscopeError: The shapes do not match, or there are not 28 columns.
    """
    truth, decided = check_truth(truth), check_truth(predicted)
    _check_shapes(truth, decided)
    known = find_known(probability)
    labelled, truth, decided = truth, truth[:, known], decided[:, known]
    probability = check_probability(probability[:, known], truth)
    rate = truth.mean(axis=0)
    prior = np.broadcast_to(rate, truth.shape)

    def figure(metric: ClassMetric | RowMetric, values: np.ndarray, baseline: np.ndarray) -> Figure:
        interval = bootstrap(metric, truth, values, groups=groups, n=resamples, seed=seed, level=LEVEL)
        return Figure.from_interval(interval, float(metric(truth, np.broadcast_to(baseline, truth.shape))))

    figures = (
        (lrap, probability, rate),
        (top_k(3), probability, rate),
        (macro_f1, decided, np.ones(len(rate))),  # of all constant answers, every location has the highest F1
        (macro_f1_frequent, decided, np.ones(len(rate))),
        (macro_average_precision, probability, rate),
        (macro_auc, probability, rate),
        (jaccard, decided, np.arange(len(rate)) == rate.argmax()),
        (minutes, decided, rate >= BREAK_EVEN),
    )
    gain = paired_bootstrap(lrap, truth, probability, prior, groups=groups, n=resamples, seed=seed, level=LEVEL)
    return Metrics(
        what=what,
        fields=len(truth),
        groups=None if groups is None else gain.n,
        figures={metric.name: figure(metric, values, baseline) for metric, values, baseline in figures},
        prior_lrap=_or_none(float(lrap(truth, prior))),
        gain_over_prior=Figure.from_interval(gain),
        absent=tuple(name for name, share in zip(LABELS, labelled.mean(axis=0), strict=True) if share == 0),
        unknown=tuple(name for name, is_known in zip(LABELS, known, strict=True) if not is_known),
        classes=_score_classes(labelled, known, probability, decided),
    )


def _check_shapes(truth: np.ndarray, decided: np.ndarray) -> None:
    if truth.shape[1] != N_LABELS or decided.shape != truth.shape:
        raise LociscopeError(
            f"Truth of shape {truth.shape} and decisions of shape {decided.shape} do not match. Pass {N_LABELS} "
            "columns and the same number of rows in both.",
            code=Code.INVALID_VALUE,
        )


def _score_classes(
    truth: np.ndarray, known: np.ndarray, probability: np.ndarray, decided: np.ndarray
) -> tuple[ClassScore, ...]:
    """Score each class: the truth is of all 28, the probabilities and the decisions of the known ones."""
    numbers = tuple(np.flatnonzero(known).tolist())
    f1 = expand_classes(macro_f1(truth[:, known], decided).per_class, numbers)
    precision = expand_classes(macro_average_precision(truth[:, known], probability).per_class, numbers)
    predicted = expand_classes(decided.sum(axis=0), numbers, fill=0)
    return tuple(
        ClassScore(
            label=label,
            positives=int(truth[:, number].sum()),
            predicted=int(predicted[number]),
            f1=_or_none(f1[number]),
            average_precision=_or_none(precision[number]),
        )
        for number, label in enumerate(LABELS)
    )


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
