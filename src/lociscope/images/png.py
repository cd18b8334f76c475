"""PNG: grey planes of 8 or 16 bits, and colour pictures of one channel or of three."""

import struct
import zlib
from typing import IO

import numpy as np

from lociscope.errors import LociscopeError
from lociscope.images.picture import Picture, check_size, damaged, empty, is_ramp
from lociscope.images.png_chunks import check_chunks

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB, _PALETTE = 0, 2, 3
_KINDS = {_GREY: "grey", _RGB: "RGB", _PALETTE: "palette", 4: "grey with alpha", 6: "RGB with alpha"}
_MODES = {(_GREY, 8): "L", (_GREY, 16): "I;16", (_RGB, 8): "RGB", (_PALETTE, 8): "P"}


def read_png(file: IO[bytes], name: str, *, colour: bool = False) -> Picture:
    """Reads a PNG.

    Args:
        file: Its bytes, from the start.
        name: What to call it in complaints.
        colour: Whether an RGB picture is wanted, and not a grey one.

    Returns:
        One plane of uint8 or uint16, or red, green and blue of uint8; read-only. A palette of one colour, from dark
        to bright, is the plane that its indices are.

    Raises:
        LociscopeError: It is no PNG of that kind, is damaged, or is larger than `MAX_PIXELS`.
    """
    # The reader itself: `Image.open` would load the readers of four other formats first.
    from PIL.Image import DecompressionBombError
    from PIL.PngImagePlugin import PngImageFile

    try:
        expected = _check_header(file.read(26), name, colour=colour)
        file.seek(0)
        check_chunks(file, name)
        with PngImageFile(file) as picture:
            if (*picture.size, picture.mode) != expected:  # a second header, further down
                raise ValueError(f"{picture.size} {picture.mode} after a header of {expected}")
            if picture.mode == "P" and not is_ramp(np.array(picture.getpalette() or (), np.int16).reshape(-1, 3)):
                raise _refused(8, _PALETTE, name, colour=False)
            pixels = np.asarray(picture)
    except (SyntaxError, ValueError, EOFError, zlib.error, struct.error, DecompressionBombError) as error:
        raise damaged(name, error) from error
    if pixels.ndim == 3:
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
    mode = _MODES.get((kind, bits))
    if mode is None or (colour and mode != "RGB"):
        raise _refused(bits, kind, name, colour=colour)
    return width, height, mode


def _refused(bits: int, kind: int, name: str, *, colour: bool) -> LociscopeError:
    remedy = "Save it as 8-bit RGB" if colour else "Export each channel as an 8- or 16-bit grey PNG"
    return LociscopeError(f"'{name}' is a {bits}-bit {_KINDS.get(kind, 'unknown')} PNG. {remedy}.")
