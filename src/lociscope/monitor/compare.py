"""Two-sample tests that are valid for small samples too."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np

from lociscope.errors import MissingExtraError

MAX_EXACT = 10_000
"""Number of fields up to which Kolmogorov and Smirnov's p is computed exactly."""

MAX_EMBEDDINGS = 500
"""Fields of each sample that the test of embeddings uses: its cost grows with their square."""

PERMUTATIONS = 999


class Distance(NamedTuple):
    """A difference, and the probability that chance alone gives one at least as large."""

    value: float
    p: float


def run_kolmogorov_smirnov_tests(window: np.ndarray, reference: np.ndarray) -> list[Distance]:
    """Compare distributions, column by column.

    Exact for continuous values; if values tie, as grey levels do, p is too large rather than too small.

    Args:
        window: (n, k).
        reference: (m, k).

    Returns:
        For each column the largest difference of the cumulative distributions, 0–1, and its p.
    """
    ks_2samp = _stats().ks_2samp
    method = "exact" if max(len(window), len(reference)) <= MAX_EXACT else "asymp"
    distances = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # SciPy falls back on the asymptotic p on overflow
        for one, other in zip(window.T, reference.T, strict=True):
            result = ks_2samp(one, other, method=method)
            distances.append(Distance(float(result.statistic), float(min(1.0, result.pvalue))))
    return distances


def run_fisher_tests(window: np.ndarray, reference: np.ndarray) -> list[Distance]:
    """Compare how often each location is found by Fisher's exact test, which is valid for any number of fields.

    Args:
        window: (n, c) of bool.
        reference: (m, c) of bool.

    Returns:
        For each column the difference of the rates, and its two-sided p.
    """
    fisher_exact = _stats().fisher_exact
    n, m = len(window), len(reference)
    distances = []
    for here, there in zip(window.sum(axis=0).tolist(), reference.sum(axis=0).tolist(), strict=True):
        p = fisher_exact([[here, n - here], [there, m - there]]).pvalue
        distances.append(Distance(here / n - there / m, float(min(1.0, p))))
    return distances


def run_spearman_test(one: np.ndarray, other: np.ndarray) -> Distance:
    """Return Spearman's rank correlation of two series, and its p; 0 and 1 if one is constant."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return Distance(0.0, 1.0)
    result = _stats().spearmanr(one, other)
    return Distance(float(result.statistic), float(result.pvalue))


def run_mmd_test(
    window: np.ndarray, reference: np.ndarray, rng: np.random.Generator, permutations: int = PERMUTATIONS
) -> Distance:
    """Compare samples of vectors by their maximum mean discrepancy, with a permutation test.

    Gretton et al., JMLR 13, 723–773 (2012): the unbiased estimate of MMD² with a Gaussian kernel, its width the
    median distance of the pooled vectors, after each coordinate is scaled to unit variance. The p is exact for any
    distribution if the fields are independent.

    Args:
        window: (n, d), two rows or more; more than `MAX_EMBEDDINGS` are subsampled.
        reference: (m, d), likewise.
        rng: Source of the permutations.
        permutations: How many; p is at least 1 / (permutations + 1).

    Returns:
        MMD², about 0 if there is no difference, and its p.
    """
    window, reference = (
        each if len(each) <= MAX_EMBEDDINGS else each[rng.choice(len(each), MAX_EMBEDDINGS, replace=False)]
        for each in (window, reference)
    )
    pooled = np.concatenate([window, reference]).astype(np.float64)
    spread = pooled.std(axis=0)
    kernel = _kernel(pooled[:, spread > 0] / spread[spread > 0])
    n, total = len(window), len(pooled)
    selected = np.zeros((total, permutations + 1))
    selected[:n, 0] = 1
    for column in range(1, permutations + 1):
        selected[rng.permutation(total)[:n], column] = 1
    within = np.sum(selected * (kernel @ selected), axis=0)
    of_rows = kernel.sum(axis=1) @ selected
    m = total - n
    values = (
        within / (n * (n - 1))
        + (kernel.sum() - 2 * of_rows + within) / (m * (m - 1))
        - 2 * (of_rows - within) / (n * m)
    )
    as_large = int(np.sum(values[1:] >= values[0] - 1e-12))
    return Distance(float(values[0]), (1 + as_large) / (1 + permutations))


def _stats() -> Any:  # noqa: ANN401 - scipy has no types
    try:
        from scipy import stats
    except ModuleNotFoundError as error:
        raise MissingExtraError("Drift detection", "monitor") from error
    return stats


def _kernel(vectors: np.ndarray) -> np.ndarray:
    """Return the Gaussian similarity of each pair of vectors; 0 on the diagonal, which no estimate uses."""
    squares = np.sum(vectors**2, axis=1)
    distances = np.maximum(squares[:, None] + squares - 2 * vectors @ vectors.T, 0)
    width = float(np.median(distances[np.triu_indices(len(vectors), 1)])) or 1.0
    kernel: np.ndarray = np.exp(-distances / width)
    np.fill_diagonal(kernel, 0)
    return kernel
