"""PNG as bytes; its damage is tried in `test_read.py`."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from lociscope.errors import LociscopeError
from lociscope.images.io.png import count_planes, read_png

if TYPE_CHECKING:
    from pathlib import Path


def written(pixels: np.ndarray, **options: object) -> io.BytesIO:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", **options)
    buffer.seek(0)
    return buffer


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_grey_plane(kind: type[np.unsignedinteger]) -> None:
    plane = np.random.default_rng(0).integers(0, np.iinfo(kind).max + 1, (5, 4), kind)
    picture = read_png(written(plane, dpi=(300, 300)), "a.png")
    assert (picture.names, picture.pixel_size, picture.colour) == (("",), None, False)
    np.testing.assert_array_equal(picture.pixels[..., 0], plane)


def test_colour_is_detected_and_alpha_refused() -> None:
    rgb = np.zeros((4, 4, 3), np.uint8)
    for wanted in (False, True):
        picture = read_png(written(rgb), "a.png", colour=wanted)
        assert (picture.pixels.shape, picture.colour) == ((4, 4, 3), True)
    with pytest.raises(LociscopeError, match=r"is a 8-bit RGB with alpha PNG. Export each channel as"):
        read_png(written(np.zeros((4, 4, 4), np.uint8)), "a.png")
    with pytest.raises(LociscopeError, match=r"is a 8-bit grey PNG. Save it as RGB, or as RGBA of four stains"):
        read_png(written(rgb[..., 0]), "a.png", colour=True)


def colour_png(pixels: np.ndarray, *, paeth: bool = False) -> io.BytesIO:
    """A PNG of 3 or 4 planes of 8 or 16 bits, which Pillow cannot write; its rows are filtered by Sub or Paeth."""
    height, width, planes = pixels.shape
    size = planes * pixels.itemsize
    rows = pixels.astype(pixels.dtype.newbyteorder(">")).view(np.uint8).reshape(height, -1).astype(np.int16)
    left = np.pad(rows, ((0, 0), (size, 0)))[:, :-size]
    predicted, kind = left, 1
    if paeth:
        up = np.pad(rows, ((1, 0), (0, 0)))[:-1]
        corner = np.pad(rows, ((1, 0), (size, 0)))[:-1, :-size]
        guess = left + up - corner
        far = [np.abs(guess - each) for each in (left, up, corner)]
        first, second = (far[0] <= far[1]) & (far[0] <= far[2]), far[1] <= far[2]
        predicted, kind = np.where(first, left, np.where(second, up, corner)), 4
    filtered = ((rows - predicted) & 255).astype(np.uint8)
    data = b"".join(bytes([kind]) + row.tobytes() for row in filtered)
    head = struct.pack(">IIBBBBB", width, height, 8 * pixels.itemsize, {3: 2, 4: 6}[planes], 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(data)), (b"IEND", b""))
    body = (
        struct.pack(">I", len(text)) + name + text + struct.pack(">I", zlib.crc32(name + text)) for name, text in chunks
    )
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + b"".join(body))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("paeth", [False, True])
def test_colour_of_8_and_16_bits_keeps_every_bit(kind: type[np.unsignedinteger], paeth: bool) -> None:
    """Pillow keeps the high byte of 16 bits alone."""
    pixels = np.random.default_rng(0).integers(0, np.iinfo(kind).max + 1, (9, 7, 4), kind)
    four = read_png(colour_png(pixels, paeth=paeth), "a.png", colour=True)
    assert (four.names, four.colour) == (("",) * 4, False)
    assert four.pixels.dtype == kind
    np.testing.assert_array_equal(four.pixels, pixels)
    three = read_png(colour_png(pixels[..., :3].copy(), paeth=paeth), "a.png", colour=True)
    assert (three.names, three.colour) == (("red", "green", "blue"), True)
    np.testing.assert_array_equal(three.pixels, pixels[..., :3])


def test_the_number_of_planes_by_the_header(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    for data, number in (
        (colour_png(np.zeros((4, 4, 4), np.uint16)).getvalue(), 4), (written(np.zeros((4, 4), np.uint8)).getvalue(), 1),
        (b"", None), (b"GIF89a" * 9, None),
    ):  # fmt: skip
        path.write_bytes(data)
        assert count_planes(path) == number
    assert count_planes(tmp_path / "none.png") is None


def with_palette(plane: np.ndarray, palette: np.ndarray) -> io.BytesIO:
    picture = Image.fromarray(plane)
    picture.putpalette(palette.astype(np.uint8).ravel().tolist())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    buffer.seek(0)
    return buffer


LEVELS = np.arange(256)[:, None]


@pytest.mark.parametrize("colour", [(1, 1, 1), (0, 1, 0), (1, 1, 0), (0.5, 0, 1)])
def test_a_lookup_table_of_one_colour_leaves_the_grey_levels(colour: tuple[float, ...]) -> None:
    plane = np.random.default_rng(0).integers(0, 256, (5, 4), np.uint8)
    picture = read_png(with_palette(plane, LEVELS * np.array(colour)), "a.png")
    assert not picture.colour
    np.testing.assert_array_equal(picture.pixels[..., 0], plane)


@pytest.mark.parametrize(
    "palette",
    [
        255 - np.tile(LEVELS, 3),
        np.hstack([LEVELS, np.sqrt(LEVELS) * 16, LEVELS * 0]),
        np.random.default_rng(0).integers(0, 256, (256, 3)),
        np.zeros((256, 3)),
        np.tile(LEVELS[:99] * 2, 3),
    ],
    ids=["inverted", "bent", "any colours", "black", "short"],
)
def test_any_other_palette_is_refused(palette: np.ndarray) -> None:
    with pytest.raises(LociscopeError, match=r"is a 8-bit palette PNG. Export each channel"):
        read_png(with_palette(np.full((5, 4), 8, np.uint8), palette), "a.png")
