"""PNG: grey planes of 8 or 16 bits, and colour pictures where they are asked for."""

import struct
import zlib
from typing import IO

import numpy as np

from lociscope.errors import LociscopeError
from lociscope.images.picture import Picture, check_size, damaged, empty

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB = 0, 2
_KINDS = {_GREY: "grey", _RGB: "RGB", 3: "palette", 4: "grey with alpha", 6: "RGB with alpha"}


def read_png(file: IO[bytes], name: str, *, colour: bool = False) -> Picture:
    """Reads a PNG.

    Args:
        file: Its bytes, from the start.
        name: What to call it in complaints.
        colour: Whether an 8-bit RGB picture is wanted, and not a grey one.

    Returns:
        One plane of uint8 or uint16, or red, green and blue of uint8; read-only.

    Raises:
        LociscopeError: It is no PNG of that kind, is damaged, or is larger than `MAX_PIXELS`.
    """
    # The reader itself: `Image.open` would load the readers of four other formats first.
    from PIL.Image import DecompressionBombError
    from PIL.PngImagePlugin import PngImageFile

    try:
        expected = _check_header(file.read(26), name, colour=colour)
        file.seek(0)
        with PngImageFile(file) as picture:
            if (*picture.size, picture.mode) != expected:  # a second header, further down
                raise ValueError(f"{picture.size} {picture.mode} after a header of {expected}")
            pixels = np.asarray(picture)
    except (SyntaxError, ValueError, EOFError, zlib.error, struct.error, DecompressionBombError) as error:
        raise damaged(name, error) from error
    if colour:
        return Picture(pixels, ("red", "green", "blue"), colour=True)
    return Picture(pixels[..., None])


def _check_header(head: bytes, name: str, *, colour: bool) -> tuple[int, int, str]:
    """Refuses by the first 26 bytes, before anything is decoded; gives width, height and Pillow's mode."""
    if not head:
        raise empty(name)
    if not head.startswith(_SIGNATURE):
        raise LociscopeError(f"'{name}' is no PNG, whatever its name says. Export it as an 8- or 16-bit grey PNG.")
    if len(head) < 26 or head[12:16] != b"IHDR":
        raise damaged(name)
    width, height, bits, kind = struct.unpack(">IIBB", head[16:26])
    check_size(width, height, name)
    if colour and (kind, bits) == (_RGB, 8):
        return width, height, "RGB"
    if colour or kind != _GREY or bits not in (8, 16):
        remedy = "Save it as 8-bit RGB" if colour else "Export each channel as an 8- or 16-bit grey PNG"
        raise LociscopeError(f"'{name}' is a {bits}-bit {_KINDS.get(kind, 'unknown')} PNG. {remedy}.")
    return width, height, "L" if bits == 8 else "I;16"
