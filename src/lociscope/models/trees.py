"""Fit boosted trees with scikit-learn, and store them as the plain arrays of `lociscope.decide.trees`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lociscope.decide.logistic import logit
from lociscope.decide.trees import Trees
from lociscope.errors import MissingExtraError
from lociscope.labels import N_LABELS

if TYPE_CHECKING:
    from collections.abc import Callable

LEAST_POSITIVES = 4
"""A class with fewer positives, or negatives, gets its rate, whatever the field."""


class Growth(NamedTuple):
    """How trees grow: so many for each class, learning rate, leaves of each, seed."""

    trees: int
    rate: float
    leaves: int
    seed: int


def is_learnable(known: np.ndarray) -> bool:
    """Return whether a class (n,) has enough positives and negatives to learn from."""
    return bool(LEAST_POSITIVES <= np.count_nonzero(known) <= len(known) - LEAST_POSITIVES)


def rate_logit(known: np.ndarray) -> float:
    """Return the logit of a class's rate, with half a field added on each side."""
    return float(logit(np.array([(np.count_nonzero(known) + 0.5) / (len(known) + 1)]))[0])


def fit_trees(
    features: np.ndarray,
    truth: np.ndarray,
    growth: Growth,
    progress: Callable[[int, str], None] | None = None,
) -> Trees:
    """Fit a boosted forest for each class.

    Args:
        features: (n, features), NaN where unknown.
        truth: (n, 28), 0 or 1.
        growth: How they grow.
        progress: Called with (classes done, `boosting`).

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    try:
        from sklearn.ensemble import HistGradientBoostingClassifier
    except ImportError:
        raise MissingExtraError("Fitting features", "fit") from None
    base = np.zeros(N_LABELS)
    nodes: list[tuple[np.ndarray, ...]] = []
    labels: list[int] = []
    root: list[int] = []
    start = 0
    for label in range(N_LABELS):
        known = truth[:, label]
        base[label] = rate_logit(known)
        if is_learnable(known):
            model = HistGradientBoostingClassifier(
                learning_rate=growth.rate,
                max_iter=growth.trees,
                max_leaf_nodes=growth.leaves,
                min_samples_leaf=15,
                l2_regularization=5.0,
                max_features=0.3,
                early_stopping=False,
                random_state=growth.seed,
            ).fit(features, known)
            # scikit-learn has no public view of these trees; a test compares the two predictions
            base[label] = float(model._baseline_prediction.ravel()[0])  # noqa: SLF001
            for (tree,) in model._predictors:  # noqa: SLF001
                nodes.append(_plain(tree.nodes, start))
                labels.append(label)
                root.append(start)
                start += len(tree.nodes)
        if progress:
            progress(label + 1, "boosting")
    columns = [np.concatenate(column) for column in zip(*nodes, strict=True)] if nodes else [np.zeros(0)] * 6
    kinds = (np.int16, np.float64, np.int32, np.int32, np.bool_, np.float64)
    names = ("feature", "threshold", "left", "right", "unknown_left", "value")
    plain: dict[str, Any] = {
        name: column.astype(kind) for name, column, kind in zip(names, columns, kinds, strict=True)
    }
    return Trees(root=np.array(root, np.int32), label=np.array(labels, np.int16), base=base, **plain)


def _plain(nodes: np.ndarray, start: int) -> tuple[np.ndarray, ...]:
    """Return a tree's nodes as columns: feature, threshold, left, right, unknown_left, value."""
    leaf = nodes["is_leaf"].astype(bool)
    own = np.arange(len(nodes)) + start
    return (
        np.where(leaf, -1, nodes["feature_idx"].astype(np.int64)),
        np.where(leaf, 0.0, nodes["num_threshold"]),
        np.where(leaf, own, nodes["left"].astype(np.int64) + start),
        np.where(leaf, own, nodes["right"].astype(np.int64) + start),
        nodes["missing_go_to_left"].astype(bool),
        nodes["value"],
    )
