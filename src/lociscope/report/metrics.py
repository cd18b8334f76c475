"""Score Predictions against the truth: `metrics.json`, with an interval and a baseline for every metric."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self

import numpy as np
from pydantic import Field

from lociscope.decide.checks import check_probability, check_truth
from lociscope.decide.class_metrics import decision_accuracy, exact_match, macro_precision, macro_recall
from lociscope.decide.costs import BREAK_EVEN, minutes
from lociscope.decide.intervals import bootstrap, paired_bootstrap
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
from lociscope.report.acceptance import LEVEL, accept, score_classes
from lociscope.report.ranking import FOLDS, cross_fit_decisions
from lociscope.report.scores import Acceptance, ClassScore, Figure, Frozen, or_none
from lociscope.storage.atomic import atomic_write
from lociscope.storage.file_errors import unreadable_error
from lociscope.storage.schema import parse_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lociscope.decide.metrics import ClassMetric

SCHEMA = 3
"""In schema 1, `baseline` was named `blind`; schema 3 has `acceptance`, `unknown`, and more figures."""
FEW_RESAMPLES, MANY_FIELDS = 300, 5000
"""Resamples of so many fields and more, whose intervals are narrow."""
USEFUL_MINUTES = 6.0
"""A model is useful where its errors cost fewer minutes per field; `docs/frame.md`."""
USEFUL_GAIN = 0.05
"""A model is useful where its LRAP exceeds that of the label prior by more; `docs/frame.md`."""


class Metrics(Frozen):
    """The contents of `metrics.json`.

    The metrics in `figures` are `lrap`, `top_3`, `macro_f1`, `macro_f1_frequent` (classes with 20 positives or more),
    `macro_f1_one_threshold` (as `lociscope compare` decides), `macro_precision`, `macro_recall`,
    `macro_average_precision`, `macro_auc` (3 or more), `exact_match`, `decision_accuracy`, `jaccard` and `minutes`. The
    macro metrics are means over the classes with positives; `absent` are the others. Classes that the model does not
    know, `unknown`, are not scored: fields are scored by their other labels.
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
    acceptance: Acceptance | None = None

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
    cell_lines: Sequence[str | None] | None = None,
    varied: Mapping[int, bool] | None = None,
    resamples: int | None = None,
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
        cell_lines: The cell line of each field, where known.
        varied: By row, whether the cells of the field differ from each other, where it is known.
        resamples: Number of bootstrap resamples; None for 1000, or `FEW_RESAMPLES` of many fields.
        seed: Random seed of the resamples.

    Returns:
        The scores, with 90 % intervals.

    Raises:
        LociscopeError: The shapes do not match, or there are not 28 columns.
        MissingExtraError: SciPy is not installed.
    """
    truth, decided = check_truth(truth), check_truth(predicted)
    _check_shapes(truth, decided)
    known = find_known(probability)
    labelled, truth, decided = truth, truth[:, known], decided[:, known]
    probability = check_probability(probability[:, known], truth)
    if resamples is None:
        resamples = 1000 if len(truth) < MANY_FIELDS else FEW_RESAMPLES
    rate = truth.mean(axis=0)
    prior = np.broadcast_to(rate, truth.shape)

    def figure(metric: ClassMetric | RowMetric, values: np.ndarray, baseline: np.ndarray) -> Figure:
        interval = bootstrap(metric, truth, values, groups=groups, n=resamples, seed=seed, level=LEVEL)
        return Figure.from_interval(interval, float(metric(truth, np.broadcast_to(baseline, truth.shape))))

    figures = {each.name: figure(each, *values) for each, *values in _list_metrics(rate, probability, decided)}
    if (len(truth) if groups is None else len(set(groups.tolist()))) >= FOLDS:
        one = cross_fit_decisions(truth, probability, groups)
        figures["macro_f1_one_threshold"] = figure(macro_f1, one, np.ones(len(rate)))
    gain = paired_bootstrap(lrap, truth, probability, prior, groups=groups, n=resamples, seed=seed, level=LEVEL)
    numbers = tuple(np.flatnonzero(known).tolist())
    true, score, chosen = (expand_classes(each, numbers, fill=0) for each in (truth, probability, decided))
    return Metrics(
        what=what,
        fields=len(truth),
        groups=None if groups is None else gain.n,
        figures=figures,
        prior_lrap=or_none(float(lrap(truth, prior))),
        gain_over_prior=Figure.from_interval(gain),
        absent=tuple(name for name, share in zip(LABELS, labelled.mean(axis=0), strict=True) if share == 0),
        unknown=tuple(name for name, is_known in zip(LABELS, known, strict=True) if not is_known),
        classes=tuple(
            each.model_copy(update={"positives": int(count)})
            for each, count in zip(score_classes(true, score, chosen, groups), labelled.sum(axis=0), strict=True)
        ),
        acceptance=accept(true, score, chosen, groups, cell_lines, varied, labelled),
    )


def _list_metrics(
    rate: np.ndarray, probability: np.ndarray, decided: np.ndarray
) -> list[tuple[ClassMetric | RowMetric, np.ndarray, np.ndarray]]:
    """Return each metric with the values that it scores, and (classes,) the constant answer that is its baseline."""
    every = np.ones(len(rate))  # of all constant answers, every location has the highest F1
    nothing, commonest = np.zeros(len(rate)), np.arange(len(rate)) == rate.argmax()
    return [
        (lrap, probability, rate),
        (top_k(3), probability, rate),
        (macro_f1, decided, every),
        (macro_f1_frequent, decided, every),
        (macro_precision, decided, every),
        (macro_recall, decided, every),
        (exact_match, decided, commonest),
        (decision_accuracy, decided, nothing),
        (macro_average_precision, probability, rate),
        (macro_auc, probability, rate),
        (jaccard, decided, commonest),
        (minutes, decided, rate >= BREAK_EVEN),
    ]


def _check_shapes(truth: np.ndarray, decided: np.ndarray) -> None:
    if truth.shape[1] != N_LABELS or decided.shape != truth.shape:
        raise LociscopeError(
            f"Truth of shape {truth.shape} and decisions of shape {decided.shape} do not match. Pass {N_LABELS} "
            "columns and the same number of rows in both.",
            code=Code.INVALID_VALUE,
        )
