"""Sums of products without BLAS.

BLAS computes even short ones on several threads, which then wait for the next by spinning, for milliseconds: threads
that predict fields side by side lose their cores to them.
"""

from __future__ import annotations

import numpy as np


def sum_products(one: np.ndarray, two: np.ndarray) -> float:
    """Return the sum of products of two arrays of the same shape."""
    return float(np.einsum("i,i->", one.ravel(), two.ravel()))


def sum_products_of_rows(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Return (m, k): the sum of products of each row of (m, n) with each row of (k, n)."""
    sums: np.ndarray = np.einsum("mn,kn->mk", one, two)
    return sums
