"""Select a combiner by cross-validation and fit the whole decision.

The selected combiner is the one with the lowest cross-validated log loss: macro-F1 is too noisy for a selection (seven
rare classes make most of its variance), the log loss of all decisions is not. The threshold policy is not selected from
the data; it is a parameter, `expected` by default. `nested` repeats the whole selection inside an outer
cross-validation, so that the expected score accounts for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lociscope.decide.checks import check_shape, check_truth
from lociscope.decide.decider import Decider, fit_decider, predict_out_of_fold
from lociscope.decide.ensemble import COMBINERS, Combiner, check_member_stack
from lociscope.decide.metrics import log_loss
from lociscope.splits.folds import stratified_folds

if TYPE_CHECKING:
    import numpy as np

    from lociscope.decide.thresholds import Policy

INNER_FOLDS = 5
"""Folds by which a combiner is selected and thresholds are fitted."""


@dataclass(frozen=True, slots=True)
class SelectionResult:
    """The selected combiner, and the scores by which it was selected.

    Attributes:
        decider: Fitted on all fields.
        combiner: The selected combiner.
        losses: Cross-validated log loss of each combiner.
        out_of_fold: Out-of-fold probabilities (n, classes) of each combiner.
    """

    decider: Decider
    combiner: Combiner
    losses: dict[Combiner, float]
    out_of_fold: dict[Combiner, np.ndarray]


def check_inputs(truth: np.ndarray, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return truth as booleans and members as float64; raise LociscopeError where their shapes do not match."""
    truth, members = check_truth(truth), check_member_stack(members)
    check_shape("Probabilities", members[0], truth)
    return truth, members


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
    """Select a combiner and fit the whole decision.

    Args:
        truth: (n, classes), 0 or 1.
        members: (members, n, classes), 0–1, from networks that were not trained on these fields.
        combiners: The combiners to compare.
        policy: How thresholds are chosen.
        groups: (n,) group names; a group stays in one fold, for example the fields of an antibody.
        prior: (classes,) shares; by default those of the competition for 28 classes.
        seed: Random seed of folds and resamples.

    Raises:
        LociscopeError: The shapes do not match, or there are fewer fields than folds.
    """
    truth, members = check_inputs(truth, members)
    fold = stratified_folds(truth, INNER_FOLDS, seed, groups)
    out_of_fold = {name: predict_out_of_fold(truth, members, name, fold, prior) for name in combiners}
    losses = {name: log_loss(truth, p) for name, p in out_of_fold.items()}
    best = min(combiners, key=lambda name: losses[name])
    decider = fit_decider(truth, members, best, policy, out_of_fold[best], prior=prior, seed=seed)
    return SelectionResult(decider, best, losses, out_of_fold)
