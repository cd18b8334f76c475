"""Which way of combining and which thresholds: chosen from the data given, and scored as honestly as data allow.

Chosen is the combiner of least cross-validated log loss: macro-F1 is too noisy to choose by (seven rare classes
make most of its variance), the log loss of all decisions is not. The policy of the thresholds is not chosen from
the data at all but stated, `expected` by default. The whole choice is repeated inside an outer
cross-validation, so that the expected score has paid for it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lociscope.decide.checks import checked_probability, checked_truth
from lociscope.decide.crossfit import splits, stratified_folds
from lociscope.decide.decider import Decider, combine, cross_fitted, fit_decider
from lociscope.decide.ensemble import COMBINERS, Combiner, checked_members
from lociscope.decide.metrics import log_loss
from lociscope.decide.thresholds import POLICIES, Policy, Thresholds
from lociscope.errors import LociscopeError

FEWEST = 30
"""Fields; with fewer the folds of a cross-validation inside a cross-validation hold next to nothing."""

INNER, OUTER = 5, 5
BIG = 10_000
"""From so many fields on one outer repeat is enough."""


@dataclass(frozen=True, slots=True)
class Selected:
    """What was chosen, and what it was chosen from.

    Attributes:
        decider: Fitted on all fields.
        combiner: The one chosen.
        losses: Cross-validated log loss of each combiner.
        honest: Cross-fitted probabilities (n, classes) of each combiner.
    """

    decider: Decider
    combiner: Combiner
    losses: dict[Combiner, float]
    honest: dict[Combiner, np.ndarray]


@dataclass(frozen=True, slots=True)
class Nested:
    """Predictions of every field by choices that had not seen it, once per repeat.

    Attributes:
        chosen: Combiners that the outer fits chose.
        decided: Decisions (repeats, n, classes) of each (combiner, policy), and of `("chosen", policy)`.
        probability: (repeats, n, classes) of the chosen.
        sets: (repeats, n, classes) prediction sets of the chosen.
        status: (repeats, n) statuses of the chosen.
    """

    chosen: list[Combiner]
    decided: dict[tuple[str, Policy], np.ndarray]
    probability: np.ndarray
    sets: np.ndarray
    status: np.ndarray


def checked_fields(truth: np.ndarray, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Truth and members that a fit can be made of.

    Raises:
        LociscopeError: They do not fit each other, or are too few.
    """
    known, array = checked_truth(truth), checked_members(members)
    checked_probability(array[0], known)
    if len(known) < FEWEST:
        raise LociscopeError(
            f"An ensemble is fitted and scored on {FEWEST} labelled fields or more; received {len(known)}. "
            "Give more fields, or decide with a constant threshold."
        )
    return known, array


def select(
    truth: np.ndarray,
    members: np.ndarray,
    *,
    combiners: tuple[Combiner, ...] = COMBINERS,
    policy: Policy = "expected",
    groups: np.ndarray | None = None,
    prior: np.ndarray | None = None,
    seed: int = 0,
) -> Selected:
    """Chooses a combiner and fits the whole decision.

    Args:
        truth: (n, classes), 0 or 1.
        members: (members, n, classes), 0–1, of networks that were not trained on these fields.
        combiners: What is tried.
        policy: How thresholds are chosen.
        groups: (n,) names of groups that are kept in one fold, for example antibodies.
        prior: (classes,) shares; default the competition's for 28 classes.
        seed: Decides folds and resamples.

    Raises:
        LociscopeError: Truth and members do not fit each other, or are too few.
    """
    known, array = checked_fields(truth, members)
    fold = stratified_folds(known, INNER, seed, groups)
    honest = {name: cross_fitted(known, array, name, fold, prior) for name in combiners}
    losses = {name: log_loss(known, p) for name, p in honest.items()}
    best = min(combiners, key=lambda name: losses[name])
    decider = fit_decider(known, array, best, policy, honest[best], prior=prior, seed=seed)
    return Selected(decider, best, losses, honest)


def nested(
    truth: np.ndarray,
    members: np.ndarray,
    *,
    combiners: tuple[Combiner, ...] = COMBINERS,
    policy: Policy = "expected",
    policies: tuple[Policy, ...] = POLICIES,
    groups: np.ndarray | None = None,
    prior: np.ndarray | None = None,
    seed: int = 0,
    repeats: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Nested:
    """Repeats the whole of `select` inside a cross-validation.

    Args:
        truth: As for `select`, like all that are not named here.
        members: As for `select`.
        combiners: As for `select`.
        policy: The policy of the decision that is scored.
        policies: Policies that are compared beside it, for each combiner.
        groups: As for `select`.
        prior: As for `select`.
        seed: As for `select`.
        repeats: Outer cross-validations, each on other folds; default 2, or 1 from 10,000 fields on.
        progress: Called with (fits done, fits in all).
    """
    known, array = checked_fields(truth, members)
    times = (1 if len(known) >= BIG else 2) if repeats is None else repeats
    shape = (times, *known.shape)
    keys = [(name, each) for name in (*combiners, "chosen") for each in policies]
    decided = {key: np.zeros(shape, bool) for key in keys}
    probability, sets = np.zeros(shape), np.zeros(shape, bool)
    status = np.empty(shape[:2], dtype="U16")
    chosen: list[Combiner] = []
    for repeat in range(times):
        for number, (train, kept) in enumerate(splits(stratified_folds(known, OUTER, seed + 100 + repeat, groups))):
            inner = select(
                known[train],
                array[:, train],
                combiners=combiners,
                policy=policy,
                groups=None if groups is None else groups[train],
                prior=prior,
                seed=seed,
            )
            chosen.append(inner.combiner)
            p = inner.decider.predict(array[:, kept])
            probability[repeat, kept], sets[repeat, kept] = p, inner.decider.sets.predict(p)
            status[repeat, kept] = inner.decider.decide(p)[1]
            for name in combiners:
                ensemble, calibration = combine(known[train], array[:, train], name, prior)
                unseen = calibration.predict(ensemble.predict(array[:, kept]))
                for each in policies:
                    cuts = Thresholds(each, prior=prior, seed=seed).fit(known[train], inner.honest[name])
                    decided[name, each][repeat, kept] = cuts.predict(unseen)
                    if name == inner.combiner:
                        decided["chosen", each][repeat, kept] = decided[name, each][repeat, kept]
            progress(repeat * OUTER + number + 1, times * OUTER)
    return Nested(chosen, decided, probability, sets, status)
