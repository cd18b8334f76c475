"""TIFF in its many kinds: what comes back, what is refused, and with which words."""

from __future__ import annotations

import gzip
import io
import re
import struct
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lociscope.errors import LociscopeError, MissingExtraError
from lociscope.images.io.tiff import read_tiff

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lociscope.images.io.picture import Picture

STAINS = ("Tubulin", "GFP", "DAPI", "Calreticulin")
PIXELS = np.random.default_rng(0).integers(0, 65536, (4, 24, 20), np.uint16)
RGBY = np.moveaxis(PIXELS, 0, -1)


def written(pixels: np.ndarray = PIXELS, **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **{"photometric": "minisblack", **options})
    return buffer.getvalue()


def ome(pixels: np.ndarray = PIXELS, axes: str = "CYX", names: tuple[str, ...] = STAINS, **more: Any) -> bytes:
    metadata = {"axes": axes, "Channel": {"Name": list(names)}, **more.pop("metadata", {})}
    return written(pixels, ome=True, metadata=metadata, **more)


def read(data: bytes, plane: int | None = None) -> Picture:
    return read_tiff(io.BytesIO(data), "a.tif", plane)


@pytest.fixture(params=["with imagecodecs", "without"])
def codecs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the extra `codecs` where it is installed, and as if it were not."""
    if request.param == "without":
        monkeypatch.setattr("tifffile.tifffile.imagecodecs", import_module("tifffile._imagecodecs"))
    else:
        pytest.importorskip("imagecodecs")


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the extra `codecs` were not installed."""
    monkeypatch.setattr("tifffile.tifffile.imagecodecs", import_module("tifffile._imagecodecs"))


# === One plane ===


@pytest.mark.usefixtures("codecs")
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"byteorder": ">"},
        {"bigtiff": True},
        {"compression": "zlib"},
        {"compression": "zlib", "byteorder": ">", "tile": (16, 16)},
        {"tile": (16, 16)},
        {"rowsperstrip": 5},
    ],
    ids=str,
)
def test_a_plane_comes_back(kind: type[np.generic], options: dict[str, Any]) -> None:
    plane = (PIXELS[0] / 257).astype(kind)
    picture = read(written(plane, **options))
    assert picture.pixels.dtype == kind
    assert picture.pixels.dtype.isnative
    assert (picture.names, picture.pixel_size, picture.colour) == (("",), None, False)
    np.testing.assert_array_equal(picture.pixels[..., 0], plane)


@pytest.mark.usefixtures("codecs")
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "packbits", None])
def test_what_pillow_writes_comes_back(kind: type[np.generic], compression: str | None) -> None:
    plane = (PIXELS[0] // 256).astype(kind)
    buffer = io.BytesIO()
    Image.fromarray(plane).save(buffer, "TIFF", compression=compression)
    np.testing.assert_array_equal(read(buffer.getvalue()).pixels[..., 0], plane)


@pytest.mark.usefixtures("codecs")
@pytest.mark.parametrize("predictor", [False, True])
@pytest.mark.parametrize("options", [{}, {"tile": (16, 16)}, {"byteorder": ">"}], ids=str)
def test_lzw_pages_of_other_writers(predictor: bool, options: dict[str, Any], request: pytest.FixtureRequest) -> None:
    encoder = pytest.importorskip("imagecodecs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tifffile.tifffile.imagecodecs", encoder)
        data = ome(compression="lzw", predictor=predictor, **options)
    np.testing.assert_array_equal(read(data).pixels, RGBY)


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.int32, np.uint32, np.float64])
@pytest.mark.parametrize("options", [{}, {"byteorder": ">", "compression": "zlib"}], ids=str)
def test_signed_and_large_numbers_are_read_without_loss(kind: type[np.generic], options: dict[str, Any]) -> None:
    ends: Any = (np.iinfo if np.issubdtype(kind, np.integer) else np.finfo)(kind)
    plane = np.array([[ends.min, 0, 1], [ends.max, 3, 5]], kind)
    pixels = read(written(plane, **options)).pixels[..., 0]
    assert pixels.dtype == kind
    assert pixels.dtype.isnative
    np.testing.assert_array_equal(pixels, plane)


def test_white_as_zero_is_inverted() -> None:
    plane = PIXELS[0]
    np.testing.assert_array_equal(read(written(plane, photometric="miniswhite")).pixels[..., 0], 65535 - plane)
    with pytest.raises(LociscopeError, match="of an unsupported kind"):
        read(written(plane.astype(np.float32), photometric="miniswhite"))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int16, np.float32])
def test_imagejs_inverted_lookup_table_inverts_no_value(kind: type[np.generic]) -> None:
    plane = (PIXELS[0] / 257).astype(kind) - kind(1)
    about = "ImageJ=1.54f\nunit=micron\nmin=0.0\nmax=255.0\n"
    data = written(plane, photometric="miniswhite", metadata=None, description=about, resolution=(12.5, 12.5))
    picture = read(data)
    np.testing.assert_array_equal(picture.pixels[..., 0], plane)
    assert picture.pixel_size == pytest.approx(0.08)


def test_imagejs_signed_numbers_do_not_wrap_around() -> None:
    """It stores them as unsigned, plus 32768, and says so in a calibration."""
    plane = np.array([[0, 32767], [32768, 65535]], np.uint16)
    about = "ImageJ=1.54f\ncf=0\nc0=-32768.0\nc1=1.0\nvunit=Gray Value\nmin=0.0\nmax=255.0\n"
    np.testing.assert_array_equal(
        read(written(plane, metadata=None, description=about)).pixels[..., 0].astype(int), plane.astype(int)
    )


# === Channels by name ===


@pytest.mark.parametrize("axes", ["CYX", "ZCYX", "TCYX", "CZYX"])
def test_ome_names_and_order(axes: str) -> None:
    shape = {"C": 4, "Y": 24, "X": 20}
    data = ome(PIXELS[::-1].reshape([shape.get(axis, 1) for axis in axes]), axes, STAINS[::-1])
    picture = read(data)
    assert picture.names == STAINS[::-1]
    np.testing.assert_array_equal(picture.pixels, RGBY[..., ::-1])


def test_ome_without_names_gives_dyes_and_wavelengths() -> None:
    channel = {"Fluor": ["Alexa 555", "", "", ""], "EmissionWavelength": [565, 520, 460, 670]}
    data = written(ome=True, metadata={"axes": "CYX", "Channel": channel})
    assert read(data).names == ("Alexa 555", "520 nm", "460 nm", "670 nm")


@pytest.mark.parametrize("labels", [STAINS, STAINS * 3])
def test_imagej_labels(labels: tuple[str, ...]) -> None:
    pixels = np.stack([PIXELS, PIXELS[::-1], PIXELS])[: len(labels) // 4]
    picture = read(written(pixels, imagej=True, metadata={"axes": "ZCYX", "Labels": list(labels)}), plane=0)
    assert picture.names == STAINS
    np.testing.assert_array_equal(picture.pixels, RGBY)


def test_slices_named_after_stains_are_channels() -> None:
    picture = read(written(imagej=True, metadata={"axes": "ZYX", "Labels": list(STAINS)}))
    assert picture.names == STAINS
    with pytest.raises(LociscopeError, match=r"4 along Z.*Pass `plane=N`"):
        read(written(imagej=True, metadata={"axes": "ZYX", "Labels": ["1", "2", "3", "4"]}))


def test_pages_that_nobody_names() -> None:
    assert read(written()).names == ("",) * 4
    assert read(written(metadata=None)).names == ("",) * 4
    named = written(metadata={"axes": "CYX", "Channel": {"Name": list(STAINS)}})
    assert read(named).names == STAINS


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_samples_of_a_pixel_are_channels(planar: str) -> None:
    pixels = RGBY if planar == "contig" else PIXELS
    np.testing.assert_array_equal(read(written(pixels, planarconfig=planar)).pixels, RGBY)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_a_colour_picture(planar: str) -> None:
    rgb = RGBY[..., :3] if planar == "contig" else PIXELS[:3]
    picture = read(written(rgb, photometric="rgb", planarconfig=planar))
    assert (picture.names, picture.colour) == (("red", "green", "blue"), True)
    np.testing.assert_array_equal(picture.pixels, RGBY[..., :3])


def test_one_file_of_an_ome_set_gives_its_own_channel_only() -> None:
    """Every file of a set describes all channels; those that lie in other files are not read as zeros."""
    alone = ome(PIXELS[2:3], names=("DAPI",))
    xml = tifffile.TiffFile(io.BytesIO(ome())).ome_metadata
    assert xml is not None
    start, stop = xml.index("<TiffData"), xml.index("</Pixels>")
    files = "".join(
        f'<TiffData IFD="0" PlaneCount="1" FirstC="{number}">'
        f'<UUID FileName="c{number}.ome.tif">urn:uuid:{number}</UUID></TiffData>'
        for number in range(4)
    )
    xml = re.sub(r'UUID="[^"]*"', 'UUID="urn:uuid:2"', xml[:start], count=1) + files + xml[stop:]
    assert read(alone).names == ("DAPI",)
    picture = read(written(PIXELS[2], description=xml.encode(), metadata=None))
    assert picture.names == ("DAPI",)
    np.testing.assert_array_equal(picture.pixels[..., 0], PIXELS[2])
    nobody = xml.replace('UUID="urn:uuid:2"', 'UUID="urn:uuid:9"')
    assert read(written(PIXELS[2], description=nobody.encode(), metadata=None)).names == ("",)
    slices = xml.replace('FirstC="3"', 'FirstC="2" FirstZ="1"').replace('IFD="0"', 'IFD="1"', 4)
    slices = slices.replace('">urn:uuid:3<', '">urn:uuid:2<').replace('IFD="1"', 'IFD="0"', 3)
    picture = read(written(PIXELS[:2], description=slices.encode(), metadata=None), plane=1)
    assert picture.names == ("DAPI",)
    np.testing.assert_array_equal(picture.pixels[..., 0], PIXELS[1])


# === Slices ===


def test_the_error_for_a_stack_names_the_option() -> None:
    stack = np.stack([PIXELS, PIXELS[::-1]])
    for data in (
        ome(stack, "ZCYX"),
        written(stack, imagej=True, metadata={"axes": "ZCYX", "Labels": list(STAINS) * 2}),
    ):
        with pytest.raises(LociscopeError, match=r"'a.tif' is a stack .* \(2 along Z\). Pass `plane=N`, from 0"):
            read(data)
        with pytest.raises(LociscopeError, match="has no plane 2; it has 2, from 0"):
            read(data, plane=2)
        np.testing.assert_array_equal(read(data, plane=1).pixels, RGBY[..., ::-1])
    with pytest.raises(LociscopeError, match=r"2 along T and 2 along Z\). Save one slice of one time point"):
        read(ome(np.stack([stack, stack]), "TZCYX"), plane=0)


# === Pixel size ===


@pytest.mark.parametrize(
    ("size", "unit"),
    [(0.08, "µm"), (80, "nm"), (8e-5, "mm"), (8e-6, "cm"), (8e-8, "m"), (0.08 / 25400, "in"), (800, "Å"), (0.08, None)],
)
def test_ome_sizes_in_every_unit(size: float, unit: str | None) -> None:
    sides = {f"PhysicalSize{axis}": size for axis in "XY"}
    units = {f"PhysicalSize{axis}Unit": unit for axis in "XY" if unit}
    assert read(ome(metadata=sides | units)).pixel_size == pytest.approx(0.08)


@pytest.mark.parametrize(
    ("per_unit", "unit", "expected"),
    [
        (12.5, "micron", 0.08),
        (12.5, "um", 0.08),
        (12.5, "\\u00B5m", 0.08),
        (12500, "mm", 0.08),
        (1, "pixel", None),
        (317500, "inch", 0.08),
        (125000, "cm", 0.08),
        (300, "inch", None),
        (28.35, "cm", None),
        (1000, "micron", 0.001),
    ],
)
def test_imagej_sizes(per_unit: float, unit: str, expected: float | None) -> None:
    data = written(imagej=True, resolution=(per_unit, per_unit), metadata={"unit": unit, "axes": "CYX"})
    assert read(data).pixel_size == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("dots", "unit", "expected"), [(317500, "INCH", 0.08), (125000, "CENTIMETER", 0.08), (72, "INCH", None)]
)
def test_resolution_tags_count_where_they_are_a_microscopes(dots: int, unit: str, expected: float | None) -> None:
    data = written(PIXELS[0], resolution=(dots, dots), resolutionunit=unit)
    assert read(data).pixel_size == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize("size", [0, -1, "nan", "inf"])
def test_sizes_that_are_none(size: object) -> None:
    xml = tifffile.TiffFile(io.BytesIO(ome(metadata={"PhysicalSizeX": 7.5, "PhysicalSizeY": 7.5}))).ome_metadata
    assert xml is not None
    data = written(PIXELS[0], description=xml.replace('"7.5"', f'"{size}"').encode(), metadata=None)
    assert read(data).pixel_size is None


def test_pixels_that_are_not_square() -> None:
    with pytest.raises(LociscopeError, match=r"pixels of 0.08 × 0.2 µm. Resample it to square pixels"):
        read(ome(metadata={"PhysicalSizeX": 0.08, "PhysicalSizeY": 0.2}))


# === Refused ===


def test_files_that_are_not_tiff() -> None:
    with pytest.raises(LociscopeError, match=r"'a.tif' is empty \(0 bytes\)"):
        read(b"")
    for data in (b"\x89PNG\r\n\x1a\n", b"Id,Target", b"II", b"MM\0\0aaaa"):
        with pytest.raises(LociscopeError, match=r"'a.tif' is not a TIFF, despite its name"):
            read(data)


@pytest.mark.parametrize("mode", ["P", "CMYK", "YCbCr", "LAB", "1"])
def test_other_kinds_of_picture(mode: str) -> None:
    buffer = io.BytesIO()
    Image.new(mode, (8, 8)).save(buffer, "TIFF")
    with pytest.raises(LociscopeError, match=r"(palette|CMYK|YCbCr|CIELab|1-bit).* (Export|Save) "):
        read(buffer.getvalue())


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_an_rgb_tiff_with_more_samples_is_four_planes_without_names(
    kind: type[np.unsignedinteger], planar: str
) -> None:
    pixels = np.random.default_rng(0).integers(0, np.iinfo(kind).max + 1, (6, 5, 4), kind)
    buffer = io.BytesIO()
    shown = pixels if planar == "contig" else np.moveaxis(pixels, -1, 0)
    extra = {"extrasamples": ["unspecified"], "planarconfig": planar}
    tifffile.imwrite(buffer, shown, photometric="rgb", metadata=None, **extra)  # type: ignore[arg-type]
    picture = read(buffer.getvalue())
    assert (picture.names, picture.colour) == (("",) * 4, False)
    np.testing.assert_array_equal(picture.pixels, pixels)


def header(width: int, height: int) -> bytes:
    """A TIFF whose header claims any size, and which holds one byte of pixels."""
    entries = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 200), (277, 3, 1)]
    entries += [(278, 4, height), (279, 4, 1)]
    body = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    return (b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + body + bytes(4)).ljust(200, b"\0") + b"x"


def test_a_giant_header_is_refused_before_decoding() -> None:
    with pytest.raises(LociscopeError, match="claims 60000 × 60000 pixels, more than the 67108864"):
        read(header(60_000, 60_000))
    with pytest.raises(LociscopeError, match="is damaged or truncated"):
        read(header(6_000, 6_000))


def test_numbers_that_are_none() -> None:
    for value in (np.nan, np.inf):
        with pytest.raises(LociscopeError, match="not finite numbers"):
            read(written(np.full((4, 4), value, np.float32)))


def test_tiles_far_larger_than_the_picture() -> None:
    data = bytearray(written(PIXELS[0], compression="zlib", tile=(16, 16)))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as tiff:
        offsets = [tiff.pages.first.tags[name].valueoffset for name in ("TileWidth", "TileLength")]
    for offset in offsets:
        data[offset : offset + 2] = struct.pack("<H", 65520)
    with pytest.raises(LociscopeError, match="has more than the 513 MiB"):
        read(bytes(data))


@pytest.mark.parametrize("options", [{}, {"byteorder": ">"}, {"bigtiff": True}], ids=str)
@pytest.mark.parametrize("back_to", [0, 1, 3])
def test_pages_in_a_circle(options: dict[str, Any], back_to: int) -> None:
    data = bytearray(ome(compression="zlib", **options))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as tiff:
        offsets = [page.offset for page in tiff.pages]
        size, order = (8, "<") if tiff.is_bigtiff else (4, tiff.byteorder)
    tags = struct.unpack_from(order + ("Q" if size == 8 else "H"), data, offsets[3])[0]
    end = offsets[3] + (8 + 20 * tags if size == 8 else 2 + 12 * tags)
    assert read(bytes(data)).pixels.shape[-1] == 4
    data[end : end + size] = struct.pack(order + ("Q" if size == 8 else "I"), offsets[back_to])
    with pytest.raises(LociscopeError, match="its pages form a circle"):
        read(bytes(data))


def test_several_pictures_in_one_file() -> None:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, ome=True) as writer:
        writer.write(PIXELS, photometric="minisblack", metadata={"axes": "CYX"})
        writer.write(PIXELS, photometric="minisblack", metadata={"axes": "CYX"})
    with pytest.raises(LociscopeError, match=r"has 2 images. Save each field as a separate file"):
        read(buffer.getvalue())


def test_entities_in_metadata() -> None:
    xml = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><OME>&b;</OME>'
    with pytest.raises(LociscopeError, match="XML entities"):
        read(written(PIXELS[0], description=xml, metadata=None))


@pytest.mark.usefixtures("bare")
def test_a_codec_that_is_missing_is_named() -> None:
    encoder = pytest.importorskip("imagecodecs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tifffile.tifffile.imagecodecs", encoder)
        data = written(PIXELS[0], compression="jpeg2000")
    with pytest.raises(MissingExtraError, match=r"JPEG ?2000, 16 bits.* pip install 'lociscope\[codecs\]'"):
        read(data)


@pytest.mark.parametrize("make", [ome, written, lambda: ome(compression="zlib", tile=(16, 16))])
def test_cut_short_anywhere_it_is_refused_or_whole(make: Callable[[], bytes]) -> None:
    data = make()
    whole = read(data).pixels
    for length in range(1, len(data), 37):
        try:
            pixels = read(data[:length]).pixels
        except LociscopeError as error:
            assert "'a.tif'" in str(error)
        else:
            assert pixels.shape[:2] == whole.shape[:2]


SMALL = [
    ome(PIXELS[:, :9, :8]),
    ome(PIXELS[:, :9, :8], compression="zlib"),
    written(PIXELS[:, :9, :8], imagej=True, metadata={"axes": "CYX", "Labels": list(STAINS)}),
]


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(SMALL), st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 255)), min_size=1, max_size=5))
@pytest.mark.filterwarnings("ignore")
def test_random_bytes_are_read_or_refused(data: bytes, changes: list[tuple[int, int]]) -> None:
    damaged = bytearray(data)
    for at, byte in changes:
        damaged[at % len(damaged)] = byte
    try:
        picture = read(bytes(damaged), plane=0)
    except LociscopeError as error:
        assert "'a.tif'" in str(error)
    else:
        assert picture.pixels.ndim == 3
        assert picture.pixels.shape[-1] == len(picture.names)
        assert picture.pixels.dtype.kind in "uif"


def test_gzip_is_another_containers_work(tmp_path: Path) -> None:
    with pytest.raises(LociscopeError, match="is not a TIFF"):
        read(gzip.compress(ome()))
