"""What a fit found out, for a report and for whoever asks later: what was tried, what was kept and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from lociscope.decide.conformal import measure_coverage
from lociscope.decide.decider import fit_combination
from lociscope.decide.forecast import forecast
from lociscope.decide.intervals import Interval, repeated_bootstrap
from lociscope.decide.metrics import (
    ClassMetric,
    RowMetric,
    average_precision_per_class,
    brier,
    f1_per_class,
    jaccard,
    log_loss,
    lrap,
    macro_auc,
    macro_average_precision,
    macro_f1,
    macro_f1_frequent,
    nan_mean,
    top_k,
)
from lociscope.decide.reliability import reliability_by_group
from lociscope.decide.thresholds import POLICIES, Thresholds
from lociscope.labels import LEVELS

if TYPE_CHECKING:
    from lociscope.decide.nested import NestedResult
    from lociscope.decide.selection import SelectionResult

SCHEMA = 2
ON_DECISIONS: tuple[ClassMetric | RowMetric, ...] = (macro_f1, macro_f1_frequent, jaccard)
ON_PROBABILITIES: tuple[ClassMetric | RowMetric, ...] = (
    macro_average_precision,
    macro_auc,
    lrap,
    top_k(1),
    top_k(3),
    log_loss,
    brier,
)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Score(_Frozen):
    """A figure with its interval; None where it is not defined."""

    value: float | None
    low: float | None
    high: float | None
    level: float = Field(description="Coverage of the interval, 0–1.")
    n: int = Field(description="How many fields, or groups of them, it rests on.")

    @classmethod
    def of(cls, interval: Interval) -> Score:
        """From an `Interval`; NaN becomes None."""
        known = [None if np.isnan(each) else each for each in (interval.value, interval.low, interval.high)]
        return cls(value=known[0], low=known[1], high=known[2], level=interval.level, n=interval.n)


class Trial(_Frozen):
    """One way of combining with one policy of thresholds."""

    combiner: str
    policy: str
    fitted: float = Field(description="Macro-F1 on the very fields it was fitted on.")
    macro_f1: float = Field(description="Macro-F1 in the outer cross-validation; what it loses is its optimism.")
    macro_f1_frequent: float | None = Field(description="The same over classes with at least 20 positives.")

    @property
    def optimism(self) -> float:
        """How much better it looks on the fields of its fit than on others."""
        return self.fitted - self.macro_f1


class ClassReport(_Frozen):
    """One class."""

    number: int
    positives: int
    threshold: float
    f1: float | None = Field(description="In the outer cross-validation; None without positives.")
    average_precision: float | None


class ReliabilityDiagram(_Frozen):
    """A reliability diagram; bins hold equal shares of the expected positives."""

    name: str
    classes: tuple[int, ...]
    positives: int
    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    error: float = Field(description="Expected calibration error, over 15 bins of equal count.")


class EnsembleReport(_Frozen):
    """`report.json` of a fitted ensemble."""

    schema_: Annotated[int, Field(alias="schema")] = SCHEMA
    fields: int
    members: int
    unseen: tuple[bool, ...] = Field((), description="By position, whether records prove it not trained on the fields.")
    combiner: str
    policy: str
    why: str
    losses: dict[str, float] = Field(description="Cross-validated log loss of each combiner; the least was kept.")
    weights: tuple[float, ...] = Field(description="Mean share of each member over classes, by position.")
    trials: tuple[Trial, ...]
    expected: Score = Field(
        description="Macro-F1 to expect on as many new fields, and the 95 % interval of a new draw."
    )
    scores: dict[str, Score] = Field(description="Outer cross-validation, with bootstrap intervals over fields.")
    levels: dict[str, Score] = Field(description="Macro-F1 on coarser levels.")
    over_mean: Score | None = Field(description="Paired gain in macro-F1 over the mean of all members, 90 % interval.")
    over_best: Score | None = Field(description="Paired gain in macro-F1 over the best member alone, 90 % interval.")
    classes: tuple[ClassReport, ...]
    reliability: tuple[ReliabilityDiagram, ...]
    coverage: float = Field(description="Share of fields whose places all lie in their prediction sets, measured.")
    coverage_promised: float
    set_size: float = Field(description="Mean number of places in a prediction set.")
    unsure: float = Field(description="Share of fields with the status unsure.")
    negative: float = Field(description="Share of fields with the status negative.")
    jaccard_ok: float | None = Field(description="Mean Jaccard index of the fields with the status ok.")
    jaccard_unsure: float | None = Field(description="Mean Jaccard index of the unsure ones.")
    notes: tuple[str, ...]


def build_ensemble_report(
    truth: np.ndarray,
    members: np.ndarray,
    selected: SelectionResult,
    nested: NestedResult,
    groups: np.ndarray | None = None,
) -> EnsembleReport:
    """Gathers what `select` and `nested` found.

    Args:
        truth: (n, classes) of bool.
        members: (members, n, classes).
        selected: What was chosen and fitted on all fields.
        nested: The same choice inside a cross-validation.
        groups: (n,) names of groups that are drawn whole for intervals.
    """
    decider, policy = selected.decider, selected.decider.thresholds.policy
    decided = nested.decided["chosen", policy]

    def scored(metric: ClassMetric | RowMetric, values: np.ndarray, others: np.ndarray | None = None) -> Interval:
        level = 0.95 if others is None else 0.90
        return repeated_bootstrap(metric, truth, values, others, groups=groups, level=level)

    def gain_over(name: str) -> Score | None:
        others = nested.decided.get((name, policy))
        return None if others is None else Score.of(scored(macro_f1, decided, others))

    scores = {each.name: scored(each, decided) for each in ON_DECISIONS}
    scores |= {each.name: scored(each, nested.probability) for each in ON_PROBABILITIES}
    ok = nested.status == "ok"
    right = np.stack([jaccard.per_row(truth, each) for each in decided])
    return EnsembleReport(
        fields=len(truth),
        members=len(members),
        combiner=selected.combiner,
        policy=policy,
        why=_why(selected, nested),
        losses={str(name): loss for name, loss in selected.losses.items()},
        weights=_shares(decider.ensemble.weights_),
        trials=_trials(truth, members, nested),
        expected=Score.of(forecast(truth, nested.probability, decided, groups=groups)),
        scores={name: Score.of(each) for name, each in scores.items()},
        levels=_levels(truth, decided, groups),
        over_mean=gain_over("mean"),
        over_best=gain_over("best"),
        classes=_classes(truth, nested, decided, decider.thresholds.thresholds_),
        reliability=_diagrams(truth, nested.probability[0]),
        coverage=nan_mean(np.array([measure_coverage(truth, each) for each in nested.sets])),
        coverage_promised=decider.sets.coverage,
        set_size=float(nested.sets.sum(axis=2).mean()),
        unsure=float((nested.status == "unsure").mean()),
        negative=float((nested.status == "negative").mean()),
        jaccard_ok=float(right[ok].mean()) if ok.any() else None,
        jaccard_unsure=float(right[~ok].mean()) if (~ok).any() else None,
        notes=list_notes(truth, members),
    )


def list_notes(truth: np.ndarray, members: np.ndarray) -> tuple[str, ...]:
    """Sentences on what the data cannot tell."""
    found = truth.sum(axis=0)
    absent, few = np.flatnonzero(found == 0), np.flatnonzero((found > 0) & (found < 20))
    notes = []
    if absent.size:
        notes.append(
            f"No field has the classes {_listed(absent)}: their thresholds come from the prior, and macro-F1 leaves "
            "them out."
        )
    if few.size:
        notes.append(f"The classes {_listed(few)} have fewer than 20 fields: their scores are mostly chance.")
    if len(members) == 1:
        notes.append("One member was given: it was calibrated and given thresholds, and there was nothing to combine.")
    return tuple(notes)


def _listed(numbers: np.ndarray) -> str:
    return ", ".join(str(number) for number in numbers)


def _why(selected: SelectionResult, nested: NestedResult) -> str:
    others = [name for name in selected.losses if name != selected.combiner]
    if not others:
        return f"'{selected.combiner}' was the only one tried."
    runner = min(others, key=lambda name: selected.losses[name])
    agreed = sum(name == selected.combiner for name in nested.chosen)
    return (
        f"'{selected.combiner}' has the least cross-validated log loss, {selected.losses[selected.combiner]:.4f} "
        f"against {selected.losses[runner]:.4f} of '{runner}'; {agreed} of {len(nested.chosen)} outer folds chose "
        "it too."
    )


def _shares(weights: np.ndarray) -> tuple[float, ...]:
    mean = np.abs(weights).mean(axis=1)
    return tuple((mean / max(float(mean.sum()), 1e-12)).tolist())


def _trials(truth: np.ndarray, members: np.ndarray, nested: NestedResult) -> tuple[Trial, ...]:
    trials = []
    for name in nested.combiners:
        ensemble, calibration = fit_combination(truth, members, name)
        seen = calibration.predict(ensemble.predict(members))
        for policy in POLICIES:
            fitted = macro_f1(truth, Thresholds(policy).fit(truth, seen).predict(seen)).value
            decided = nested.decided[name, policy]
            f1, frequent = (
                nan_mean(np.array([metric(truth, each).value for each in decided]))
                for metric in (macro_f1, macro_f1_frequent)
            )
            trials.append(
                Trial(
                    combiner=name,
                    policy=policy,
                    fitted=fitted,
                    macro_f1=f1,
                    macro_f1_frequent=None if np.isnan(frequent) else frequent,
                )
            )
    return tuple(trials)


def _levels(truth: np.ndarray, decided: np.ndarray, groups: np.ndarray | None) -> dict[str, Score]:
    if truth.shape[1] != len(LEVELS[0].mapping):
        return {}
    return {
        level.name: Score.of(
            repeated_bootstrap(
                macro_f1, level.aggregate(truth), np.stack([level.aggregate(d) for d in decided]), groups=groups
            )
        )
        for level in LEVELS
    }


def _classes(
    truth: np.ndarray, nested: NestedResult, decided: np.ndarray, thresholds: np.ndarray
) -> tuple[ClassReport, ...]:
    f1 = np.mean([f1_per_class(truth, each) for each in decided], axis=0)
    ap = np.mean([average_precision_per_class(truth, each) for each in nested.probability], axis=0)
    return tuple(
        ClassReport(
            number=number,
            positives=int(truth[:, number].sum()),
            threshold=float(thresholds[number]),
            f1=None if np.isnan(f1[number]) else float(f1[number]),
            average_precision=None if np.isnan(ap[number]) else float(ap[number]),
        )
        for number in range(truth.shape[1])
    )


def _diagrams(truth: np.ndarray, probability: np.ndarray) -> tuple[ReliabilityDiagram, ...]:
    drawn = reliability_by_group(truth, probability, bins=12, equal="positives")
    measured = reliability_by_group(truth, probability)
    return tuple(
        ReliabilityDiagram(
            name=each.name,
            classes=each.classes,
            positives=each.positives,
            predicted=tuple(each.predicted.tolist()),
            observed=tuple(each.observed.tolist()),
            low=tuple(each.low.tolist()),
            high=tuple(each.high.tolist()),
            error=alike.error,
        )
        for each, alike in zip(drawn, measured, strict=True)
    )
