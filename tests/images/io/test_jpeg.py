"""JPEG: grey, colour, and what is refused."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lociscope.errors import LociscopeError
from lociscope.images.io.jpeg import read_jpeg

if TYPE_CHECKING:
    from lociscope.images.io.picture import Picture

SMOOTH = (np.add.outer(np.arange(40), 3 * np.arange(30)) % 256).astype(np.uint8)


def written(pixels: np.ndarray, mode: str | None = None, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture = Image.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(buffer, "JPEG", quality=95, **options)
    return buffer.getvalue()


def read(data: bytes) -> Picture:
    return read_jpeg(io.BytesIO(data), "a.jpg")


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"dpi": (300, 300)}, {"comment": b"x" * 60_000}])
def test_grey_and_colour_come_back(options: dict[str, Any]) -> None:
    grey = read(written(SMOOTH, **options))
    assert (grey.names, grey.colour, grey.pixel_size) == (("",), False, None)
    assert grey.pixels.shape == (40, 30, 1)
    assert np.abs(grey.pixels[..., 0].astype(int) - SMOOTH).mean() < 3
    rgb = read(written(np.dstack([SMOOTH, SMOOTH // 2, SMOOTH * 0]), subsampling=0, **options))
    assert (rgb.names, rgb.colour, rgb.pixels.shape) == (("red", "green", "blue"), True, (40, 30, 3))
    assert np.abs(rgb.pixels[..., 1].astype(int) - SMOOTH // 2).mean() < 4


def test_files_that_are_not_jpeg() -> None:
    with pytest.raises(LociscopeError, match=r"'a.jpg' is empty \(0 bytes\)"):
        read(b"")
    for data in (b"\x89PNG\r\n\x1a\n", b"Id", b"\xff\xd8"):
        with pytest.raises(LociscopeError, match=r"'a.jpg' is not a JPEG, despite its name"):
            read(data)
    with pytest.raises(LociscopeError, match=r"is a CMYK JPEG. Save it as grey or RGB"):
        read(written(SMOOTH, "CMYK"))


def test_a_giant_header_is_refused_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    data = written(SMOOTH)
    at = data.index(b"\xff\xc0") + 5
    giant = data[:at] + struct.pack(">HH", 60_000, 60_000) + data[at + 4 :]
    with monkeypatch.context() as patch:
        patch.setattr("PIL.Image.open", pytest.fail)
        with pytest.raises(LociscopeError, match="claims 60000 × 60000 pixels"):
            read(giant)


def test_cut_short_anywhere_it_is_refused() -> None:
    data = written(SMOOTH)
    for length in range(1, len(data) - 4, 5):
        with pytest.raises((LociscopeError, OSError)):
            read(data[:length])


WHOLE = written(SMOOTH[:16, :16])


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=4))
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_random_bytes_are_read_or_refused(changes: list[tuple[int, int]]) -> None:
    damaged = bytearray(WHOLE)
    for at, byte in changes:
        damaged[at] = byte
    try:
        picture = read(bytes(damaged))
    except LociscopeError as error:
        assert "'a.jpg'" in str(error)
    except OSError as error:
        assert error.errno is None
    else:
        assert picture.pixels.dtype == np.uint8
        assert picture.pixels.shape[-1] == len(picture.names)
