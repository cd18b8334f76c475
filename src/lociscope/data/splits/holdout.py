"""Which fields are held out."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


def hold_out(groups: Sequence[str], share: float, seed: int) -> np.ndarray:
    """Chooses whole groups at random until they make up a share of the fields.

    A group's place in the draw depends on its name and the seed alone, so that a field added later moves no
    other one to the other side.

    Args:
        groups: Group of each of n fields: specimen, antibody, or the field's own id.
        share: Share of the fields to hold out, in 0–1.
        seed: Seed of the draw.

    Returns:
        (n,) of bool, true where the field is held out; at least one field is, and at least one is not where
        there are two groups.
    """
    names, member, sizes = np.unique(np.asarray(groups, str), return_inverse=True, return_counts=True)
    draw = [hashlib.sha256(f"{seed}/{name}".encode()).digest() for name in names]
    order = np.array(sorted(range(len(names)), key=draw.__getitem__))
    before = np.cumsum(sizes[order]) - sizes[order]
    chosen = order[before < share * len(member)][: max(len(names) - 1, 1)]
    held: np.ndarray = np.isin(member, chosen)
    return held
