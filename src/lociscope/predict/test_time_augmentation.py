"""Eight views of a field: the quarter turns of it and of its mirror image, which show the same places.

Averaging what a network says of them is what the competition's teams called eight-fold test-time augmentation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lociscope.decide.logistic import logit, sigmoid
from lociscope.errors import Code, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

VIEWS = (1, 8)
"""How many may be asked for."""


def check_views(views: int, height: int, width: int) -> None:
    """Refuses a number of views that cannot be had of inputs of this size.

    Raises:
        UsageError: It is neither 1 nor 8, or a quarter turn would change the input's shape.
    """
    if views not in VIEWS:
        raise UsageError(
            f"A field has 1 or 8 views, received {views!r}. Pass --views 8 for all its turns and mirrors.",
            code=Code.INVALID_VALUE,
        )
    if views > 1 and height != width:
        raise UsageError(
            f"This bundle's input is {height} × {width} px, and only a square can be turned. Use one view.",
            code=Code.INVALID_VALUE,
        )


def views_of(pixels: np.ndarray) -> Iterator[np.ndarray]:
    """The eight views of (n, side, side, c), the first of them as it is."""
    for mirrored in (pixels, pixels[:, :, ::-1]):
        for turns in range(4):
            yield np.rot90(mirrored, turns, axes=(1, 2))


def averaged(calls: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """One answer for several views: probabilities averaged as log odds, other outputs as they are.

    Args:
        calls: The outputs by name of each view; no maps, which would have to be turned back.

    Returns:
        The same names, float32.
    """
    made = {}
    for name in calls[0]:
        rows = np.stack([call[name] for call in calls]).astype(np.float64)
        mean = sigmoid(logit(rows).mean(axis=0)) if name == "probabilities" else rows.mean(axis=0)
        made[name] = np.asarray(mean, np.float32)
    return made
