"""How good a choice is on new fields: the whole of `select` again, inside a cross-validation."""

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
"""Fields; with fewer, the folds of a cross-validation inside a cross-validation hold next to nothing."""

OUTER_FOLDS = 5
"""Folds of each outer cross-validation."""

BIG = 10_000
"""From so many fields on, one outer repeat is enough."""

FIRST_SEED = 100
"""The outer folds' seeds begin here, apart from the inner ones'."""


@dataclass(frozen=True, slots=True)
class NestedResult:
    """Predictions of every field by choices that had not seen it, once per repeat.

    Attributes:
        combiners: What was tried.
        chosen: Combiners that the outer fits chose.
        decided: Decisions (repeats, n, classes) of each (combiner, policy), and of `("chosen", policy)`.
        probability: (repeats, n, classes) of the chosen.
        sets: (repeats, n, classes) prediction sets of the chosen.
        status: (repeats, n) statuses of the chosen.
    """

    combiners: tuple[Combiner, ...]
    chosen: list[Combiner]
    decided: dict[tuple[str, Policy], np.ndarray]
    probability: np.ndarray
    sets: np.ndarray
    status: np.ndarray


def check_enough(fields: int) -> None:
    """Refuses to score an ensemble on next to nothing.

    Raises:
        LociscopeError: Fewer fields than `MIN_FIELDS`.
    """
    if fields < MIN_FIELDS:
        raise LociscopeError(
            f"An ensemble is fitted and scored on {MIN_FIELDS} labelled fields or more; received {fields}. "
            "Give more fields, or decide with a constant threshold.",
            code=Code.INVALID_LABELS,
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
    """Repeats `select` inside a cross-validation, and compares all policies of thresholds beside it.

    Args:
        truth: (n, classes), 0 or 1.
        members: (members, n, classes), 0–1, of networks that were not trained on these fields.
        combiners: What is tried.
        policy: The policy of the decisions whose status is noted.
        groups: (n,) names of groups that are kept in one fold, for example antibodies.
        prior: (classes,) shares; default the competition's for 28 classes.
        seed: Decides folds and resamples.
        repeats: Outer cross-validations, each on other folds; default 2, or 1 from 10,000 fields on.
        progress: Called with (fits done, fits in all).

    Raises:
        LociscopeError: Truth and members do not fit each other, or are too few.
    """
    known, array = check_inputs(truth, members)
    check_enough(len(known))
    times = (1 if len(known) >= BIG else 2) if repeats is None else repeats
    shape = (times, *known.shape)
    keys = [(name, each) for name in (*combiners, "chosen") for each in POLICIES]
    result = NestedResult(
        combiners,
        [],
        {key: np.zeros(shape, bool) for key in keys},
        np.zeros(shape),
        np.zeros(shape, bool),
        np.empty(shape[:2], dtype="U16"),
    )
    for repeat in range(times):
        fold = stratified_folds(known, OUTER_FOLDS, seed + FIRST_SEED + repeat, groups)
        for number, (train, kept) in enumerate(fold_masks(fold)):
            inner = select_combiner(
                known[train],
                array[:, train],
                combiners=combiners,
                policy=policy,
                groups=None if groups is None else groups[train],
                prior=prior,
                seed=seed,
            )
            _note(result, repeat, kept, inner, array)
            _compare(result, repeat, kept, inner, known, array, prior, seed)
            progress(repeat * OUTER_FOLDS + number + 1, times * OUTER_FOLDS)
    return result


def _note(result: NestedResult, repeat: int, kept: np.ndarray, inner: SelectionResult, array: np.ndarray) -> None:
    """What the chosen decision says of the rows kept out."""
    p = inner.decider.predict(array[:, kept])
    result.chosen.append(inner.combiner)
    result.probability[repeat, kept] = p
    result.sets[repeat, kept] = inner.decider.sets.predict(p)
    result.status[repeat, kept] = inner.decider.decide(p)[1]


def _compare(
    result: NestedResult,
    repeat: int,
    kept: np.ndarray,
    inner: SelectionResult,
    known: np.ndarray,
    array: np.ndarray,
    prior: np.ndarray | None,
    seed: int,
) -> None:
    """What every combiner with every policy would have decided of them."""
    train = ~kept
    for name in result.combiners:
        ensemble, calibration = fit_combination(known[train], array[:, train], name, prior)
        unseen = calibration.predict(ensemble.predict(array[:, kept]))
        for policy in POLICIES:
            cuts = Thresholds(policy, prior=prior, seed=seed).fit(known[train], inner.out_of_fold[name])
            result.decided[name, policy][repeat, kept] = cuts.predict(unseen)
            if name == inner.combiner:
                result.decided["chosen", policy][repeat, kept] = result.decided[name, policy][repeat, kept]
