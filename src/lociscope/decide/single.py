"""Fit calibration and thresholds of one model on labelled fields, with scores on fields that each fit did not see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lociscope.decide.calibration import Calibration, Method
from lociscope.decide.checks import check_probability, check_truth
from lociscope.decide.crossfit import cross_val_predict
from lociscope.decide.prior import default_prior
from lociscope.decide.thresholds import Policy, Thresholds
from lociscope.errors import Code, LociscopeError
from lociscope.labels import N_LABELS, expand_classes, find_known
from lociscope.splits.folds import stratified_folds

FOLDS = 5
MIN_FIELDS = 20
"""Fewest fields; with fewer, a fold would be nearly empty."""


@dataclass(frozen=True, slots=True)
class FittedDecision:
    """How the probabilities of a model become decisions.

    Attributes:
        calibration: Fitted on all fields, for 28 classes; that of an unknown class changes nothing.
        thresholds: (28,); 1 for an unknown class.
        out_of_fold: (n, 28), each field calibrated without its fold; NaN for an unknown class.
        decided: (n, 28) of bool, at these thresholds.
    """

    calibration: Calibration
    thresholds: np.ndarray
    out_of_fold: np.ndarray
    decided: np.ndarray


def fit_decision(
    truth: np.ndarray,
    probability: np.ndarray,
    *,
    method: Method = "platt",
    policy: Policy = "expected",
    value: float | None = None,
    groups: np.ndarray | None = None,
    seed: int = 0,
) -> FittedDecision:
    """Fit the calibration of a model, and its thresholds.

    Args:
        truth: (n, 28), 1 where a location is labelled.
        probability: (n, 28) in 0–1, of a model that was not trained on these fields; NaN for an unknown class.
        method: The calibration: `none`, `temperature`, `platt` or `beta`.
        policy: How thresholds are chosen, from out-of-fold probabilities.
        value: The number of the policies that have one; see `Thresholds`.
        groups: (n,) group names; a group stays in one fold.
        seed: Random seed of folds and resamples.

    Raises:
        LociscopeError: There are too few fields or groups, the shapes do not match, or a value is not a probability.
    """
    if len(truth) < MIN_FIELDS:
        raise LociscopeError(
            f"Fitting calibration and thresholds needs {MIN_FIELDS} labelled fields or more; received {len(truth)}. "
            "Pass a larger Catalog.",
            code=Code.NOT_ENOUGH_DATA,
        )
    known = find_known(probability)
    prior = default_prior(N_LABELS)
    prior = None if prior is None else prior[known]
    numbers = tuple(np.flatnonzero(known).tolist())
    labelled = check_truth(truth)[:, known]
    given = check_probability(probability[:, known], labelled)

    def fit_predict(train_truth: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
        return Calibration(method, prior=prior).fit(train_truth, train[0]).predict(test[0])

    fold = stratified_folds(labelled, FOLDS, seed, groups)
    out_of_fold = cross_val_predict(fit_predict, labelled, given[None], fold)
    thresholds = Thresholds(policy, value, prior=prior, seed=seed).fit(labelled, out_of_fold)
    calibration = Calibration(method, prior=prior).fit(labelled, given)
    coefficients = expand_classes(calibration.coefficients_, numbers)
    calibration.coefficients_ = np.where(known, coefficients, [[1.0], [1.0], [0.0]])
    return FittedDecision(
        calibration,
        expand_classes(thresholds.thresholds_, numbers, fill=1),
        expand_classes(out_of_fold, numbers),
        expand_classes(thresholds.predict(out_of_fold), numbers, fill=False),
    )
