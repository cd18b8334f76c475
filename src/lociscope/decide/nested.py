"""Estimate the score of a selection on new fields by nested cross-validation: the whole selection in each fold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lociscope.decide.decider import fit_combination
from lociscope.decide.ensemble import COMBINERS, Combiner
from lociscope.decide.selection import SelectionResult, check_inputs, select_combiner
from lociscope.decide.thresholds import POLICIES, Policy, Thresholds
from lociscope.errors import Code, LociscopeError
from lociscope.splits.folds import fold_masks, stratified_folds

if TYPE_CHECKING:
    from collections.abc import Callable

MIN_FIELDS = 30
"""Fewest fields; with fewer, the inner folds of a nested cross-validation would be nearly empty."""

OUTER_FOLDS = 5
"""Folds of each outer cross-validation."""

ONE_REPEAT_FIELDS = 10_000
"""From this number of fields, one outer repeat is enough."""

FIRST_SEED = 100
"""First seed of the outer folds, so that they differ from the inner folds."""


@dataclass(frozen=True, slots=True)
class NestedResult:
    """Out-of-fold predictions of every field, once per repeat.

    Attributes:
        combiners: The combiners compared.
        selected: The combiner that each outer fit selected.
        decided: Decisions (repeats, n, classes) of each (combiner, policy), and of `("selected", policy)`.
        probability: (repeats, n, classes) of the selected combiner.
        sets: (repeats, n, classes) prediction sets of the selected combiner.
        status: (repeats, n) statuses of the selected combiner.
    """

    combiners: tuple[Combiner, ...]
    selected: list[Combiner]
    decided: dict[tuple[str, Policy], np.ndarray]
    probability: np.ndarray
    sets: np.ndarray
    status: np.ndarray


def check_enough(fields: int) -> None:
    """Raise an error if there are too few fields to fit and score an ensemble.

    Raises:
        LociscopeError: There are fewer fields than `MIN_FIELDS`.
    """
    if fields < MIN_FIELDS:
        raise LociscopeError(
            f"Fitting and scoring an ensemble needs {MIN_FIELDS} labelled fields or more; received {fields}. "
            "Pass more fields, or decide with a constant threshold.",
            code=Code.NOT_ENOUGH_DATA,
        )


def nested_cross_validate(
    truth: np.ndarray,
    members: np.ndarray,
    *,
    combiners: tuple[Combiner, ...] = COMBINERS,
    policy: Policy = "expected",
    groups: np.ndarray | None = None,
    prior: np.ndarray | None = None,
    seed: int = 0,
    repeats: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> NestedResult:
    """Repeat `select_combiner` inside a cross-validation, and compare all threshold policies.

    Args:
        truth: (n, classes), 0 or 1.
        members: (members, n, classes), 0–1, from networks that were not trained on these fields.
        combiners: The combiners to compare.
        policy: The threshold policy of the decisions whose status is recorded.
        groups: (n,) group names; a group stays in one fold, for example the fields of an antibody.
        prior: (classes,) shares; by default those of the competition for 28 classes.
        seed: Random seed of folds and resamples.
        repeats: Number of outer cross-validations, each with other folds; by default 2, or 1 from 10,000 fields.
        progress: Called with (fits done, total number of fits).

    Raises:
        LociscopeError: The shapes do not match, or there are too few fields.
    """
    truth, members = check_inputs(truth, members)
    check_enough(len(truth))
    times = (1 if len(truth) >= ONE_REPEAT_FIELDS else 2) if repeats is None else repeats
    shape = (times, *truth.shape)
    keys = [(name, each) for name in (*combiners, "selected") for each in POLICIES]
    result = NestedResult(
        combiners,
        [],
        {key: np.zeros(shape, bool) for key in keys},
        np.zeros(shape),
        np.zeros(shape, bool),
        np.empty(shape[:2], dtype="U16"),
    )
    for repeat in range(times):
        fold = stratified_folds(truth, OUTER_FOLDS, seed + FIRST_SEED + repeat, groups)
        for number, (train, test) in enumerate(fold_masks(fold)):
            inner = select_combiner(
                truth[train],
                members[:, train],
                combiners=combiners,
                policy=policy,
                groups=None if groups is None else groups[train],
                prior=prior,
                seed=seed,
            )
            _record_selected(result, repeat, test, inner, members)
            _record_all(result, repeat, test, inner, truth, members, prior, seed)
            progress(repeat * OUTER_FOLDS + number + 1, times * OUTER_FOLDS)
    return result


def _record_selected(
    result: NestedResult, repeat: int, test: np.ndarray, inner: SelectionResult, members: np.ndarray
) -> None:
    """Predict the test rows with the decider that was selected on the training rows."""
    p = inner.decider.predict(members[:, test])
    result.selected.append(inner.combiner)
    result.probability[repeat, test] = p
    result.sets[repeat, test] = inner.decider.sets.predict(p)
    result.status[repeat, test] = inner.decider.decide(p)[1]


def _record_all(
    result: NestedResult,
    repeat: int,
    test: np.ndarray,
    inner: SelectionResult,
    truth: np.ndarray,
    members: np.ndarray,
    prior: np.ndarray | None,
    seed: int,
) -> None:
    """Decide the test rows with every combiner and every threshold policy."""
    train = ~test
    for name in result.combiners:
        ensemble, calibration = fit_combination(truth[train], members[:, train], name, prior)
        p = calibration.predict(ensemble.predict(members[:, test]))
        for policy in POLICIES:
            thresholds = Thresholds(policy, prior=prior, seed=seed).fit(truth[train], inner.out_of_fold[name])
            result.decided[name, policy][repeat, test] = thresholds.predict(p)
            if name == inner.combiner:
                result.decided["selected", policy][repeat, test] = result.decided[name, policy][repeat, test]
