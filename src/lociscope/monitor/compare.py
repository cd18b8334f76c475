"""Tests of whether two samples are of one population, right also where they are small."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np

from lociscope.errors import MissingExtraError

EXACT = 10_000
"""Fields up to which Kolmogorov and Smirnov's p is computed exactly."""

MOST = 500
"""Fields of each side that the test of embeddings looks at: its cost grows with their square."""

PERMUTATIONS = 999


class Distance(NamedTuple):
    """A difference, and how often chance alone gives one as large."""

    value: float
    p: float


def kolmogorov_smirnov(window: np.ndarray, reference: np.ndarray) -> list[Distance]:
    """Compares distributions, column by column.

    Exact for continuous figures; where values tie, as grey levels do, p is too large rather than too small.

    Args:
        window: (n, k).
        reference: (m, k).

    Returns:
        For each column the largest difference of the cumulative distributions, 0–1, and its p.
    """
    ks_2samp = _stats().ks_2samp
    method = "exact" if max(len(window), len(reference)) <= EXACT else "asymp"
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # exact is given up where it overflows
        for one, other in zip(window.T, reference.T, strict=True):
            result = ks_2samp(one, other, method=method)
            found.append(Distance(float(result.statistic), float(min(1.0, result.pvalue))))
    return found


def fisher(window: np.ndarray, reference: np.ndarray) -> list[Distance]:
    """Compares how often each place is found: Fisher's exact test, which holds for any number of fields.

    Args:
        window: (n, c) of bool.
        reference: (m, c) of bool.

    Returns:
        For each column the difference of the shares, and its two-sided p.
    """
    fisher_exact = _stats().fisher_exact
    n, m = len(window), len(reference)
    found = []
    for here, there in zip(window.sum(axis=0).tolist(), reference.sum(axis=0).tolist(), strict=True):
        p = fisher_exact([[here, n - here], [there, m - there]]).pvalue
        found.append(Distance(here / n - there / m, float(min(1.0, p))))
    return found


def mmd(
    window: np.ndarray, reference: np.ndarray, rng: np.random.Generator, permutations: int = PERMUTATIONS
) -> Distance:
    """Compares samples of vectors by their maximum mean discrepancy, with a permutation test.

    Gretton et al., JMLR 13, 723–773 (2012): the unbiased estimate of MMD² with a Gaussian kernel, its width the
    median distance of the pooled vectors, after each coordinate is put to unit variance. The p is exact whatever the
    distribution, if the fields are independent.

    Args:
        window: (n, d), two rows or more; of more than `MOST` as many are drawn.
        reference: (m, d), likewise.
        rng: Source of the permutations.
        permutations: How many; p is at least 1 / (permutations + 1).

    Returns:
        MMD², about 0 where there is no difference, and its p.
    """
    window, reference = (
        each if len(each) <= MOST else each[rng.choice(len(each), MOST, replace=False)] for each in (window, reference)
    )
    pooled = np.concatenate([window, reference]).astype(np.float64)
    spread = pooled.std(axis=0)
    kernel = _kernel(pooled[:, spread > 0] / spread[spread > 0])
    n, total = len(window), len(pooled)
    chosen = np.zeros((total, permutations + 1))
    chosen[:n, 0] = 1
    for column in range(1, permutations + 1):
        chosen[rng.permutation(total)[:n], column] = 1
    within = np.sum(chosen * (kernel @ chosen), axis=0)
    of_rows = kernel.sum(axis=1) @ chosen
    m = total - n
    values = (
        within / (n * (n - 1))
        + (kernel.sum() - 2 * of_rows + within) / (m * (m - 1))
        - 2 * (of_rows - within) / (n * m)
    )
    as_large = int(np.sum(values[1:] >= values[0] - 1e-12))
    return Distance(float(values[0]), (1 + as_large) / (1 + permutations))


def holm(p: np.ndarray) -> np.ndarray:
    """Corrects p for the number of tests, so that the chance of any false alarm stays at the level.

    Holm, Scand J Stat 6, 65–70 (1979); holds however the tests depend on each other.

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


def _stats() -> Any:  # noqa: ANN401 - scipy has no types
    try:
        from scipy import stats
    except ModuleNotFoundError as error:
        raise MissingExtraError("Comparing windows", "monitor") from error
    return stats


def _kernel(vectors: np.ndarray) -> np.ndarray:
    """Gaussian similarity of each two vectors; 0 on the diagonal, which no estimate uses."""
    squares = np.sum(vectors**2, axis=1)
    distances = np.maximum(squares[:, None] + squares - 2 * vectors @ vectors.T, 0)
    width = float(np.median(distances[np.triu_indices(len(vectors), 1)])) or 1.0
    kernel: np.ndarray = np.exp(-distances / width)
    np.fill_diagonal(kernel, 0)
    return kernel
