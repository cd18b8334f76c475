"""How many fields each reviewed field stands for, since most were selected because they are difficult."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lociscope.review.records import Reason

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from lociscope.review.records import Item


def weigh_items(items: Sequence[Item], labelled: Collection[int]) -> dict[int, float]:
    """Return the weights of the labelled fields of a review, by their number.

    The random fields of a batch are a fair sample of its frame, and share it equally. If all selected fields of the
    batch are labelled, these stand for themselves, and the random ones for the rest. Otherwise the selected fields do
    not count: the first of them are the most difficult. Corrected fields never count, since they were reported because
    they are wrong.

    Args:
        items: All fields of the review.
        labelled: Numbers of those with agreed labels.
    """
    weights: dict[int, float] = {}
    for batch in {item.batch for item in items if item.reason != Reason.CORRECTED}:
        group = [item for item in items if item.batch == batch and item.reason != Reason.CORRECTED]
        selected = [item.number for item in group if item.reason != Reason.RANDOM]
        sampled = [item.number for item in group if item.reason == Reason.RANDOM and item.number in labelled]
        complete = all(number in labelled for number in selected)
        if complete:
            weights |= dict.fromkeys(selected, 1.0)
        rest = group[0].frame - (len(selected) if complete else 0)
        weights |= dict.fromkeys(sampled, max(rest, 0) / max(len(sampled), 1))
    return {number: weight for number, weight in weights.items() if weight > 0}
