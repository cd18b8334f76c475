"""Build the report on a fitted ensemble: the combiners compared, the one selected, and its scores with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lociscope.decide.conformal import measure_coverage
from lociscope.decide.decider import fit_combination
from lociscope.decide.ensemble_report import ClassReport, EnsembleReport, ReliabilityDiagram, Score, Trial
from lociscope.decide.forecast import forecast
from lociscope.decide.intervals import repeated_bootstrap
from lociscope.decide.metrics import (
    FREQUENT,
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


def build_ensemble_report(
    truth: np.ndarray,
    members: np.ndarray,
    selected: SelectionResult,
    nested: NestedResult,
    groups: np.ndarray | None = None,
) -> EnsembleReport:
    """Build the report from the results of `select_combiner` and `nested_cross_validate`.

    Args:
        truth: (n, classes) of bool.
        members: (members, n, classes).
        selected: The combiner selected and fitted on all fields.
        nested: The same selection inside a cross-validation.
        groups: (n,) group names; intervals resample whole groups.
    """
    decider, policy = selected.decider, selected.decider.thresholds.policy
    decided = nested.decided["selected", policy]

    def score(metric: ClassMetric | RowMetric, values: np.ndarray, others: np.ndarray | None = None) -> Score:
        level = 0.95 if others is None else 0.90
        return Score.from_interval(repeated_bootstrap(metric, truth, values, others, groups=groups, level=level))

    def gain_over(name: str) -> Score | None:
        others = nested.decided.get((name, policy))
        return None if others is None else score(macro_f1, decided, others)

    scores = {each.name: score(each, decided) for each in ON_DECISIONS}
    scores |= {each.name: score(each, nested.probability) for each in ON_PROBABILITIES}
    ok = nested.status == "ok"
    overlap = np.stack([jaccard.per_row(truth, each) for each in decided])
    return EnsembleReport(
        fields=len(truth),
        members=len(members),
        combiner=selected.combiner,
        policy=policy,
        why=_explain_selection(selected, nested),
        losses={str(name): loss for name, loss in selected.losses.items()},
        weights=_weight_shares(decider.ensemble.weights_),
        trials=_score_trials(truth, members, nested),
        expected=Score.from_interval(forecast(truth, nested.probability, decided, groups=groups)),
        scores=scores,
        levels=_score_levels(truth, decided, groups),
        over_mean=gain_over("mean"),
        over_best=gain_over("best"),
        classes=_score_classes(truth, nested, decided, decider.thresholds.thresholds_),
        reliability=make_diagrams(truth, nested.probability[0]),
        coverage=nan_mean(np.array([measure_coverage(truth, each) for each in nested.sets])),
        coverage_promised=decider.sets.coverage,
        set_size=float(nested.sets.sum(axis=2).mean()),
        unsure=float((nested.status == "unsure").mean()),
        negative=float((nested.status == "negative").mean()),
        jaccard_ok=float(overlap[ok].mean()) if ok.any() else None,
        jaccard_unsure=float(overlap[~ok].mean()) if (~ok).any() else None,
        notes=list_notes(truth, members),
    )


def list_notes(truth: np.ndarray, members: np.ndarray) -> tuple[str, ...]:
    """Return notes for the reader on what these data cannot determine."""
    positives = truth.sum(axis=0)
    absent, few = np.flatnonzero(positives == 0), np.flatnonzero((positives > 0) & (positives < FREQUENT))
    notes = []
    if absent.size:
        notes.append(
            f"No field has the classes {_join(absent)}: their thresholds come from the prior, and macro-F1 excludes "
            "them."
        )
    if few.size:
        notes.append(f"The classes {_join(few)} have fewer than {FREQUENT} fields: their scores are mostly chance.")
    if len(members) == 1:
        notes.append("One member was given, so nothing was combined: it was calibrated, and thresholds were chosen.")
    return tuple(notes)


def _join(numbers: np.ndarray) -> str:
    return ", ".join(str(number) for number in numbers)


def _explain_selection(selected: SelectionResult, nested: NestedResult) -> str:
    others = [name for name in selected.losses if name != selected.combiner]
    if not others:
        return f"'{selected.combiner}' was the only combiner compared."
    runner_up = min(others, key=lambda name: selected.losses[name])
    agreeing = sum(name == selected.combiner for name in nested.selected)
    return (
        f"'{selected.combiner}' has the lowest cross-validated log loss, {selected.losses[selected.combiner]:.4f}, "
        f"ahead of '{runner_up}' with {selected.losses[runner_up]:.4f}; {agreeing} of {len(nested.selected)} outer "
        "folds selected it too."
    )


def _weight_shares(weights: np.ndarray) -> tuple[float, ...]:
    mean = np.abs(weights).mean(axis=1)
    return tuple((mean / max(float(mean.sum()), 1e-12)).tolist())


def _score_trials(truth: np.ndarray, members: np.ndarray, nested: NestedResult) -> tuple[Trial, ...]:
    trials = []
    for name in nested.combiners:
        ensemble, calibration = fit_combination(truth, members, name)
        probability = calibration.predict(ensemble.predict(members))
        for policy in POLICIES:
            fitted = macro_f1(truth, Thresholds(policy).fit(truth, probability).predict(probability)).value
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


def _score_levels(truth: np.ndarray, decided: np.ndarray, groups: np.ndarray | None) -> dict[str, Score]:
    if truth.shape[1] != len(LEVELS[0].mapping):
        return {}
    return {
        level.name: Score.from_interval(
            repeated_bootstrap(
                macro_f1, level.aggregate(truth), np.stack([level.aggregate(d) for d in decided]), groups=groups
            )
        )
        for level in LEVELS
    }


def _score_classes(
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


def make_diagrams(truth: np.ndarray, probability: np.ndarray) -> tuple[ReliabilityDiagram, ...]:
    """Return the reliability diagrams of all classes, and of the groups of classes that have positives.

    Args:
        truth: (n, classes), 0 or 1.
        probability: (n, classes), 0–1.
    """
    plotted = reliability_by_group(truth, probability, bins=12, equal="positives")
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
            error=by_count.error,
        )
        for each, by_count in zip(plotted, measured, strict=True)
    )
