"""The Field: one field of view with its four channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from lociscope.channels import ChannelName
    from lociscope.warnings import FieldWarning


@dataclass(frozen=True, slots=True)
class Field:
    """One field of view.

    Attributes:
        id: The name of the field.
        pixels: (y, x, 4), channels RGBY; integers or floats.
        pixel_size: Side of a pixel in µm; None where it is not declared.
        missing: Channels that were not imaged; they are zeros.
        warnings: About what its files do not declare, such as the unit of the pixel size.
    """

    id: str
    pixels: np.ndarray
    pixel_size: float | None = None
    missing: tuple[ChannelName, ...] = ()
    warnings: tuple[FieldWarning, ...] = ()
