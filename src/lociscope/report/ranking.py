"""Compare candidates: scores with intervals, gains over a base, correlation of errors, and a shortlist.

Only candidates that were validated on the same fields are compared. The threshold, one for all classes, is
cross-fitted: the fields are split into five folds, grouped by specimen, and each fold is decided by the threshold of
the highest macro-F1 on the other four, so that no field contributes to its own threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

from lociscope.decide.ensemble import fit_ensemble
from lociscope.decide.intervals import Interval, bootstrap_scores, percentile_interval
from lociscope.decide.locations import THRESHOLD_GRID
from lociscope.decide.metrics import lrap, macro_auc, macro_average_precision, macro_f1, nan_means
from lociscope.decide.nested import MIN_FIELDS
from lociscope.splits.folds import fold_masks, stratified_folds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lociscope.decide.metrics import ClassMetric, RowMetric
    from lociscope.report.candidates import Candidate

LEVEL = 0.9
RESAMPLES = 500
FOLDS = 5
SEED = 0
METRICS: tuple[ClassMetric | RowMetric, ...] = (macro_f1, macro_average_precision, lrap, macro_auc)
MAX_PAIRED = 12
"""Largest number of models whose differences are all listed."""
MIN_POSITIVES = 3
"""A class with fewer positives is ignored in the correlation of errors."""
SMALLEST = 1e-9
"""A probability that varies less is treated as constant."""


@dataclass(frozen=True, slots=True)
class RankedModel:
    """The scores of one candidate.

    Attributes:
        candidate: The candidate.
        figures: Its scores by name of the metric, with 90 % intervals.
        gains: Its gains over the base, paired by field or specimen; empty for the base itself.
    """

    candidate: Candidate
    figures: dict[str, Interval]
    gains: dict[str, Interval]


@dataclass(frozen=True, slots=True)
class ShortlistMember:
    """A member of a suggested shortlist: its name, its share of the weight, and the number of folds that select it."""

    name: str
    share: float
    folds: int


@dataclass(frozen=True, slots=True)
class Shortlist:
    """Models chosen by greedy ensemble selection, and the gain of their combination.

    Attributes:
        members: The models with a vote, largest share first.
        best: The model with the highest macro average precision, chosen on all fields, which favours it.
        figures: Out-of-fold scores of the combination.
        gains: Gains of the combination over the best model alone, paired.
    """

    members: list[ShortlistMember]
    best: str
    figures: dict[str, Interval]
    gains: dict[str, Interval]


@dataclass(frozen=True, slots=True)
class ComparisonGroup:
    """Candidates that were validated on the same fields.

    Attributes:
        models: In the order given.
        base: Name of the model that the others are compared with.
        fields: Number of fields.
        units: Number of specimens or antibodies that were resampled whole; None where fields were resampled.
        baseline: Scores of the label prior, by metric.
        error_correlation: (m, m), from `error_correlation`.
        shortlist: None with fewer than two candidates or too few fields.
        differences: For each two models, first minus second, the paired difference in average precision; empty for
            more than `MAX_PAIRED` models.
    """

    models: list[RankedModel]
    base: str
    fields: int
    units: int | None
    baseline: dict[str, float]
    error_correlation: np.ndarray
    shortlist: Shortlist | None
    differences: dict[tuple[str, str], Interval]


def compare_candidates(
    candidates: Sequence[Candidate],
    base: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[ComparisonGroup]:
    """Score candidates and compare those that have the same validation fields.

    Args:
        candidates: The candidates, in the order of the result.
        base: Name of the base; by default, and in groups that do not contain it, the first of the group.
        progress: Called with (candidates scored, number of candidates).
    """
    sets: dict[tuple[tuple[str, ...], bytes], list[Candidate]] = {}
    for each in candidates:
        sets.setdefault((each.ids, each.truth.tobytes()), []).append(each)
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        progress(done, len(candidates))

    return [_compare_group(members, base, count) for members in sets.values()]


def _compare_group(members: list[Candidate], base: str | None, count: Callable[[], None]) -> ComparisonGroup:
    truth = members[0].truth
    groups = next((each.groups for each in members if each.groups is not None), None)
    first = next((each for each in members if each.name == base), members[0])
    scored = []
    for each in members:
        scored.append(_ResampledScores.compute(truth, each.probability, groups))
        count()
    reference = scored[members.index(first)]
    return ComparisonGroup(
        [
            RankedModel(each, one.intervals(), {} if each is first else one.gains_over(reference))
            for each, one in zip(members, scored, strict=True)
        ],
        first.name,
        len(truth),
        None if groups is None else len(set(groups.tolist())),
        label_prior_scores(truth),
        error_correlation(truth, np.stack([each.probability for each in members])),
        _select_shortlist(members, scored, truth, groups),
        _list_differences([each.name for each in members], scored),
    )


def _list_differences(names: list[str], scored: list[_ResampledScores]) -> dict[tuple[str, str], Interval]:
    """Return the paired differences in average precision of every two models."""
    pairs = [] if len(names) > MAX_PAIRED else permutations(range(len(names)), 2)
    metric = macro_average_precision.name
    return {(names[one], names[other]): scored[one].gains_over(scored[other])[metric] for one, other in pairs}


@dataclass(frozen=True, slots=True)
class _ResampledScores:
    """Scores and their resamples, which use the same fields for every candidate of a group."""

    values: dict[str, float]
    resamples: dict[str, np.ndarray]
    units: int

    @classmethod
    def compute(cls, truth: np.ndarray, probability: np.ndarray, groups: np.ndarray | None) -> _ResampledScores:
        decided = cross_fit_decisions(truth, probability, groups)
        values, resamples, units = {}, {}, 0
        for metric in METRICS:
            scores = decided if metric.values == "decisions" else probability
            values[metric.name] = float(metric(truth, scores))
            resamples[metric.name], units = bootstrap_scores(
                metric, truth, scores, groups=groups, n=RESAMPLES, seed=SEED
            )
        return cls(values, resamples, units)

    def intervals(self) -> dict[str, Interval]:
        return {
            name: percentile_interval(value, self.resamples[name], self.units, LEVEL)
            for name, value in self.values.items()
        }

    def gains_over(self, other: _ResampledScores) -> dict[str, Interval]:
        return {
            name: percentile_interval(
                value - other.values[name], self.resamples[name] - other.resamples[name], self.units, LEVEL
            )
            for name, value in self.values.items()
        }


def cross_fit_decisions(truth: np.ndarray, probability: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    """Decide every field by one threshold for all classes that was chosen on other fields.

    Args:
        truth: (n, classes), 0 or 1.
        probability: (n, classes) in 0–1.
        groups: (n,) names of specimens, each kept in one fold; by default each field is its own group.

    Returns:
        (n, classes) of bool: in each of five folds (fewer where there are fewer groups), decided by the threshold of
        the highest macro-F1 in the other folds, on a grid of 0.01.
    """
    truth = truth.astype(bool)
    units = len(truth) if groups is None else len(set(groups.tolist()))
    fold = stratified_folds(truth, min(FOLDS, units), SEED, groups)
    in_fold = np.eye(int(fold.max()) + 1)[fold].T  # (folds, n)

    def count_elsewhere(rows: np.ndarray) -> np.ndarray:
        by_fold = in_fold @ rows
        return np.asarray(by_fold.sum(axis=0) - by_fold)

    positives = count_elsewhere(truth)
    f1 = np.empty((len(THRESHOLD_GRID), len(in_fold)))
    for row, threshold in enumerate(THRESHOLD_GRID):
        decided = probability >= threshold
        with np.errstate(invalid="ignore"):
            each = 2 * count_elsewhere(truth & decided) / (positives + count_elsewhere(decided))
        f1[row] = nan_means(np.where(positives > 0, each, np.nan))
    return np.asarray(probability >= THRESHOLD_GRID[np.nan_to_num(f1).argmax(axis=0)][fold][:, None])


def label_prior_scores(truth: np.ndarray) -> dict[str, float]:
    """Return the scores of the label prior: the frequencies of the classes for every field, and for F1 every class."""
    rate = np.broadcast_to(truth.mean(axis=0), truth.shape)
    every = np.ones(truth.shape, bool)  # of all constant answers the one with the highest macro-F1
    return {metric.name: float(metric(truth, every if metric.values == "decisions" else rate)) for metric in METRICS}


def error_correlation(truth: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Return the correlation of errors: of the probabilities of two candidates among fields with the same truth.

    Candidates with independent errors have 0, however good they are; without conditioning on the truth, all good
    candidates would be similar.

    Args:
        truth: (n, classes), 0 or 1; classes with fewer positives than `MIN_POSITIVES` are ignored.
        probability: (m, n, classes) in 0–1.

    Returns:
        (m, m), the mean over classes, 1 on the diagonal; NaN where one of a pair is constant in every class.
    """
    classes = truth.sum(axis=0) >= MIN_POSITIVES
    truth, probability = truth[:, classes].astype(bool), probability[:, :, classes]
    expected = [
        np.where(side, probability, 0).sum(axis=1, keepdims=True) / np.maximum(side.sum(axis=0), 1)
        for side in (~truth, truth)
    ]
    errors = probability - np.where(truth, expected[1], expected[0])
    length = np.sqrt(np.square(errors).sum(axis=1))  # (m, classes)
    varies = (length > SMALLEST).astype(float)
    unit = (errors * (varies / np.maximum(length, SMALLEST))[:, None]).reshape(len(probability), -1)
    with np.errstate(invalid="ignore"):
        return np.asarray(unit @ unit.T / (varies @ varies.T))


def _select_shortlist(
    members: list[Candidate], scored: list[_ResampledScores], truth: np.ndarray, groups: np.ndarray | None
) -> Shortlist | None:
    """Choose members by greedy ensemble selection with replacement (Caruana et al. 2004), and score the combination.

    The members are chosen on all fields; the scores are out of fold: the choice is repeated in each of five folds.
    """
    units = len(truth) if groups is None else len(set(groups.tolist()))
    if len(members) < 2 or len(truth) < MIN_FIELDS or units < FOLDS:
        return None
    stack = np.stack([each.probability for each in members])
    weight = np.abs(fit_ensemble(truth, stack, "greedy").weights_).mean(axis=1)
    best = max(range(len(members)), key=lambda number: scored[number].values[macro_average_precision.name])
    fold = stratified_folds(truth, FOLDS, SEED, groups)
    folds_selecting = np.zeros(len(members), int)
    combined = np.empty(truth.shape)
    for train, test in fold_masks(fold):
        greedy = fit_ensemble(truth[train], stack[:, train], "greedy")
        folds_selecting += greedy.weights_.any(axis=1)
        combined[test] = greedy.predict(stack[:, test])
    scores = _ResampledScores.compute(truth, combined, groups)
    selected = [
        ShortlistMember(each.name, float(share), int(folds))
        for each, share, folds in zip(members, weight / weight.sum(), folds_selecting, strict=True)
        if share > 0
    ]
    largest_first = sorted(selected, key=lambda each: -each.share)
    return Shortlist(largest_first, members[best].name, scores.intervals(), scores.gains_over(scored[best]))
