"""Apply boosted trees that are stored as plain arrays; numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lociscope.labels import N_LABELS

if TYPE_CHECKING:
    from numpy.typing import NDArray


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

    def check(self, features: int) -> None:
        """Raise a ValueError unless every path ends in a leaf.

        Children come after their node, and leaves name themselves.

        Args:
            features: Number of features that may be asked.
        """
        nodes = np.arange(len(self.feature))
        if not len(self.threshold) == len(self.unknown_left) == len(self.value) == len(nodes):
            raise ValueError("the trees have arrays of different lengths")
        leaf = self.feature < 0
        for child in (self.left, self.right):
            if len(child) != len(nodes) or not np.where(leaf, child == nodes, child > nodes).all():
                raise ValueError("the trees have a node whose child does not come after it")
            if (child >= len(nodes)).any():
                raise ValueError("the trees name a node that they do not have")
        if (self.feature >= features).any() or not ((self.root >= 0) & (self.root < max(len(nodes), 1))).all():
            raise ValueError("the trees ask for a feature, or begin at a node, that does not exist")

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
