"""Correct p values for the number of tests."""

from __future__ import annotations

import numpy as np


def adjust_holm(p: np.ndarray) -> np.ndarray:
    """Correct p for the number of tests, so that the chance of any false alarm stays at the level.

    Holm, Scand J Stat 6, 65–70 (1979); valid however the tests depend on each other.

    Args:
        p: (k,).

    Returns:
        (k,), each at most 1.
    """
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(stepped, 1)
    return corrected
