"""Decoded images, the limits that decoders check first, and the errors that they share."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lociscope.errors import Code, LociscopeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image

    from lociscope.warnings import FieldWarning

MAX_PIXELS = 1 << 26
"""Maximum number of pixels of one plane, 8192 × 8192; larger planes are refused before decoding."""

MAX_BYTES = 8 * MAX_PIXELS + (1 << 20)
"""Maximum size of a file after decompression or decoding: four planes of 8192 × 8192 px in 16 bits."""


_LARGE = 1 << 20
"""Number of pixels from which loading PyArrow takes less time than it saves in a second image."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded file: one plane, or several planes with names.

    Attributes:
        pixels: (y, x, c) of integers or floats, as in the file.
        names: The names of the c channels in the file; empty strings where it gives none.
        pixel_size: Side of a pixel in µm, where the file declares it.
        colour: Whether the channels are the red, green and blue of a colour image.
        warnings: About what the metadata do not declare.
    """

    pixels: np.ndarray
    names: tuple[str, ...] = ("",)
    pixel_size: float | None = None
    colour: bool = False
    warnings: tuple[FieldWarning, ...] = ()


def check_size(width: int, height: int, name: str) -> None:
    """Check the size that a header declares.

    Raises:
        LociscopeError: The plane has more than `MAX_PIXELS` pixels.
    """
    if width * height > MAX_PIXELS:
        raise LociscopeError(
            f"'{name}' claims {width} × {height} pixels, more than the {MAX_PIXELS} that lociscope decodes. "
            "Check the file, or split it into fields.",
            code=Code.TOO_LARGE,
        )


def view_pixels(image: Image) -> np.ndarray:
    """Return the pixels of an image of Pillow, read-only.

    `np.asarray` makes two copies of them, which takes a tenth of the time of decoding a JPEG. Large grey images, and
    all grey ones once PyArrow is loaded, are viewed in place.
    """
    large = image.width * image.height >= _LARGE
    if image.mode == "L" and (large or "pyarrow" in sys.modules) and hasattr(image, "__arrow_c_array__"):
        import pyarrow as pa

        image.load()
        with suppress(ValueError, MemoryError):  # it is stored in several blocks
            return np.asarray(pa.array(image).to_numpy(zero_copy_only=True)).reshape(image.height, image.width)
    return np.asarray(image)


def check_bytes(size: int, name: str) -> None:
    """Check the size of decoded or decompressed data.

    Raises:
        LociscopeError: It is larger than `MAX_BYTES`.
    """
    if size > MAX_BYTES:
        raise LociscopeError(
            f"'{name}' has more than the {MAX_BYTES >> 20} MiB of pixels that lociscope decodes at once. "
            "Check the file, or split it into fields.",
            code=Code.TOO_LARGE,
        )


def empty_file_error(name: str) -> LociscopeError:
    """Return the error for a file of 0 bytes."""
    return LociscopeError(f"'{name}' is empty (0 bytes). Copy it again.", code=Code.CORRUPT)


def damaged_file_error(name: str, error: Exception | None = None) -> LociscopeError:
    """Return the error for a damaged file."""
    return LociscopeError(
        f"'{name}' is damaged or truncated{f' ({error})' if error else ''}. Copy it again.", code=Code.CORRUPT
    )


def file_error(name: str, error: OSError) -> LociscopeError:
    """Return the error for a file that cannot be read, or that a decoder refuses by an `OSError` without number."""
    if error.errno is None:
        return damaged_file_error(name, error)
    code = Code.NOT_FOUND if isinstance(error, FileNotFoundError) else Code.UNREADABLE
    return LociscopeError(f"Cannot read '{name}': {error.strerror}. Check the path and its permissions.", code=code)


def check_plane(name: str, sizes: Sequence[tuple[str, int]], plane: int | None) -> None:
    """Check that `plane` selects one plane of each channel.

    Args:
        name: The file's name for errors.
        sizes: The axes of more than one plane, other than the channels', with their lengths.
        plane: The index along the axis; None where none is given.

    Raises:
        LociscopeError: There are several axes, no index is given for the one axis, or the index is out of range.
    """
    if len(sizes) > 1 or (sizes and plane is None):
        what = " and ".join(f"{size} along {axis}" for axis, size in sizes)
        remedy = "Pass `plane=N`, from 0, or save one slice" if len(sizes) == 1 else "Save one slice of one time point"
        code = Code.INVALID_VALUE if len(sizes) == 1 else Code.UNSUPPORTED_FORMAT
        raise LociscopeError(f"'{name}' is a stack of several planes per channel ({what}). {remedy}.", code=code)
    for _, size in sizes:
        if plane is not None and plane >= size:
            raise LociscopeError(
                f"'{name}' has no plane {plane}; it has {size}, from 0. Pass another `plane`.", code=Code.INVALID_VALUE
            )


def is_grey_ramp(palette: np.ndarray) -> bool:
    """Return whether a palette is one colour from dark to bright, like ImageJ's lookup tables: indices are grey levels.

    Args:
        palette: (n, 3), the colour of each index, in any range.

    Returns:
        Whether each of the three components is proportional to the index, or 0; not so the palette of an optimised
        image, whose indices have no meaning.
    """
    if len(palette) != 256 or not palette.any():
        return False
    straight = np.linspace(0, 1, 256)[:, None] * palette[-1]
    return bool(np.abs(palette - straight).max() <= max(1.0, palette.max() / 255))


def to_native_type(pixels: np.ndarray, name: str) -> np.ndarray:
    """Convert pixels to the byte order of this machine, without a change of type.

    The channels of a field keep one type for all values, and nothing overflows or is rounded. Only float16 becomes
    float32.

    Raises:
        LociscopeError: A value is not finite.
    """
    kind = pixels.dtype.newbyteorder("=") if pixels.dtype != np.float16 else np.dtype(np.float32)
    native = pixels.astype(kind, copy=False)
    if kind.kind == "f" and not np.isfinite(native).all():
        raise LociscopeError(
            f"'{name}' has pixels that are not finite numbers. Replace them first.", code=Code.INVALID_VALUE
        )
    return native
