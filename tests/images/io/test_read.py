"""Reading fields: each kind of damage has its sentence, and nothing is guessed."""

from __future__ import annotations

import io
import os
import re
import struct
import subprocess
import sys
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lociscope.artifacts.catalog import Catalog, Entry
from lociscope.errors import LociscopeError
from lociscope.images.discovery.sources import FieldSource, find_fields, read_catalog_sources
from lociscope.images.io.container import PlaneRef
from lociscope.images.io.read import MAX_PIXELS, read_field, read_plane
from lociscope.images.io.write import write_planes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def header(width: int, height: int, bits: int = 8, colour: int = 0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))


def png(width: int, height: int, rows: bytes, *more: bytes, bits: int = 8, colour: int = 0) -> bytes:
    data = chunk(b"IDAT", zlib.compress(rows))
    return SIGNATURE + header(width, height, bits, colour) + b"".join(more) + data + chunk(b"IEND", b"")


def noise(kind: type[np.unsignedinteger] = np.uint8, size: int = 16) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(kind).max + 1, (size, size + 1), kind)


def refused(path: Path, data: bytes, said: str) -> str:
    path.write_bytes(data)
    with pytest.raises(LociscopeError, match=said) as caught:
        read_plane(path)
    assert f"'{path}'" in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_plane_comes_back(tmp_path: Path, kind: type[np.unsignedinteger]) -> None:
    plane = noise(kind)
    Image.fromarray(plane).save(tmp_path / "p.png")
    read = read_plane(tmp_path / "p.png")
    assert read.dtype == kind
    np.testing.assert_array_equal(read, plane)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_plane_cut_short_anywhere_is_refused_or_whole(tmp_path: Path, kind: type[np.unsignedinteger]) -> None:
    plane = noise(kind, 6)
    buffer = io.BytesIO()
    Image.fromarray(plane).save(buffer, "PNG")
    whole = buffer.getvalue()
    path = tmp_path / "p.png"
    refused(path, b"", r"is empty \(0 bytes\). Copy it again.")
    intact = 0
    for length in range(1, len(whole)):
        path.write_bytes(whole[:length])
        try:
            read = read_plane(path)
        except LociscopeError as error:
            assert re.search("is damaged or truncated|is not a PNG", str(error))
        else:
            np.testing.assert_array_equal(read, plane)
            intact += 1
    assert intact <= 24  # the end mark and the checksums hold nothing of the picture


@pytest.mark.parametrize(
    "data", [b"Id,Target\na1,0\n", b"\xff\xd8\xff\xe0JFIF", b"GIF89a", b"II*\0", b"\n", b"\x89PNG\n"]
)
def test_files_that_are_not_png_despite_their_name(tmp_path: Path, data: bytes) -> None:
    refused(tmp_path / "p.png", data, "is not a PNG, despite its name. Export it as an 8- or 16-bit grey PNG")


@pytest.mark.parametrize(
    ("bits", "colour", "kind"),
    [
        (8, 3, "8-bit palette"),
        (8, 4, "8-bit grey with alpha"),
        (8, 6, "8-bit RGB with alpha"),
        (1, 0, "1-bit grey"),
        (2, 0, "2-bit grey"),
        (4, 0, "4-bit grey"),
        (8, 9, "8-bit unknown"),
    ],
)
def test_other_kinds_of_png(tmp_path: Path, bits: int, colour: int, kind: str) -> None:
    refused(
        tmp_path / "p.png",
        png(4, 4, bytes(200), bits=bits, colour=colour),
        f"is a {kind} PNG. Export each channel as an 8- or 16-bit grey PNG",
    )


@pytest.mark.parametrize("mode", ["RGBA", "P", "LA", "1"])
def test_other_kinds_of_png_as_pillow_writes_them(tmp_path: Path, mode: str) -> None:
    buffer = io.BytesIO()
    Image.new(mode, (8, 8)).save(buffer, "PNG")
    refused(tmp_path / "p.png", buffer.getvalue(), "-bit .* PNG. Export each channel")


def test_a_giant_header_is_refused_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.Image.open", pytest.fail)
    rows = zlib.compress(bytes(60_001) * 10)
    data = SIGNATURE + header(60_000, 60_000) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    said = refused(
        tmp_path / "p.png", data, "claims 60000 × 60000 pixels, more than the 67108864 that lociscope decodes"
    )
    assert "Check the file" in said
    refused(tmp_path / "p.png", SIGNATURE + header(2**32 - 1, 2**32 - 1), "claims 4294967295 × 4294967295")
    assert MAX_PIXELS == 8192 * 8192


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    "second", [header(9000, 9000), header(12_000, 12_000), header(60_000, 60_000), header(4, 4, 8, 2), header(4, 4, 16)]
)
def test_a_second_header_does_not_get_round_the_first(tmp_path: Path, second: bytes) -> None:
    refused(tmp_path / "p.png", png(4, 4, bytes(20), second), "is damaged or truncated")


@pytest.mark.parametrize("size", [(0, 4), (4, 0), (0, 0)])
def test_a_picture_without_pixels(tmp_path: Path, size: tuple[int, int]) -> None:
    refused(tmp_path / "p.png", png(*size, b""), "is damaged or truncated")


def test_a_bomb_in_the_text(tmp_path: Path) -> None:
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(70 << 20)))
    refused(tmp_path / "p.png", png(4, 4, bytes(20), text), "is damaged or truncated")


WHOLE = png(5, 5, bytes(range(30)), chunk(b"tEXt", b"a\0b"), chunk(b"pHYs", bytes(9)))


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=4))
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_random_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]]
) -> None:
    damaged = bytearray(WHOLE)
    for at, byte in changes:
        damaged[at] = byte
    path = tmp_path_factory.getbasetemp() / "flipped.png"
    path.write_bytes(damaged)
    try:
        plane = read_plane(path)
    except LociscopeError as error:
        assert str(path) in str(error)
    else:
        assert plane.ndim == 2
        assert plane.dtype in (np.uint8, np.uint16)


def test_unreadable_paths(tmp_path: Path) -> None:
    for path, said in (
        (tmp_path / "none.png", "No such file or directory. Check the path and its permissions"),
        (tmp_path, "Is a directory"),
        (tmp_path / "none.png" / "x.png", "No such file"),
    ):
        with pytest.raises(LociscopeError, match=f"Cannot read '.*': {said}"):
            read_plane(path)


def test_no_permission(tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    path.write_bytes(WHOLE)
    path.chmod(0)
    code = "from pathlib import Path; from lociscope.images.io.read import read_plane; read_plane(Path('p.png'))"
    prefix = (
        ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"] if os.geteuid() == 0 else []
    )
    try:
        done = subprocess.run(
            [*prefix, sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("root may read anything, and there is no setpriv to take that from it")
    if done.stderr.startswith("setpriv"):
        pytest.skip(f"setpriv is not allowed here: {done.stderr.strip()}")
    assert done.stderr.endswith("Permission denied. Check the path and its permissions.\n")


# === Fields ===


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_field_comes_back_in_the_order_of_the_channels(tmp_path: Path, kind: type[np.unsignedinteger]) -> None:
    pixels = np.random.default_rng(1).integers(0, np.iinfo(kind).max + 1, (7, 9, 4), kind)
    paths = write_planes(tmp_path, "a1", pixels)
    field = read_field(FieldSource("a1", tuple(map(PlaneRef, paths)), 0.08))
    assert (field.id, field.pixel_size) == ("a1", 0.08)
    assert field.pixels.dtype == kind
    np.testing.assert_array_equal(field.pixels, pixels)


@pytest.mark.parametrize(
    ("plane", "said"),
    [
        (np.zeros((16, 8), np.uint8), "its blue plane is 8 × 16 px of 8 bits, its red one 16 × 16 px of 8 bits"),
        (np.zeros((16, 16), np.uint16), "its blue plane is 16 × 16 px of 16 bits, its red one 16 × 16 px of 8 bits"),
    ],
)
def test_channels_of_unlike_size_or_depth(write_field: Callable[..., Path], plane: np.ndarray, said: str) -> None:
    folder = write_field("a1", size=16)
    Image.fromarray(plane).save(folder / "a1_blue.png")
    (source,), _ = find_fields([folder])
    with pytest.raises(LociscopeError, match=f"Field 'a1': {said}. Export the four channels with one size and type."):
        read_field(source)


def test_a_channel_that_the_catalog_lacks(tmp_path: Path) -> None:
    write_planes(tmp_path, "a1", np.zeros((4, 4, 4), np.uint8))
    catalog = Catalog.from_entries([Entry("a1", red="a1_red.png", green="a1_green.png", blue="a1_blue.png")], tmp_path)
    with pytest.raises(
        LociscopeError, match=r"Field 'a1' has no yellow file. Add it to the Catalog, or pass `allow_missing=yellow`."
    ):
        read_field(read_catalog_sources(catalog)[0])


def test_real_fields(real_data: Path) -> None:
    found, failures = find_fields([real_data / "hpa2018" / "train"])
    assert (len(found), failures) == (56, [])
    shapes = {(read_field(source).pixels.shape, str(read_field(source).pixels.dtype)) for source in found[::11]}
    assert shapes == {((512, 512, 4), "uint8")}
