"""Where candidates stand: scores with intervals, gains over a base, how alike they err, and whom to combine.

Only candidates that were validated on the same fields stand beside each other. One threshold for all classes is
cross-fitted: the fields are dealt into five folds, specimens whole, and each is decided by the cut of the highest
macro-F1 on the other four, so that no field helps to choose its own.
"""

from __future__ import annotations

from dataclasses import dataclass
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
MEASURES: tuple[ClassMetric | RowMetric, ...] = (macro_f1, macro_average_precision, lrap, macro_auc)
FEWEST_POSITIVES = 3
"""A class with fewer says nothing of how alike two candidates err."""
SMALLEST = 1e-9
"""An answer that varies less is the same for all fields."""


@dataclass(frozen=True, slots=True)
class RankedModel:
    """One candidate among those of its fields.

    Attributes:
        candidate: Who it is.
        figures: Its scores by the name of the measure, with 90 % intervals.
        gains: What it has more than the base, paired by field or specimen; empty for the base itself.
    """

    candidate: Candidate
    figures: dict[str, Interval]
    gains: dict[str, Interval]


@dataclass(frozen=True, slots=True)
class ShortlistMember:
    """A member of a suggested shortlist: its name, its share of the weight, and in how many folds it was chosen."""

    name: str
    share: float
    chosen: int


@dataclass(frozen=True, slots=True)
class Shortlist:
    """Whom greedy selection combines, and what that gains.

    Attributes:
        members: Those with a vote, the heaviest first.
        best: The one of the highest macro average precision, chosen on all fields, which favours it.
        figures: Scores of the combination on fields that did not choose it.
        gains: What the combination has more than the best one alone; paired.
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
        base: Name of the one whose scores the others' are compared with.
        fields: How many fields.
        units: How many specimens or antibodies were drawn whole; None where fields were drawn.
        baseline: Scores of an answer that never looks at the picture, by measure.
        error_correlation: (m, m) correlation of errors.
        shortlist: None with fewer than two candidates or too few fields.
    """

    models: list[RankedModel]
    base: str
    fields: int
    units: int | None
    baseline: dict[str, float]
    error_correlation: np.ndarray
    shortlist: Shortlist | None


def compare_candidates(
    candidates: Sequence[Candidate],
    base: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[ComparisonGroup]:
    """Scores candidates, those with the same validation fields beside each other.

    Args:
        candidates: In the order in which they are to stand.
        base: Name of the base; by default, and where it has other fields, the first of its fields.
        progress: Called with (candidates scored, candidates).
    """
    sets: dict[tuple[tuple[str, ...], bytes], list[Candidate]] = {}
    for each in candidates:
        sets.setdefault((each.ids, each.truth.tobytes()), []).append(each)
    done = 0

    def tell() -> None:
        nonlocal done
        done += 1
        progress(done, len(candidates))

    return [_compare_group(members, base, tell) for members in sets.values()]


def _compare_group(members: list[Candidate], base: str | None, tell: Callable[[], None]) -> ComparisonGroup:
    truth = members[0].truth
    groups = next((each.groups for each in members if each.groups is not None), None)
    first = next((each for each in members if each.name == base), members[0])
    scored = []
    for each in members:
        scored.append(_Resampled.of(truth, each.probability, groups))
        tell()
    reference = scored[members.index(first)]
    return ComparisonGroup(
        [
            RankedModel(each, one.figures(), {} if each is first else one.over(reference))
            for each, one in zip(members, scored, strict=True)
        ],
        first.name,
        len(truth),
        None if groups is None else len(set(groups.tolist())),
        label_prior_scores(truth),
        error_correlation(truth, np.stack([each.probability for each in members])),
        _shortlist(members, scored, truth, groups),
    )


@dataclass(frozen=True, slots=True)
class _Resampled:
    """Scores and their resamples, which are those of the same fields for every candidate of a group."""

    values: dict[str, float]
    draws: dict[str, np.ndarray]
    units: int

    @classmethod
    def of(cls, truth: np.ndarray, probability: np.ndarray, groups: np.ndarray | None) -> _Resampled:
        decided = cross_fit_decisions(truth, probability, groups)
        values, draws, units = {}, {}, 0
        for metric in MEASURES:
            given = decided if metric.values == "decisions" else probability
            values[metric.name] = float(metric(truth, given))
            draws[metric.name], units = bootstrap_scores(metric, truth, given, groups=groups, n=RESAMPLES, seed=SEED)
        return cls(values, draws, units)

    def figures(self) -> dict[str, Interval]:
        return {
            name: percentile_interval(value, self.draws[name], self.units, LEVEL) for name, value in self.values.items()
        }

    def over(self, other: _Resampled) -> dict[str, Interval]:
        return {
            name: percentile_interval(
                value - other.values[name], self.draws[name] - other.draws[name], self.units, LEVEL
            )
            for name, value in self.values.items()
        }


def cross_fit_decisions(truth: np.ndarray, probability: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    """Decides every field by one threshold for all classes that was chosen on other fields.

    Args:
        truth: (n, classes), 0 or 1.
        probability: (n, classes) in 0–1.
        groups: (n,) names of specimens that stay together; default each field by itself.

    Returns:
        (n, classes) of bool: in each of five folds (fewer where there are fewer units) the cut of the highest
        macro-F1 in the others, on a grid of 0.01.
    """
    known = truth.astype(bool)
    units = len(truth) if groups is None else len(set(groups.tolist()))
    fold = stratified_folds(known, min(FOLDS, units), SEED, groups)
    member = np.eye(int(fold.max()) + 1)[fold].T  # (folds, n)

    def elsewhere(counted: np.ndarray) -> np.ndarray:
        by_fold = member @ counted
        return np.asarray(by_fold.sum(axis=0) - by_fold)

    positives = elsewhere(known)
    f1 = np.empty((len(THRESHOLD_GRID), len(member)))
    for row, cut in enumerate(THRESHOLD_GRID):
        decided = probability >= cut
        with np.errstate(invalid="ignore"):
            each = 2 * elsewhere(known & decided) / (positives + elsewhere(decided))
        f1[row] = nan_means(np.where(positives > 0, each, np.nan))
    return np.asarray(probability >= THRESHOLD_GRID[np.nan_to_num(f1).argmax(axis=0)][fold][:, None])


def label_prior_scores(truth: np.ndarray) -> dict[str, float]:
    """What the label prior scores: every field gets the classes' own frequencies, and for F1 every place."""
    rate = np.broadcast_to(truth.mean(axis=0), truth.shape)
    every = np.ones(truth.shape, bool)  # of all fixed answers the one with the highest macro-F1
    return {metric.name: float(metric(truth, every if metric.values == "decisions" else rate)) for metric in MEASURES}


def error_correlation(truth: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """How alike candidates err: the correlation of their probabilities among fields of the same truth.

    Two that know nothing of each other's mistakes have 0, however good they are; without the care for the truth, all
    good ones would seem alike.

    Args:
        truth: (n, classes), 0 or 1; classes with fewer than `FEWEST_POSITIVES` are left out.
        probability: (m, n, classes) in 0–1.

    Returns:
        (m, m), the mean over classes, 1 on the diagonal; NaN where one of a pair varies in no class.
    """
    known = truth[:, truth.sum(axis=0) >= FEWEST_POSITIVES].astype(bool)
    given = probability[:, :, truth.sum(axis=0) >= FEWEST_POSITIVES]
    usual = [
        np.where(side, given, 0).sum(axis=1, keepdims=True) / np.maximum(side.sum(axis=0), 1)
        for side in (~known, known)
    ]
    errors = given - np.where(known, usual[1], usual[0])
    length = np.sqrt(np.square(errors).sum(axis=1))  # (m, classes)
    varies = (length > SMALLEST).astype(float)
    unit = (errors * (varies / np.maximum(length, SMALLEST))[:, None]).reshape(len(given), -1)
    with np.errstate(invalid="ignore"):
        return np.asarray(unit @ unit.T / (varies @ varies.T))


def _shortlist(
    members: list[Candidate], scored: list[_Resampled], truth: np.ndarray, groups: np.ndarray | None
) -> Shortlist | None:
    """Combines candidates by greedy selection with replacement (Caruana et al. 2004), and scores it honestly.

    Selection and its score are kept apart: who is chosen comes from all fields, the scores from five folds in which
    the choice was made again without the fold.
    """
    units = len(truth) if groups is None else len(set(groups.tolist()))
    if len(members) < 2 or len(truth) < MIN_FIELDS or units < FOLDS:
        return None
    stack = np.stack([each.probability for each in members])
    weight = np.abs(fit_ensemble(truth, stack, "greedy").weights_).mean(axis=1)
    best = max(range(len(members)), key=lambda number: scored[number].values[macro_average_precision.name])
    fold = stratified_folds(truth, FOLDS, SEED, groups)
    chosen = np.zeros(len(members), int)
    combined = np.empty(truth.shape)
    for train, kept in fold_masks(fold):
        greedy = fit_ensemble(truth[train], stack[:, train], "greedy")
        chosen += greedy.weights_.any(axis=1)
        combined[kept] = greedy.predict(stack[:, kept])
    ours = _Resampled.of(truth, combined, groups)
    found = [
        ShortlistMember(each.name, float(share), int(times))
        for each, share, times in zip(members, weight / weight.sum(), chosen, strict=True)
        if share > 0
    ]
    heaviest_first = sorted(found, key=lambda each: -each.share)
    return Shortlist(heaviest_first, members[best].name, ours.figures(), ours.over(scored[best]))
