"""Read file sets that an index describes: OME-TIFF with a companion file, NDTiff of Micro-Manager and pycro-manager.

The location of an image is the index and the number of the image: `run.companion.ome!0`, `NDTiff.index!3`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from lociscope.errors import Code, LociscopeError
from lociscope.images.io.container import PlaneRef, open_member
from lociscope.images.io.lengths import square_side
from lociscope.images.io.ndtiff import read_ndtiff
from lociscope.images.io.ome import read_ome
from lociscope.images.io.picture import (
    Picture,
    check_bytes,
    check_plane,
    damaged_file_error,
    file_error,
    to_native_type,
)
from lociscope.images.io.tiff import read_tiff
from lociscope.images.io.zarr_layout import read_small

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lociscope.images.io.ome import OmeImage

COMPANION = ".companion.ome"
NDTIFF = "ndtiff.index"

PlaneIndex: TypeAlias = tuple[int, int, int]
"""Indices along C, Z and T."""


class SetImage(NamedTuple):
    """One image of a set.

    Attributes:
        names: Names of the channels; empty strings where none is given.
        pixel_size: Side of a pixel in µm, or None.
        files: Names of the files with its planes.
        planes: A function for each plane that reads it, (y, x).
        label: Its label in the index, to distinguish it from others; may be empty.
    """

    names: tuple[str, ...]
    pixel_size: float | None
    files: tuple[str, ...]
    planes: dict[PlaneIndex, Callable[[], np.ndarray]]
    label: str = ""


def is_index(name: str) -> bool:
    """Return whether a file's name is the name of an index."""
    return name.lower().endswith(COMPANION) or name.lower() == NDTIFF


def read_file_set(path: Path) -> tuple[SetImage, ...]:
    """Return the images that an index describes; the index is read again only after it changes.

    Raises:
        LociscopeError: The index cannot be read, is damaged, or names files in another folder.
    """
    try:
        stat = path.stat()
        return _read_index(path, stat.st_size, stat.st_mtime_ns)
    except OSError as error:
        raise file_error(str(path), error) from error
    except (LociscopeError, MemoryError):
        raise
    except Exception as error:  # an index may contain anything
        raise damaged_file_error(str(path), error) from error


@lru_cache(maxsize=4)
def _read_index(path: Path, size: int, changed: int) -> tuple[SetImage, ...]:
    if path.name.lower() == NDTIFF:
        return tuple(SetImage(*each) for each in read_ndtiff(path))
    document = read_ome(read_small(path, str(path)) or b"", str(path))
    return tuple(_make_set_image(path, image) for image in document.images)


def _make_set_image(path: Path, image: OmeImage) -> SetImage:
    for plane in image.planes:
        if not re.fullmatch(r"[^/\\]+", plane.file):
            raise LociscopeError(
                f"'{path}' names the file {plane.file!r}, which is not beside it. Write it again.",
                code=Code.REFUSED_CONTENT,
            )
    planes = {plane.at: _make_page_reader(path, plane.file, plane.page) for plane in image.planes}
    files = tuple(dict.fromkeys(plane.file for plane in image.planes))
    return SetImage(image.names, square_side(*image.sides, str(path)), files, planes)


def _make_page_reader(index: Path, file: str, number: int) -> Callable[[], np.ndarray]:
    def read() -> np.ndarray:
        path = index.with_name(file)
        if not path.is_file():
            raise LociscopeError(
                f"'{index}' names '{file}', which is not beside it. Copy it there.", code=Code.NOT_FOUND
            )
        with open_member(PlaneRef(path)) as data:
            pixels = read_tiff(data, str(path), page=number).pixels
        if pixels.shape[-1] != 1:
            raise LociscopeError(
                f"'{path}' has {pixels.shape[-1]} samples per pixel. Export each channel as grey.",
                code=Code.UNSUPPORTED_FORMAT,
            )
        return pixels[..., 0]

    return read


def read_set(ref: PlaneRef, plane: int | None = None) -> Picture:
    """Read one image of a set.

    Args:
        ref: The index, and the number of the image.
        plane: The index of a slice in a z-stack or of a frame in a time series, from 0.

    Returns:
        The planes, with the names and the pixel size in the index.

    Raises:
        LociscopeError: The set has no image of that number, a file or a plane is missing, or `plane` is needed.
    """
    name, images = str(ref), read_file_set(ref.file)
    number = int(ref.member or 0) if (ref.member or "0").isdigit() else -1
    if not 0 <= number < len(images):
        raise LociscopeError(
            f"'{ref.file}' has no image {ref.member!r}; it has {len(images)}, from 0. Pass another number.",
            code=Code.NOT_FOUND,
        )
    image = images[number]
    sizes = {axis: sorted({at[i] for at in image.planes}) for i, axis in enumerate("CZT")}
    others = [(axis, len(sizes[axis])) for axis in "TZ" if len(sizes[axis]) > 1]
    check_plane(name, others, plane)
    at = {axis: sizes[axis][:1] for axis in "TZ"}
    for axis, _ in others:
        at[axis] = [sizes[axis][plane or 0]]
    wanted = [(c, z, t) for c in sizes["C"] for z in at["Z"] for t in at["T"]]
    lacking = [each for each in wanted if each not in image.planes]
    if lacking or not wanted:
        raise LociscopeError(
            f"'{name}' lacks {len(lacking)} of its {len(wanted)} planes. Copy the set again.", code=Code.INCOMPLETE
        )
    planes = []
    for each in wanted:
        planes.append(image.planes[each]())
        check_bytes(planes[0].nbytes * len(wanted), name)
    if len({(each.shape, each.dtype) for each in planes}) > 1:
        raise damaged_file_error(name, ValueError("its planes differ in size or type"))
    names = tuple(image.names[c] if c < len(image.names) else "" for c in sizes["C"])
    return Picture(to_native_type(np.stack(planes, axis=-1), name), names, image.pixel_size)
