"""Read TIFF: single planes, stacks of pages, ImageJ hyperstacks and OME-TIFF."""

from __future__ import annotations

import logging
import math
import struct
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from lociscope.errors import Code, LociscopeError, MissingExtraError
from lociscope.images.io.ome import MOST_TEXT, check_xml
from lociscope.images.io.ome_tiff import select_ome_series
from lociscope.images.io.picture import (
    MAX_PIXELS,
    Picture,
    check_bytes,
    check_plane,
    check_size,
    damaged_file_error,
    empty_file_error,
    is_grey_ramp,
    to_native_type,
)
from lociscope.images.io.tiff_tags import TiffDescription, describe_tiff

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPageSeries

_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_MOST_PAGES = 1 << 14
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE = 0, 1, 2, 3
_COLOURS = {_PALETTE: "palette", 4: "mask", 5: "CMYK", 6: "YCbCr", 8: "CIELab"}
_LZW = 5

SiblingReader = Callable[[str], bytes | None]
"""Return the content of a file in the same folder by its name, or None."""


def read_tiff(
    file: IO[bytes],
    name: str,
    plane: int | None = None,
    *,
    page: int | None = None,
    sibling: SiblingReader = lambda _: None,
) -> Picture:
    """Read a TIFF.

    Uncompressed, deflate and packbits pages are decoded here, LZW by Pillow, and every other kind by imagecodecs
    where the extra `codecs` is installed.

    Args:
        file: Its bytes, from the start.
        name: Its name in error messages.
        plane: The index of a slice in a z-stack or of a frame in a time series, from 0.
        page: The one page to read, without regard to the metadata.
        sibling: Reads a companion file, which may contain the metadata.

    Returns:
        The planes of integers or floats, with the names and the pixel size in the metadata.

    Raises:
        LociscopeError: The file is not a TIFF, is damaged, is too large, is of a kind that is not supported, or `plane`
            is needed.
    """
    head = file.read(4)
    if not head:
        raise empty_file_error(name)
    if head not in _STARTS:
        raise LociscopeError(
            f"'{name}' is not a TIFF, despite its name. Give it the suffix of its format.", code=Code.WRONG_FILE
        )
    _check_chain(file, head, name)
    file.seek(0)
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # errors are reported by lociscope
    try:
        with tifffile.TiffFile(file, _multifile=False) as tiff:  # opens no other file that its metadata name
            return _read(tiff, file, name, plane, page, sibling)
    except (LociscopeError, MemoryError, OSError):
        raise
    except Exception as error:  # tifffile raises many kinds of errors for a damaged file
        raise damaged_file_error(name, error) from error


def read_description(file: IO[bytes]) -> bytes:
    """Return the OME-XML of a companion file, which is XML, or a TIFF with the XML in its first page.

    Raises:
        ValueError: The file is a damaged TIFF.
    """
    head = file.read(4)
    file.seek(0)
    if head not in _STARTS:
        return file.read(MOST_TEXT + 1)
    import tifffile

    with tifffile.TiffFile(file, _multifile=False) as tiff:
        return tiff.pages.first.description.encode()


def _check_chain(file: IO[bytes], head: bytes, name: str) -> None:
    """Refuse a file whose pages form a circle, which tifffile would follow without end."""
    order, big = "<" if head[:2] == b"II" else ">", b"+" in head
    pointer, count, entry = ("Q", "Q", 20) if big else ("I", "H", 12)

    def number(kind: str) -> int:
        (value,) = struct.unpack(order + kind, file.read(struct.calcsize(order + kind)))
        return int(value)

    seen: set[int] = set()
    try:
        file.seek(8 if big else 4)
        while at := number(pointer):
            if at in seen or len(seen) >= _MOST_PAGES:
                raise damaged_file_error(name, ValueError("its pages form a circle, or are too many"))
            seen.add(at)
            file.seek(at)
            file.seek(number(count) * entry, 1)
    except (struct.error, OverflowError, ValueError):  # truncated: the first page may still be complete
        return


def _read(
    tiff: TiffFile, file: IO[bytes], name: str, plane: int | None, number: int | None, sibling: SiblingReader
) -> Picture:
    check_xml(tiff.pages.first.description.encode(), name)
    if number is not None:
        series, image = _select_page(tiff, number), None
    else:
        series, image = select_ome_series(tiff, name, sibling) if tiff.is_ome else (tiff.series[0], None)
    if number is None and any(other.shape == series.shape for other in tiff.series[1:]):
        raise LociscopeError(
            f"'{name}' has {len(tiff.series)} images. Save each field as a separate file.",
            code=Code.UNSUPPORTED_FORMAT,
        )
    page: Any = series.keyframe
    kind = _get_pixel_type(page, name, imagej=tiff.is_imagej)
    about = describe_tiff(tiff, series, image, name)
    numbers = _select_pages(series, about, plane, name)
    check_size(page.imagewidth, page.imagelength, name)
    check_bytes(page.imagewidth * page.imagelength * page.samplesperpixel * len(numbers) * kind.itemsize, name)
    check_bytes(math.prod(map(int, page.chunks)) * kind.itemsize, name)  # a strip or tile may be larger than the image
    names = about.names
    if page.samplesperpixel == 1:
        present = [number for number in numbers if series.dataoffset is not None or series.pages[number] is not None]
        names = tuple(names[numbers.index(number)] for number in present)  # the others are in other files of an OME set
        planes = [_decode(series, number, file, name) for number in present]
        pixels = planes[0][..., None] if len(planes) == 1 else np.moveaxis(np.stack(planes), 0, -1)
    else:
        pixels = _decode(series, numbers[0], file, name)
        pixels = pixels if page.axes.endswith("S") else np.moveaxis(pixels, 0, -1)
    if page.photometric == _WHITE_IS_ZERO and not tiff.is_imagej:  # which inverts the display, not the values
        pixels = np.iinfo(pixels.dtype).max - pixels
    colour = page.photometric == _RGB and page.samplesperpixel == 3
    names = ("red", "green", "blue") if colour else names
    if pixels.shape != (page.imagelength, page.imagewidth, len(names)):
        raise ValueError(f"{pixels.shape} of pixels for {len(names)} channels")
    return Picture(to_native_type(pixels, name), names, about.pixel_size, colour)


def _select_page(tiff: TiffFile, number: int) -> TiffPageSeries:
    from tifffile import TiffPageSeries

    if not 0 <= number < len(tiff.pages):
        raise ValueError(f"it has {len(tiff.pages)} pages, and its metadata name page {number}")
    return TiffPageSeries([tiff.pages[number]], parent=tiff)


def _get_pixel_type(page: Any, name: str, *, imagej: bool) -> np.dtype[Any]:  # noqa: ANN401 - tifffile's own type allows None everywhere
    """Return the type of the pixels of a grey or RGB image."""
    ramp = (
        page.photometric == _PALETTE and page.colormap is not None and is_grey_ramp(page.colormap.T.astype(np.float32))
    )
    if page.photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB) and not ramp:
        colour = _COLOURS.get(int(page.photometric), f"photometric {int(page.photometric)}")
        raise LociscopeError(
            f"'{name}' is a {colour} TIFF. Export each channel as a grey TIFF.", code=Code.UNSUPPORTED_FORMAT
        )
    if page.photometric == _RGB and page.samplesperpixel < 3:
        raise LociscopeError(
            f"'{name}' is an RGB TIFF of {page.samplesperpixel} samples. Save it as RGB or grey.",
            code=Code.UNSUPPORTED_FORMAT,
        )
    kind: np.dtype[Any] | None = page.dtype
    if kind is None or kind.kind not in ("u" if page.photometric == _WHITE_IS_ZERO and not imagej else "uif"):
        raise LociscopeError(
            f"'{name}' has {page.bitspersample}-bit pixels of an unsupported kind. Export it with 8, 16 or 32 bits.",
            code=Code.UNSUPPORTED_FORMAT,
        )
    return kind


def _select_pages(series: Any, about: TiffDescription, plane: int | None, name: str) -> list[int]:  # noqa: ANN401
    """Return the indices of the pages with the channels, of the selected slice where there are several."""
    inner = len(series.keyframe.axes)
    axes, shape = series.axes[:-inner], series.shape[:-inner]
    if series.axes[-inner:] != series.keyframe.axes or math.prod(shape) > MAX_PIXELS:
        raise ValueError(f"axes {series.axes} of pages {series.keyframe.axes}")
    others = [(axis, size) for axis, size in zip(axes, shape, strict=True) if axis != about.axis and size > 1]
    check_plane(name, others, plane)
    index: list[Any] = [0] * len(axes)
    for axis, _ in others:
        index[axes.index(axis)] = plane
    if about.axis and about.axis in axes:
        index[axes.index(about.axis)] = slice(None)
    chosen = np.arange(math.prod(shape)).reshape(shape)[tuple(index)]
    return [int(number) for number in np.ravel(chosen)]


def _decode(series: Any, number: int, file: IO[bytes], name: str) -> np.ndarray:  # noqa: ANN401
    page = series.keyframe
    if series.dataoffset is not None:  # uncompressed and contiguous: ImageJ omits the headers of later pages
        kind = np.dtype(f"{page.parent.byteorder}{page.dtype.char}")
        size = math.prod(page.shape) * kind.itemsize
        file.seek(series.dataoffset + number * size)
        return np.frombuffer(file.read(size), kind).reshape(page.shape)
    here = series.pages[number]
    try:
        pixels: np.ndarray = here.asarray(maxworkers=1)
    except (ValueError, NotImplementedError, KeyError) as error:
        if "imagecodecs" not in str(error):
            raise
        if page.compression == _LZW:
            return _decode_with_pillow(file, here.index, page)
        what = f"'{name}' ({getattr(page.compression, 'name', page.compression)}, {page.bitspersample} bits)"
        raise MissingExtraError(what, "codecs") from error
    return pixels


def _decode_with_pillow(file: IO[bytes], number: int, page: Any) -> np.ndarray:  # noqa: ANN401
    from PIL import Image

    file.seek(0)
    with Image.open(file, formats=("TIFF",)) as picture:
        picture.seek(number)
        pixels = np.asarray(picture)
    planar = page.axes.startswith("S")
    expected = page.shape[1:] + page.shape[:1] if planar else page.shape
    if pixels.shape != expected or (pixels.dtype.kind, pixels.dtype.itemsize) != (page.dtype.kind, page.dtype.itemsize):
        raise ValueError(f"{pixels.shape} of {pixels.dtype} where {page.shape} of {page.dtype} was announced")
    return np.moveaxis(pixels, -1, 0) if planar else pixels
