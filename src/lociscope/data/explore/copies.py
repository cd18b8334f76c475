"""Findings about fields that show the same cells: within a Catalog, with other labels, and in two parts of a split."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lociscope.data.explore.findings import Finding, FindingKind
from lociscope.data.similarity import Pair, find_similar_pairs
from lociscope.splits.groups import connected_components

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np


def find_copies(
    ids: Sequence[str],
    thumbnails: np.ndarray,
    targets: Mapping[str, tuple[int, ...] | None],
    parts: Mapping[str, str | None],
) -> list[Finding]:
    """Find groups of fields that show the same cells; each group is one finding, of its worst kind.

    Args:
        ids: Of n fields.
        thumbnails: (n, 48, 48, 4) of uint8.
        targets: The labels of the fields; None where a field has none.
        parts: `train`, `valid`, `test` or None of the fields.
    """
    pairs = find_similar_pairs(thumbnails)
    members: dict[int, list[int]] = {}
    for row, group in enumerate(connected_components(len(ids), [(pair.one, pair.other) for pair in pairs])):
        members.setdefault(group, []).append(row)
    best: dict[int, float] = {}
    for pair in pairs:
        for row in (pair.one, pair.other):
            best[row] = max(best.get(row, 0.0), pair.similarity)
    found = []
    for rows in (rows for rows in members.values() if len(rows) > 1):
        names = tuple(ids[row] for row in rows)
        similarity = min(best[row] for row in rows)
        figures = {"similarity": similarity, "fields": float(len(rows))}
        found.append(Finding(_judge(names, targets, parts), names, similarity, figures=figures))
    return found


def find_copies_in_test(
    ids: Sequence[str], thumbnails: np.ndarray, test_ids: Sequence[str], test_thumbnails: np.ndarray
) -> list[Finding]:
    """Find the fields of a test Catalog that show the same cells as a field of this one; one finding for each."""
    best: dict[int, Pair] = {}
    for pair in find_similar_pairs(thumbnails, test_thumbnails):
        if pair.other not in best or pair.similarity > best[pair.other].similarity:
            best[pair.other] = pair
    return [
        Finding(
            FindingKind.DUPLICATES_ACROSS_PARTS,
            (ids[pair.one],),
            pair.similarity,
            figures={"similarity": pair.similarity},
            test_ids=(test_ids[row],),
        )
        for row, pair in best.items()
    ]


def _judge(
    names: Sequence[str], targets: Mapping[str, tuple[int, ...] | None], parts: Mapping[str, str | None]
) -> FindingKind:
    if len({part for name in names if (part := parts.get(name))}) > 1:
        return FindingKind.DUPLICATES_ACROSS_PARTS
    if len({target for name in names if (target := targets.get(name)) is not None}) > 1:
        return FindingKind.DUPLICATES_WITH_OTHER_LABELS
    return FindingKind.DUPLICATES
