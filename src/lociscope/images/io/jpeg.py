"""Read JPEG: grey planes, and the colour images in which HPA serves single channels and composites."""

from __future__ import annotations

import struct
from typing import IO

from lociscope.errors import Code, LociscopeError
from lociscope.images.io.picture import Picture, check_size, damaged_file_error, empty_file_error, view_pixels

_START = b"\xff\xd8\xff"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of a frame header; the three excluded ones mark tables."""


def read_jpeg(file: IO[bytes], name: str) -> Picture:
    """Read a JPEG; its density (dpi) is not a pixel size: HPA's files give 0.169 µm for pixels of 0.08 µm.

    Args:
        file: Its bytes, from the start.
        name: Its name in error messages.

    Returns:
        One plane, or red, green and blue; uint8, read-only.

    Raises:
        LociscopeError: The file is not a JPEG, is neither grey nor RGB, is damaged, or is larger than `MAX_PIXELS`.
    """
    from PIL import Image

    try:
        width, height = _read_size(file, name)
        check_size(width, height, name)
        file.seek(0)
        with Image.open(file, formats=("JPEG",)) as picture:
            if picture.size != (width, height):
                raise ValueError(f"{picture.size} after a header of {width} × {height}")
            if picture.mode not in ("L", "RGB"):
                raise LociscopeError(
                    f"'{name}' is a {picture.mode} JPEG. Save it as grey or RGB.", code=Code.UNSUPPORTED_FORMAT
                )
            pixels = view_pixels(picture)
    except (SyntaxError, ValueError, EOFError, IndexError, struct.error, Image.DecompressionBombError) as error:
        raise damaged_file_error(name, error) from error
    if pixels.ndim == 2:
        return Picture(pixels[..., None])
    return Picture(pixels, ("red", "green", "blue"), colour=True)


def _read_size(file: IO[bytes], name: str) -> tuple[int, int]:
    """Return the width and height in the first frame header, without decoding."""
    head = file.read(3)
    if not head:
        raise empty_file_error(name)
    if head != _START:
        raise LociscopeError(
            f"'{name}' is not a JPEG, despite its name. Give it the suffix of its format.", code=Code.WRONG_FILE
        )
    file.seek(2)
    while True:
        byte = file.read(1)
        if byte != b"\xff":
            raise damaged_file_error(name)
        while byte == b"\xff":  # any number of fill bytes may precede a marker
            byte = file.read(1)
        (length,) = struct.unpack(">H", file.read(2))
        if byte and byte[0] in _FRAMES:
            height, width = struct.unpack(">xHH", file.read(5))
            return width, height
        file.seek(max(length - 2, 0), 1)
