"""Frequencies of label sets."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from lociscope.labels import parse_target, to_multi_hot

if TYPE_CHECKING:
    from numpy.typing import NDArray


@lru_cache(maxsize=1)
def _table() -> tuple[tuple[tuple[int, ...], ...], NDArray[np.float64]]:
    """Return the 577 label sets of the competition's 31,072 training rows, and the number of rows of each."""
    text = files("lociscope.simulate").joinpath("label_sets.csv").read_text(encoding="utf-8")
    rows = [line.split(",") for line in text.splitlines()[1:]]
    return tuple(parse_target(target) for target, _ in rows), np.array([float(count) for _, count in rows])


@lru_cache(maxsize=64)
def label_sets(balanced: float = 0.0) -> tuple[tuple[tuple[int, ...], ...], NDArray[np.float64]]:
    """Return label sets and their probabilities.

    Args:
        balanced: 0 for the real frequencies; 1 lifts every set by the rarity of its rarest location, so that rare
            locations come nearly as often as frequent ones; between them, less so.

    Returns:
        The sets, and their probabilities, which sum to 1.
    """
    sets, counts = _table()
    frequency = (to_multi_hot(sets) * counts[:, None]).sum(0)
    rarest = np.array([min(frequency[list(locations)]) for locations in sets])
    weight = counts * (frequency.max() / rarest) ** balanced
    return sets, weight / weight.sum()
