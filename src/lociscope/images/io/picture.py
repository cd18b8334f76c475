"""What a decoder gives, and the limits that every decoder keeps before it decodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lociscope.errors import Code, LociscopeError

if TYPE_CHECKING:
    from lociscope.warnings import FieldWarning

MAX_PIXELS = 1 << 26
"""Most pixels of one plane, 8192 × 8192; more is refused before decoding."""

MAX_BYTES = 8 * MAX_PIXELS + (1 << 20)
"""Most bytes that a file may become, decompressed or decoded: four planes of 8192 × 8192 px in 16 bits."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded file: one plane, or several with the names that the file gives them.

    Attributes:
        pixels: (y, x, c) of integers or floats, as the file has them.
        names: What the file calls its c channels; empty strings where it does not say.
        pixel_size: Side of a pixel in µm, where the file declares it.
        colour: Whether the channels are the red, green and blue of a colour picture.
        warnings: About what its metadata do not declare.
    """

    pixels: np.ndarray
    names: tuple[str, ...] = ("",)
    pixel_size: float | None = None
    colour: bool = False
    warnings: tuple[FieldWarning, ...] = ()


def check_size(width: int, height: int, name: str) -> None:
    """Refuses a plane larger than `MAX_PIXELS` by what its header claims.

    Raises:
        LociscopeError: It is.
    """
    if width * height > MAX_PIXELS:
        raise LociscopeError(
            f"'{name}' claims {width} × {height} pixels, more than the {MAX_PIXELS} that lociscope decodes. "
            "Check the file, or cut it into fields.",
            code=Code.CORRUPT,
        )


def check_bytes(size: int, name: str) -> None:
    """Refuses what would take more than `MAX_BYTES` of memory.

    Raises:
        LociscopeError: It would.
    """
    if size > MAX_BYTES:
        raise LociscopeError(
            f"'{name}' holds more than the {MAX_BYTES >> 20} MiB of pixels that lociscope decodes at once. "
            "Check the file, or cut it into fields.",
            code=Code.TOO_LARGE,
        )


def empty_file_error(name: str) -> LociscopeError:
    """The complaint about a file of no bytes."""
    return LociscopeError(f"'{name}' is empty (0 bytes). Copy it again.", code=Code.NOTHING_FOUND)


def damaged_file_error(name: str, error: Exception | None = None) -> LociscopeError:
    """The complaint about a file whose contents do not hold together."""
    return LociscopeError(
        f"'{name}' is damaged or cut short{f' ({error})' if error else ''}. Copy it again.", code=Code.CORRUPT
    )


def is_grey_ramp(palette: np.ndarray) -> bool:
    """Whether a palette is one colour from dark to bright, as ImageJ's lookup tables are: its indices are grey levels.

    Args:
        palette: (n, 3), the colour of each index, of any range.

    Returns:
        Whether each of the three rises in proportion to the index, or is nothing; a palette of an optimised
        picture, whose indices mean nothing, does not.
    """
    if len(palette) != 256 or not palette.any():
        return False
    straight = np.linspace(0, 1, 256)[:, None] * palette[-1]
    return bool(np.abs(palette - straight).max() <= max(1.0, palette.max() / 255))


def to_native_type(pixels: np.ndarray, name: str) -> np.ndarray:
    """Return the same values in this machine's byte order, of the type that the file has.

    The type stays, so that the channels of a field agree in theirs whatever their values are, and nothing wraps
    around or is rounded; only float16 becomes float32.

    Raises:
        LociscopeError: They are not all finite.
    """
    kind = pixels.dtype.newbyteorder("=") if pixels.dtype != np.float16 else np.dtype(np.float32)
    native = pixels.astype(kind, copy=False)
    if kind.kind == "f" and not np.isfinite(native).all():
        raise LociscopeError(
            f"'{name}' holds pixels that are not finite numbers. Replace them first.", code=Code.INVALID_VALUE
        )
    return native
