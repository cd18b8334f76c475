"""What every estimator and metric here asks of its arrays, each with its sentence."""

from __future__ import annotations

import numpy as np

from lociscope.errors import Code, LociscopeError


def check_truth(truth: np.ndarray) -> np.ndarray:
    """Truth as booleans.

    Args:
        truth: (n, classes), 0 or 1.

    Returns:
        The same as a boolean array.

    Raises:
        LociscopeError: It is no table of zeros and ones, or it has no row.
    """
    array = np.asarray(truth)
    if array.ndim != 2 or array.shape[0] == 0:
        raise LociscopeError(
            f"Truth is a table of fields × classes; received the shape {array.shape}.", code=Code.INVALID_VALUE
        )
    if array.dtype == bool:
        return array
    if not np.isin(array, (0, 1)).all():
        raise LociscopeError(
            "Truth holds values other than 0 and 1; pass one column of 0 and 1 per class.", code=Code.INVALID_VALUE
        )
    return array.astype(bool)


def check_probability(probability: np.ndarray, like: np.ndarray | None = None) -> np.ndarray:
    """Probabilities as float64.

    Args:
        probability: (n, classes), each within 0–1.
        like: An array whose shape it must have.

    Returns:
        The same as float64.

    Raises:
        LociscopeError: Not a table, another shape, a value that is no number, or one outside 0–1.
    """
    array = np.asarray(probability, dtype=np.float64)
    if array.ndim != 2 or array.shape[0] == 0:
        raise LociscopeError(
            f"Probabilities are a table of fields × classes; received the shape {array.shape}.", code=Code.INVALID_VALUE
        )
    if like is not None and array.shape != like.shape:
        raise LociscopeError(
            f"Probabilities of shape {array.shape} do not belong to truth of shape {like.shape}; "
            "pass one row per field and one column per class in both.",
            code=Code.INVALID_VALUE,
        )
    if np.isnan(array).any():
        row = int(np.isnan(array).any(axis=1).argmax())
        raise LociscopeError(
            f"Row {row} of the probabilities holds NaN; predict that field again or drop it.", code=Code.INVALID_VALUE
        )
    if array.min() < 0 or array.max() > 1:
        raise LociscopeError(
            f"Probabilities lie within 0–1; received {array.min():.4g} to {array.max():.4g}. "
            "Pass logits through a sigmoid first.",
            code=Code.INVALID_VALUE,
        )
    return array


def check_scores(scores: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Scores of any range (for ranking) as float64, of the shape of `like` and without NaN."""
    array = np.asarray(scores, dtype=np.float64)
    if array.shape != like.shape:
        raise LociscopeError(
            f"Scores of shape {array.shape} do not belong to truth of shape {like.shape}; "
            "pass one row per field and one column per class in both.",
            code=Code.INVALID_VALUE,
        )
    if np.isnan(array).any():
        row = int(np.isnan(array).any(axis=1).argmax())
        raise LociscopeError(
            f"Row {row} of the scores holds NaN; predict that field again or drop it.", code=Code.INVALID_VALUE
        )
    return array
