"""What is wrong with a field's pixels, as warnings that go with its prediction."""

from typing import TYPE_CHECKING

from lociscope.channels import CHANNEL_NAMES
from lociscope.images.scale import full_scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

EMPTY_SHARE = 0.01
"""A plane whose brightest pixel differs from its darkest by less than this share of full scale is empty."""


def warnings_of(pixels: "np.ndarray", missing: "Sequence[str]" = ()) -> tuple[str, ...]:
    """Notices missing and empty planes.

    Args:
        pixels: (y, x, 4), RGBY.
        missing: Channels that were not imaged.

    Returns:
        One text for each thing noticed, such as `empty plane: green`.
    """
    least = EMPTY_SHARE * full_scale(pixels)
    spans = pixels.max(axis=(0, 1)).astype(float) - pixels.min(axis=(0, 1))
    empty = [name for name, span in zip(CHANNEL_NAMES, spans, strict=True) if span < least and name not in missing]
    return (*(f"missing channel: {name}" for name in missing), *(f"empty plane: {name}" for name in empty))
