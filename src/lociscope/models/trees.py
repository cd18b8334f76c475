"""Boosted trees as plain arrays: fitted with scikit-learn, applied with numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lociscope.decide.logistic import logit
from lociscope.errors import MissingExtraError
from lociscope.labels import N_LABELS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

LEAST_POSITIVES = 4
"""A class with fewer positives, or negatives, gets its rate, whatever the field."""


class Growth(NamedTuple):
    """How trees grow: so many for each class, learning rate, leaves of each, seed."""

    trees: int
    rate: float
    leaves: int
    seed: int


@dataclass(frozen=True, slots=True, eq=False)
class Trees:
    """The nodes of t trees, one after another; a node's children are numbered over all nodes.

    Attributes:
        root: (t,) first node of each tree.
        label: (t,) class of each tree.
        feature: (nodes,) feature asked, −1 in a leaf.
        threshold: (nodes,) up to which the answer is left.
        left: (nodes,) next node; a leaf names itself.
        right: (nodes,) next node.
        unknown_left: (nodes,) whether a feature that is missing goes left.
        value: (nodes,) what a leaf adds to the logit.
        base: (28,) logits before any tree.
    """

    root: NDArray[np.int32]
    label: NDArray[np.int16]
    feature: NDArray[np.int16]
    threshold: NDArray[np.float64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    unknown_left: NDArray[np.bool_]
    value: NDArray[np.float64]
    base: NDArray[np.float64]

    def logits(self, features: np.ndarray) -> NDArray[np.float64]:
        """Return (n, 28) sums over trees of (n, features), which may contain NaN."""
        rows = np.arange(len(features))[:, None]
        at = np.broadcast_to(self.root, (len(features), len(self.root)))
        while True:
            asked = self.feature[at]
            if (asked < 0).all():
                break
            seen = features[rows, np.maximum(asked, 0)]
            goes_left = np.where(np.isnan(seen), self.unknown_left[at], seen <= self.threshold[at])
            at = np.where(asked < 0, at, np.where(goes_left, self.left[at], self.right[at]))
        total = np.tile(self.base, (len(features), 1))
        for label in range(N_LABELS):
            total[:, label] += self.value[at[:, self.label == label]].sum(axis=1)
        return total


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
