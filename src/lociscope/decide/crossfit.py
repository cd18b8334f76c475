"""Predict fields out of fold: each field by a fit on the other folds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lociscope.splits.folds import fold_masks

FitPredict = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""(training truth, training members, test members) → probabilities of the test rows."""


def cross_val_predict(fit_predict: FitPredict, truth: np.ndarray, members: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Predict each field with a fit on the other folds.

    Args:
        fit_predict: Fits on some rows and predicts others.
        truth: (n, classes).
        members: (members, n, classes).
        fold: (n,) fold numbers, as `stratified_folds` assigns them.

    Returns:
        (n, classes) of float64.
    """
    result = np.empty(truth.shape, np.float64)
    for train, test in fold_masks(fold):
        result[test] = fit_predict(truth[train], members[:, train], members[:, test])
    return result
