"""Reading: files become fields, or one sentence that says what is wrong with them."""

import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lociscope.channels import CHANNEL_NAMES
from lociscope.errors import LociscopeError
from lociscope.images.field import Field

if TYPE_CHECKING:
    from lociscope.images.sources import FieldSource

MAX_PIXELS = 1 << 26
"""Most pixels of one plane, 8192 × 8192; more is refused before decoding."""

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY = 0


def read_field(source: "FieldSource") -> Field:
    """Reads a field's four planes.

    Args:
        source: Where the field lies.

    Returns:
        The field, (y, x, 4) of uint8 or uint16.

    Raises:
        LociscopeError: A plane is missing, is no picture, is damaged, too large, or unlike the others in size
            or bit depth.
    """
    planes = []
    for name, path in zip(CHANNEL_NAMES, source.planes, strict=True):
        if path is None:
            raise LociscopeError(f"Field '{source.id}' has no {name} file. Add it to the Catalog.")
        planes.append(read_plane(path))
    for name, plane in zip(CHANNEL_NAMES[1:], planes[1:], strict=True):
        if plane.shape != planes[0].shape or plane.dtype != planes[0].dtype:
            raise LociscopeError(
                f"Field '{source.id}': its {name} plane is {_describe(plane)}, its red one {_describe(planes[0])}. "
                "Export the four channels alike."
            )
    return Field(source.id, np.stack(planes, axis=-1), source.pixel_size)


def read_plane(path: Path) -> np.ndarray:
    """Reads one channel from a grey PNG.

    Args:
        path: The file.

    Returns:
        (y, x) of uint8 or uint16, read-only.

    Raises:
        LociscopeError: The file is missing, is no grey PNG, is damaged, or is larger than `MAX_PIXELS`.
    """
    from PIL import Image

    try:
        with path.open("rb") as file:
            expected = _check_header(file.read(26), path)
            file.seek(0)
            with Image.open(file, formats=("PNG",)) as picture:
                if (*picture.size, picture.mode) != expected:  # a second header, further down
                    raise ValueError(f"{picture.size} {picture.mode} after a header of {expected}")
                return np.asarray(picture)
    except (SyntaxError, ValueError, EOFError, zlib.error, struct.error, Image.DecompressionBombError) as error:
        raise _damaged(path, error) from error
    except OSError as error:
        if error.errno is None:  # Pillow's own complaint about the contents
            raise _damaged(path, error) from error
        raise LociscopeError(f"Cannot read '{path}': {error.strerror}. Check the path and its permissions.") from error


def _check_header(head: bytes, path: Path) -> tuple[int, int, str]:
    """Refuses by the first 26 bytes of a PNG, before anything is decoded; gives width, height and Pillow's mode."""
    if not head:
        raise LociscopeError(f"'{path}' is empty (0 bytes). Copy it again.")
    if not head.startswith(_PNG_SIGNATURE):
        raise LociscopeError(f"'{path}' is no PNG, whatever its name says. Export it as an 8- or 16-bit grey PNG.")
    if len(head) < 26 or head[12:16] != b"IHDR":
        raise LociscopeError(f"'{path}' is damaged or cut short. Copy it again.")
    width, height, bits, colour = struct.unpack(">IIBB", head[16:26])
    if width * height > MAX_PIXELS:
        raise LociscopeError(
            f"'{path}' claims {width} × {height} pixels, more than the {MAX_PIXELS} that lociscope decodes. "
            "Check the file, or cut it into fields."
        )
    if colour != _GREY or bits not in (8, 16):
        kind = {0: "grey", 2: "RGB", 3: "palette", 4: "grey with alpha", 6: "RGB with alpha"}.get(colour, "unknown")
        raise LociscopeError(f"'{path}' is a {bits}-bit {kind} PNG. Export each channel as an 8- or 16-bit grey PNG.")
    return width, height, "L" if bits == 8 else "I;16"


def _damaged(path: Path, error: Exception) -> LociscopeError:
    return LociscopeError(f"'{path}' is damaged or cut short ({error}). Copy it again.")


def _describe(plane: np.ndarray) -> str:
    height, width = plane.shape
    return f"{width} × {height} px of {plane.dtype.itemsize * 8} bits"
