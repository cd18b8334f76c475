"""A map of fields: points in a plane, near each other where their vectors are."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from lociscope.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_POINTS = 2000
"""Most fields on a map; of more, evenly spaced ones are shown."""

MIN_POINTS = 10

_EXACT_POINTS = 250
"""Up to this many fields, all pairs are computed in less time than the approximation by trees (Barnes–Hut) takes."""


class FieldMap(NamedTuple):
    """A map.

    Attributes:
        rows: (m,) rows of the Catalog.
        points: (m, 2) of float in 0–1.
    """

    rows: tuple[int, ...]
    points: np.ndarray


def has_umap() -> bool:
    """Return whether umap-learn is installed."""
    return find_spec("umap") is not None


def make_map(
    vectors: np.ndarray | None, rows: Sequence[int], method: Literal["t-SNE", "UMAP"] = "t-SNE"
) -> FieldMap | None:
    """Arrange fields so that neighbours are similar.

    Args:
        vectors: (n, d), or None.
        rows: The row of each vector in the Catalog.
        method: t-SNE (van der Maaten and Hinton, JMLR 9, 2579–2605, 2008), or UMAP (McInnes et al., arXiv 1802.03426),
            the method of HPA's own maps.

    Returns:
        The map; None for fewer than `MIN_POINTS` fields.

    Raises:
        MissingExtraError: scikit-learn, or for UMAP umap-learn, is not installed.
    """
    if vectors is None or len(vectors) < MIN_POINTS:
        return None
    used = np.unique(np.linspace(0, len(vectors) - 1, min(len(vectors), MAX_POINTS)).astype(int))
    values = np.asarray(vectors, np.float64)[used]
    points = _arrange_umap(values) if method == "UMAP" else _arrange_tsne(values)
    low, high = points.min(axis=0), points.max(axis=0)
    return FieldMap(tuple(rows[row] for row in used), (points - low) / np.maximum(high - low, 1e-9))


def _arrange_umap(values: np.ndarray) -> np.ndarray:
    try:
        from umap import UMAP
    except ImportError:
        raise MissingExtraError("A UMAP of fields", "map") from None
    neighbours = min(15, len(values) - 1)
    arrange = UMAP(n_neighbors=neighbours, metric="cosine", random_state=0, n_jobs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numba, and of few points
        return np.asarray(arrange.fit_transform(values.astype(np.float32)), np.float64)


def _arrange_tsne(values: np.ndarray) -> np.ndarray:
    try:
        from sklearn.decomposition import PCA
        from sklearn.manifold import TSNE
    except ImportError:
        raise MissingExtraError("A map of fields", "fit") from None
    values = (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-9)
    values = PCA(min(30, *values.shape), random_state=0).fit_transform(values)
    start = values[:, :2] / max(float(values[:, 0].std()), 1e-9) * 1e-4
    start = start if start.shape[1] == 2 else np.pad(start, ((0, 0), (0, 1)))
    perplexity = min(30.0, (len(values) - 1) / 3)
    method = "exact" if len(values) <= _EXACT_POINTS else "barnes_hut"
    arrange = TSNE(perplexity=perplexity, init=start.astype(np.float32), random_state=0, method=method)
    return np.asarray(arrange.fit_transform(values), np.float64)
