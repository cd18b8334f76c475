"""Read PNG: grey planes, colour images of one channel or of three, and four planes as RGBA; of 8 or 16 bits."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import IO, TYPE_CHECKING

import numpy as np

from lociscope.errors import Code, LociscopeError
from lociscope.images.io.picture import (
    Picture,
    check_bytes,
    check_size,
    damaged_file_error,
    empty_file_error,
    is_grey_ramp,
    view_pixels,
)
from lociscope.images.io.png_chunks import SIGNATURE, check_chunks

if TYPE_CHECKING:
    from pathlib import Path

_GREY, _RGB, _PALETTE, _RGBA = 0, 2, 3, 6
_KINDS = {_GREY: "grey", _RGB: "RGB", _PALETTE: "palette", 4: "grey with alpha", _RGBA: "RGB with alpha"}
_MODES = {
    **{(_GREY, 8): "L", (_GREY, 16): "I;16", (_RGB, 8): "RGB", (_RGB, 16): "RGB"},
    **{(_RGBA, 8): "RGBA", (_RGBA, 16): "RGBA", (_PALETTE, 8): "P"},
}
"""Pillow's mode for each colour type and number of bits."""


def count_planes(path: Path) -> int | None:
    """Return the number of planes in a PNG's header; None where the file is not a PNG."""
    try:
        with path.open("rb") as file:
            head = file.read(26)
    except OSError:
        return None
    if len(head) < 26 or not head.startswith(SIGNATURE):
        return None
    return {_GREY: 1, _RGB: 3, _PALETTE: 1, 4: 2, _RGBA: 4}.get(head[25])


def read_png(file: IO[bytes], name: str, *, colour: bool = False) -> Picture:
    """Read a PNG.

    Args:
        file: Its bytes, from the start.
        name: Its name in error messages.
        colour: Whether the image must be RGB or RGBA with the whole field, rather than one plane.

    Returns:
        One plane of uint8 or uint16, or red, green and blue, or four planes without names; read-only. The indices of
        a palette of one colour, from dark to bright, are a plane.

    Raises:
        LociscopeError: The file is not a PNG of that kind, is damaged, or is larger than `MAX_PIXELS`.
    """
    # `Image.open` would first load the readers of four other formats.
    from PIL.Image import DecompressionBombError
    from PIL.PngImagePlugin import PngImageFile

    try:
        *expected, bits = _check_header(file.read(26), name, colour=colour)
        file.seek(0)
        file = BytesIO(file.read())  # Pillow reads it in small pieces, and it is read twice
        check_chunks(file, name)
        with PngImageFile(file) as picture:
            if [*picture.size, picture.mode] != expected:  # there is a second header
                raise ValueError(f"{picture.size} {picture.mode} after a header of {expected}")
            if picture.mode == "P" and not is_grey_ramp(np.array(picture.getpalette() or (), np.int16).reshape(-1, 3)):
                raise _unsupported_png_error(8, _PALETTE, name, colour=False)
            pixels = view_pixels(picture)
        if bits == 16 and pixels.ndim == 3:
            pixels = (pixels.astype(np.uint16) << 8) | _read_low_bytes(file)
    except (SyntaxError, ValueError, EOFError, zlib.error, struct.error, DecompressionBombError) as error:
        raise damaged_file_error(name, error) from error
    if pixels.ndim == 3 and pixels.shape[-1] == 4:
        return Picture(pixels, ("",) * 4)
    if pixels.ndim == 3:
        return Picture(pixels, ("red", "green", "blue"), colour=True)
    return Picture(pixels[..., None])


def _read_low_bytes(file: IO[bytes]) -> np.ndarray:
    """Return the low bytes of a 16-bit colour image, of which Pillow keeps the high bytes.

    Its decoder for little-endian pixels takes the second byte of two, which is the low byte in a big-endian PNG.
    """
    from PIL.PngImagePlugin import PngImageFile

    file.seek(0)
    with PngImageFile(file) as picture:
        (tile,) = picture.tile
        kind = str(tile.args)
        if not kind.endswith(";16B"):
            raise ValueError(f"pixels are decoded as {kind!r}, which leaves no low bytes")
        picture.tile = [tile._replace(args=kind.replace(";16B", ";16L"))]
        return np.asarray(picture)


def _check_header(head: bytes, name: str, *, colour: bool) -> tuple[int, int, str, int]:
    """Check the first 26 bytes before decoding; return width, height, Pillow's mode and the number of bits."""
    if not head:
        raise empty_file_error(name)
    if not head.startswith(SIGNATURE):
        raise LociscopeError(
            f"'{name}' is not a PNG, despite its name. Export it as an 8- or 16-bit grey PNG.", code=Code.WRONG_FILE
        )
    if len(head) < 26 or head[12:16] != b"IHDR":
        raise damaged_file_error(name)
    width, height, bits, kind = struct.unpack(">IIBB", head[16:26])
    check_size(width, height, name)
    mode = _MODES.get((kind, bits))
    if mode is None or (colour and kind not in (_RGB, _RGBA)) or (kind == _RGBA and not colour):
        raise _unsupported_png_error(bits, kind, name, colour=colour)
    check_bytes(width * height * {_RGB: 3, _RGBA: 4}.get(kind, 1) * bits // 8, name)
    return width, height, mode, bits


def _unsupported_png_error(bits: int, kind: int, name: str, *, colour: bool) -> LociscopeError:
    remedy = (
        "Save it as RGB, or as RGBA of four stains" if colour else "Export each channel as an 8- or 16-bit grey PNG"
    )
    return LociscopeError(
        f"'{name}' is a {bits}-bit {_KINDS.get(kind, 'unknown')} PNG. {remedy}.", code=Code.UNSUPPORTED_FORMAT
    )
