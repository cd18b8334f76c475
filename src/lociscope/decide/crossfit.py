"""Cross-validation for rare labels: folds that share them out, and predictions of fields that were not fitted on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lociscope.splits.folds import fold_masks

FitPredict = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""(truth of the training rows, their members, members of the rows to predict) → probabilities of those."""


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
