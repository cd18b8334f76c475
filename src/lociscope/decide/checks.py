"""Validate the arrays that estimators and metrics receive."""

from __future__ import annotations

import numpy as np

from lociscope.errors import Code, LociscopeError


def check_truth(truth: np.ndarray) -> np.ndarray:
    """Return the truth as booleans.

    Args:
        truth: (n, classes), 0 or 1.

    Returns:
        (n, classes) of bool.

    Raises:
        LociscopeError: The array is not a table of zeros and ones, or it has no rows.
    """
    array = np.asarray(truth)
    if array.ndim != 2 or array.shape[0] == 0:
        raise LociscopeError(
            f"Truth must be an array (fields, classes) with at least one row; received the shape {array.shape}. "
            "Pass one row per field.",
            code=Code.INVALID_VALUE,
        )
    if array.dtype == bool:
        return array
    if not np.isin(array, (0, 1)).all():
        raise LociscopeError(
            "Truth contains values other than 0 and 1. Pass one column of 0 and 1 per class.", code=Code.INVALID_VALUE
        )
    return array.astype(bool)


def check_probability(probability: np.ndarray, like: np.ndarray | None = None) -> np.ndarray:
    """Return probabilities as float64.

    Args:
        probability: (n, classes), 0–1.
        like: An array of the shape that `probability` must have.

    Returns:
        (n, classes) of float64.

    Raises:
        LociscopeError: The array is not a table, has another shape, contains NaN, or leaves 0–1.
    """
    array = np.asarray(probability, dtype=np.float64)
    if array.ndim != 2 or array.shape[0] == 0:
        raise LociscopeError(
            f"Probabilities must be an array (fields, classes) with at least one row; received the shape "
            f"{array.shape}. Pass one row per field.",
            code=Code.INVALID_VALUE,
        )
    if like is not None:
        check_shape("Probabilities", array, like)
    _check_nan("probabilities", array)
    if array.min() < 0 or array.max() > 1:
        raise LociscopeError(
            f"Probabilities must be within 0–1; received {array.min():.4g} to {array.max():.4g}. "
            "Pass logits through a sigmoid first.",
            code=Code.INVALID_VALUE,
        )
    return array


def check_scores(scores: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Return scores of any range as float64, after checking that they have the shape of `like` and no NaN."""
    array = np.asarray(scores, dtype=np.float64)
    check_shape("Scores", array, like)
    _check_nan("scores", array)
    return array


def check_shape(name: str, array: np.ndarray, truth: np.ndarray) -> None:
    """Raise a LociscopeError where an array does not have the shape of the truth."""
    if array.shape != truth.shape:
        raise LociscopeError(
            f"{name} of shape {array.shape} do not match truth of shape {truth.shape}. "
            "Pass one row per field and one column per class in both.",
            code=Code.INVALID_VALUE,
        )


def _check_nan(name: str, array: np.ndarray) -> None:
    missing = np.isnan(array).any(axis=-1)
    if missing.any():
        raise LociscopeError(
            f"Row {int(missing.argmax())} of the {name} contains NaN. Predict that field again or drop it.",
            code=Code.INVALID_VALUE,
        )
