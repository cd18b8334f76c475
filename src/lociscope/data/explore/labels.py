"""Summarize labels: class counts, labels per field, co-occurrence, label sets, and classes that are too rare."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lociscope.data.explore.findings import Finding, FindingKind
from lociscope.decide.metrics import FREQUENT
from lociscope.labels import N_LABELS, to_multi_hot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lociscope.artifacts.catalog import Catalog

MIN_TO_JUDGE = FREQUENT
"""Number of positives below which the score of a class is mostly chance."""

_MAX_SETS = 20
_MAX_LINES = 30


@dataclass(frozen=True, slots=True)
class LabelSummary:
    """The labels of a Catalog.

    Attributes:
        fields: Number of fields with a label, also an empty one.
        counts: (28,) positives of each class.
        groups: (28,) groups of fields (antibodies, specimens) of each class; equal to `counts` where none are known.
        per_field: Number of fields by their number of labels.
        pairs: (28, 28) fields with both classes; the diagonal is `counts`.
        order: The classes that occur, so ordered that classes which occur together are neighbours.
        sets: The most frequent label sets and their numbers of fields.
        distinct_sets: Number of different label sets.
        lines: For each cell line its number of fields and its (28,) counts; the most frequent `_MAX_LINES`.
    """

    fields: int
    counts: np.ndarray
    groups: np.ndarray
    per_field: dict[int, int]
    pairs: np.ndarray
    order: tuple[int, ...]
    sets: tuple[tuple[tuple[int, ...], int], ...]
    distinct_sets: int
    lines: dict[str, tuple[int, np.ndarray]]


def summarize_labels(catalog: Catalog, groups: Sequence[str]) -> LabelSummary | None:
    """Summarize the labels of a Catalog.

    Args:
        catalog: The fields.
        groups: The group of each field, from `group_ids`.

    Returns:
        The summary; None if no field has a label.
    """
    targets, lines = catalog.table["target"].to_pylist(), catalog.table["cell_line"].to_pylist()
    rows = [row for row, target in enumerate(targets) if target is not None]
    if not rows:
        return None
    truth = to_multi_hot([targets[row] for row in rows]).astype(np.int64)
    counts = truth.sum(axis=0)
    pairs = truth.T @ truth
    names = np.array([groups[row] for row in rows])
    sets = Counter(tuple(sorted(targets[row])) for row in rows)
    by_line = Counter(lines[row] for row in rows if lines[row])
    where = np.array([lines[row] or "" for row in rows])
    return LabelSummary(
        len(rows),
        counts,
        np.array([len(np.unique(names[truth[:, label] > 0])) for label in range(N_LABELS)]),
        dict(sorted(Counter(truth.sum(axis=1).tolist()).items())),
        pairs,
        order_classes(pairs, len(rows)),
        tuple(sets.most_common(_MAX_SETS)),
        len(sets),
        {line: (count, truth[where == line].sum(axis=0)) for line, count in by_line.most_common(_MAX_LINES)},
    )


def order_classes(pairs: np.ndarray, fields: int) -> tuple[int, ...]:
    """Return the classes that occur in an order in which those that occur together are neighbours.

    It is the order of the second eigenvector of the graph whose edges are the positive correlations of classes
    (spectral seriation: Atkins, Boman and Hendrickson, SIAM J Comput 28, 297–310, 1998).

    Args:
        pairs: (28, 28) fields with both classes.
        fields: Number of fields.
    """
    present = np.flatnonzero(np.diag(pairs) > 0)
    if len(present) < 3:
        return tuple(present.tolist())
    share = np.diag(pairs)[present] / fields
    spread = np.sqrt(np.maximum(share * (1 - share), 1e-12))
    correlation = (pairs[np.ix_(present, present)] / fields - np.outer(share, share)) / np.outer(spread, spread)
    edges = np.maximum(correlation, 0) + 1e-3
    np.fill_diagonal(edges, 0)
    _, vectors = np.linalg.eigh(np.diag(edges.sum(axis=1)) - edges)
    second = vectors[:, 1] * (1 if vectors[0, 1] <= 0 else -1)
    return tuple(present[np.argsort(second, kind="stable")].tolist())


def find_rare_classes(summary: LabelSummary) -> list[Finding]:
    """Return a finding for each class that is absent or too rare to learn or to judge."""
    found = []
    for label in range(N_LABELS):
        count = int(summary.counts[label])
        if count < MIN_TO_JUDGE:
            kind = FindingKind.CLASS_TOO_RARE if count else FindingKind.CLASS_ABSENT
            figures = {"fields": float(count), "groups": float(summary.groups[label])}
            found.append(Finding(kind, (), float(MIN_TO_JUDGE - count), labels=(label,), figures=figures))
    return found
