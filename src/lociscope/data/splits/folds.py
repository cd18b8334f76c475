"""Parts of a table that never share a group and hold each class in its proportion: folds, and what is held out.

Antibodies are few where places are rare: 71,437 fields of HPA v18 come from 12,241 antibodies, and Microtubule ends
from 7. Fields of one antibody look alike, so a group that lies in two folds turns a test into a memory exercise; a
class that a fold lacks makes its score meaningless. Both can be had: groups are dealt out one by one, those of rare
classes first, each to the part that lacks its classes most (after Sechidis, Tsoumakas and Vlahavas, ECML PKDD 2011,
who deal out single rows), and then moved while a move brings the parts nearer to their proportions.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_PASSES = 20
"""Most rounds of moves; four or five are enough on the tables of HPA."""

_ABSENT = 10.0
"""Cost of a part without a class that has enough groups for all parts: more than any deviation of a class."""


def assign_groups(labels: np.ndarray, groups: Sequence[str], shares: Sequence[float], seed: int = 0) -> np.ndarray:
    """Deals fields out to parts, whole groups at a time.

    Args:
        labels: (n, classes) of 0 and 1.
        groups: Group of each field.
        shares: What each part should hold of all fields; they sum to 1.
        seed: Decides between what is equally good.

    Returns:
        (n,) of int: the part of each field, from 0. The same whatever the order of the rows.
    """
    names, member = np.unique(np.asarray(groups, str), return_inverse=True)
    counts = np.zeros((len(names), labels.shape[1] + 1))
    np.add.at(counts, member, np.column_stack([labels, np.ones(len(labels))]))
    wanted = np.outer(np.asarray(shares), counts.sum(axis=0))
    draw = [hashlib.sha256(f"{seed}/{name}".encode()).digest() for name in names]
    part = _assign_in_order(counts, wanted, np.argsort(np.argsort(draw)))
    _improve(counts, wanted, part)
    return np.asarray(part[member])


def joined(*columns: Sequence[str | None]) -> list[str]:
    """Groups of fields that must stay together for any reason: the same antibody, or plate, or picture.

    Args:
        columns: For each reason, a value for each field; None binds a field to no other.

    Returns:
        A group for each field: fields that are bound directly or through others share one, named by its first field.
    """
    pairs = []
    for column in columns:
        first: dict[str, int] = {}
        pairs += [(first.setdefault(value, row), row) for row, value in enumerate(column) if value is not None]
    return [str(root) for root in connected_components(len(columns[0]), pairs)]


def connected_components(n: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """For each of n numbers the least of those that pairs lead to from it."""
    root = list(range(n))

    def find(row: int) -> int:
        while root[row] != row:
            root[row] = root[root[row]]
            row = root[row]
        return row

    for pair in pairs:
        one, other = sorted(map(find, pair))
        root[other] = one
    return [find(row) for row in range(n)]


def label_deviation(labels: np.ndarray, part: np.ndarray, shares: Sequence[float]) -> float:
    """How far the parts are from their proportions.

    Args:
        labels: (n, classes) of 0 and 1.
        part: (n,) of int.
        shares: What each part should hold.

    Returns:
        Mean over parts and classes of |fields of the class in the part / fields it should hold − 1|.
    """
    held = np.stack([labels[part == number].sum(axis=0) for number in range(len(shares))])
    wanted = np.outer(np.asarray(shares), labels.sum(axis=0))
    there = wanted[0] > 0
    return float(np.abs(held[:, there] / wanted[:, there] - 1).mean())


def _assign_in_order(counts: np.ndarray, wanted: np.ndarray, draw: np.ndarray) -> np.ndarray:
    """The first deal: rare classes first, large groups first, each to the part that lacks most of what it has."""
    totals = counts.sum(axis=0)
    rarest = np.where(counts > 0, totals, np.inf).min(axis=1)
    order = np.lexsort((draw, -counts[:, -1], rarest))
    scale = 1 / np.maximum(wanted, 1e-9)
    held = np.zeros_like(wanted)
    part = np.zeros(len(counts), int)
    for group in order:
        row = counts[group]
        lack = ((wanted - held) * scale**2) @ row - 0.5 * (scale**2) @ row**2  # half the fall of the squared deviation
        part[group] = int(lack.argmax())
        held[part[group]] += row
    return part


def _improve(counts: np.ndarray, wanted: np.ndarray, part: np.ndarray) -> None:
    """Moves single groups while that lowers the sum of deviations; changes `part`."""
    present = counts > 0
    needed = (present.sum(axis=0) >= len(wanted)) * _ABSENT
    scale = 1 / np.maximum(wanted, 1e-9)
    held = np.stack([counts[part == number].sum(axis=0) for number in range(len(wanted))])

    def costs(of: np.ndarray, parts: list[int] | slice, classes: np.ndarray) -> np.ndarray:
        far = np.abs(of - wanted[parts][:, classes]) * scale[parts][:, classes]
        return np.asarray((far + (of == 0) * needed[classes]).sum(axis=1))

    for _ in range(_PASSES):
        moved = 0
        for group in range(len(counts)):
            classes = np.flatnonzero(present[group])
            row, here = counts[group, classes], part[group]
            now = costs(held[:, classes], slice(None), classes)
            gain = now - costs(held[:, classes] + row, slice(None), classes)
            gain += now[here] - costs(held[[here]][:, classes] - row, [here], classes)[0]
            gain[here] = 0
            best = int(gain.argmax())
            if gain[best] > 1e-9:
                held[here, classes] -= row
                held[best, classes] += row
                part[group] = best
                moved += 1
        if not moved:
            return
