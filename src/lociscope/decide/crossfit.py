"""Cross-validation for rare labels: folds that share them out, and predictions of fields that were not fitted on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from lociscope.decide.checks import check_truth
from lociscope.errors import Code, LociscopeError

FitPredict = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""(truth of the training rows, their members, members of the rows to predict) → probabilities of those."""


def stratified_folds(truth: np.ndarray, k: int = 5, seed: int = 0, groups: np.ndarray | None = None) -> np.ndarray:
    """Deals fields into folds by their rarest label, so that each fold gets its share of the rare ones.

    Args:
        truth: (n, classes), 0 or 1.
        k: How many folds.
        seed: Decides the order within a label.
        groups: (n,) names; a group is kept in one fold. Default: each row alone.

    Returns:
        (n,) fold numbers, 0 to k − 1.

    Raises:
        LociscopeError: Fewer rows or groups than folds.
    """
    known = check_truth(truth)
    unit = np.arange(len(known)) if groups is None else np.unique(groups, return_inverse=True)[1]
    units = int(unit.max()) + 1
    if units < k:
        raise LociscopeError(
            f"Cross-validation in {k} folds needs at least {k} fields or groups of them; received {units}.",
            code=Code.NOT_ENOUGH_DATA,
        )
    labels = np.zeros((units, known.shape[1]), bool)
    np.logical_or.at(labels, unit, known)
    commonness = np.argsort(np.argsort(known.sum(axis=0), kind="stable"), kind="stable")
    rarest = np.where(labels, commonness, known.shape[1]).min(axis=1)
    rng = np.random.default_rng(seed)
    order = rng.permutation(units)
    order = order[np.argsort(rarest[order], kind="stable")]
    fold = np.empty(units, np.int64)
    fold[order] = (np.arange(units) + rng.integers(k)) % k
    return fold[unit]


def fold_masks(fold: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each fold the rows to fit on and the rows kept out, as boolean masks."""
    for number in range(int(fold.max()) + 1):
        yield fold != number, fold == number


def cross_val_predict(fit_predict: FitPredict, truth: np.ndarray, members: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Predictions of each field by a fit that has not seen it.

    Args:
        fit_predict: Fits on some rows and predicts others.
        truth: (n, classes).
        members: (members, n, classes).
        fold: (n,) as `stratified_folds` deals them.

    Returns:
        (n, classes) of float64.
    """
    result = np.empty(truth.shape, np.float64)
    for train, kept in fold_masks(fold):
        result[kept] = fit_predict(truth[train], members[:, train], members[:, kept])
    return result
