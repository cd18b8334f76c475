"""Find fields that resemble no other."""

from __future__ import annotations

import numpy as np

NEIGHBOURS = 5
"""Number of nearest fields whose mean distance counts; a group of fewer strange fields is found as well."""

MIN_FIELDS = 20
"""Fewest fields among which one can be strange."""

MIN_DEVIATION = 4.0
"""Robust standard deviations of the logarithm of the distance from which a field is reported."""

_BLOCK = 1 << 24


def score_outliers(vectors: np.ndarray) -> np.ndarray:
    """Return how far each vector is from its nearest neighbours, compared with the others.

    Each coordinate is scaled by its robust spread. The logarithm of the mean distance to the five nearest vectors is
    then given in robust standard deviations above its median: `k`-nearest-neighbour outlier detection (Ramaswamy et
    al., SIGMOD 2000, 427–438).

    Args:
        vectors: (n, d): embeddings, or features of the channels.

    Returns:
        (n,) of float; zeros for fewer than `MIN_FIELDS` vectors.
    """
    if len(vectors) < MIN_FIELDS:
        return np.zeros(len(vectors))
    vectors = np.asarray(vectors, np.float32)
    low, middle, high = np.percentile(vectors, (16, 50, 84), axis=0)
    spread = np.maximum((high - low) / 2, 0.1 * vectors.std(axis=0) + 1e-9)
    distance = np.log(_mean_neighbour_distance(np.asarray((vectors - middle) / spread, np.float32)) + 1e-6)
    middle, deviation = np.median(distance), 1.4826 * np.median(np.abs(distance - np.median(distance)))
    return np.asarray((distance - middle) / max(float(deviation), 1e-3))


def _mean_neighbour_distance(vectors: np.ndarray) -> np.ndarray:
    """Return (n,): mean distance to the nearest vectors."""
    squares = (vectors**2).sum(axis=1)
    rows = max(1, _BLOCK // (4 * len(vectors)))
    means = np.empty(len(vectors))
    for start in range(0, len(vectors), rows):
        some = slice(start, start + rows)
        distances = squares[some, None] + squares[None] - 2 * vectors[some] @ vectors.T
        nearest = np.partition(distances, NEIGHBOURS, axis=1)[:, : NEIGHBOURS + 1]
        nearest.sort(axis=1)
        means[some] = np.sqrt(np.maximum(nearest[:, 1:], 0)).mean(axis=1)  # the first is the vector itself
    return means
