"""Convert pixel sizes from any unit of length."""

from __future__ import annotations

import math

from lociscope.errors import Code, LociscopeError

PLAUSIBLE_UM = (0.005, 5.0)
"""Range of a microscope's pixel sizes; a TIFF's resolution outside it is for printing, such as 72 dpi (353 µm)."""

_UM = {
    "m": 1e6, "cm": 1e4, "mm": 1e3, "nm": 1e-3, "pm": 1e-6, "inch": 25400.0, "in": 25400.0,
    **dict.fromkeys(("µm", "μm", "um", "micron", "microns", "micrometer", "micrometre", "\\u00b5m"), 1.0),
    **{"å": 1e-4, "angstrom": 1e-4, "millimeter": 1e3, "centimeter": 1e4, "meter": 1e6},
    **{"nanometer": 1e-3, "picometer": 1e-6},
}  # fmt: skip

Sides = tuple[float | None, float | None]
"""Width and height of a pixel in µm."""


def to_micrometres(value: object, unit: object) -> float | None:
    """Convert a length to µm.

    Args:
        value: A number or its text.
        unit: For example `mm`, `micron`, `inch`; None is µm, as in OME.

    Returns:
        The length; None where it is not a positive number, or the unit is not one of length, such as `pixel`.
    """
    try:
        length = float(str(value)) * _UM["µm" if unit is None else str(unit).strip().lower()]
    except (ValueError, KeyError):
        return None
    return length if 0 < length < math.inf else None


def square_side(width: float | None, height: float | None, name: str) -> float | None:
    """Return the side of a square pixel; its width or height may be unknown.

    Raises:
        LociscopeError: The pixel is not square.
    """
    if width and height and abs(width - height) > 0.01 * width:
        raise LociscopeError(
            f"'{name}' has pixels of {width:.4g} × {height:.4g} µm. Resample it to square pixels first.",
            code=Code.PIXEL_SIZE,
        )
    return width or height
