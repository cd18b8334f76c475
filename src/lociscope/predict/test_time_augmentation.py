"""Test-time augmentation: average the outputs of a network over the eight symmetries of a square field.

The quarter turns of a field and of its mirror image show the same locations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lociscope.decide.logistic import logit, sigmoid
from lociscope.errors import Code, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

N_VIEWS = 8
"""Symmetries of a square: four quarter turns, each also mirrored."""


def check_square(height: int, width: int) -> None:
    """Raise a UsageError unless an input keeps its shape under a quarter turn."""
    if height != width:
        raise UsageError(
            f"This bundle's input is {height} × {width} px, and test-time augmentation needs a square one. Omit `tta`.",
            code=Code.INVALID_VALUE,
        )


def rotate_and_flip(pixels: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the eight symmetries of (n, side, side, c), beginning with `pixels` itself."""
    for mirrored in (pixels, pixels[:, :, ::-1]):
        for turns in range(4):
            yield np.rot90(mirrored, turns, axes=(1, 2))


def average_outputs(calls: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Return the mean outputs of several calls: of log odds for probabilities, plain means for other outputs.

    Args:
        calls: The outputs of each call by name; not maps, which would have to be turned back.

    Returns:
        The same names, float32.
    """
    means = {}
    for name in calls[0]:
        rows = np.stack([call[name] for call in calls]).astype(np.float64)
        mean = sigmoid(logit(rows).mean(axis=0)) if name == "probabilities" else rows.mean(axis=0)
        means[name] = np.asarray(mean, np.float32)
    return means
