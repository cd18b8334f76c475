"""Which way of combining and which thresholds: chosen from the data given, and scored as honestly as data allow.

Chosen is the combiner of least cross-validated log loss: macro-F1 is too noisy to choose by (seven rare classes
make most of its variance), the log loss of all decisions is not. The policy of the thresholds is not chosen from
the data at all but stated, `expected` by default. `nested` repeats the whole choice inside an outer
cross-validation, so that the expected score has paid for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lociscope.decide.checks import check_probability, check_truth
from lociscope.decide.decider import Decider, fit_decider, predict_out_of_fold
from lociscope.decide.ensemble import COMBINERS, Combiner, check_member_stack
from lociscope.decide.metrics import log_loss
from lociscope.splits.folds import stratified_folds

if TYPE_CHECKING:
    import numpy as np

    from lociscope.decide.thresholds import Policy

INNER_FOLDS = 5
"""Folds that a combiner is chosen and thresholds are fitted by."""


@dataclass(frozen=True, slots=True)
class SelectionResult:
    """What was chosen, and what it was chosen from.

    Attributes:
        decider: Fitted on all fields.
        combiner: The one chosen.
        losses: Cross-validated log loss of each combiner.
        out_of_fold: Cross-fitted probabilities (n, classes) of each combiner.
    """

    decider: Decider
    combiner: Combiner
    losses: dict[Combiner, float]
    out_of_fold: dict[Combiner, np.ndarray]


def check_inputs(truth: np.ndarray, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Truth as booleans and members as float64, of one shape; LociscopeError where they do not fit each other."""
    known, array = check_truth(truth), check_member_stack(members)
    check_probability(array[0], known)
    return known, array


def select_combiner(
    truth: np.ndarray,
    members: np.ndarray,
    *,
    combiners: tuple[Combiner, ...] = COMBINERS,
    policy: Policy = "expected",
    groups: np.ndarray | None = None,
    prior: np.ndarray | None = None,
    seed: int = 0,
) -> SelectionResult:
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
        LociscopeError: Truth and members do not fit each other, or are fewer than the folds.
    """
    known, array = check_inputs(truth, members)
    fold = stratified_folds(known, INNER_FOLDS, seed, groups)
    out_of_fold = {name: predict_out_of_fold(known, array, name, fold, prior) for name in combiners}
    losses = {name: log_loss(known, p) for name, p in out_of_fold.items()}
    best = min(combiners, key=lambda name: losses[name])
    decider = fit_decider(known, array, best, policy, out_of_fold[best], prior=prior, seed=seed)
    return SelectionResult(decider, best, losses, out_of_fold)
