"""The Field: one field of view with its four channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from lociscope.channels import ChannelName


@dataclass(frozen=True, slots=True)
class Field:
    """One field of view.

    Attributes:
        id: Its name.
        pixels: (y, x, 4), channels RGBY; integers or floats.
        pixel_size: Side of a pixel in µm, or None where nothing declares it.
        missing: Channels that were not imaged, and are zeros.
        notes: Warnings about what its files leave open, such as `pixel_size_unit_assumed`.
    """

    id: str
    pixels: np.ndarray
    pixel_size: float | None = None
    missing: tuple[ChannelName, ...] = ()
    notes: tuple[str, ...] = ()
