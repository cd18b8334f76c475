"""The formats that are read: one function each, chosen by the file's suffix."""

from typing import TYPE_CHECKING

from lociscope.errors import LociscopeError
from lociscope.images.container import opened
from lociscope.images.jpeg import read_jpeg
from lociscope.images.png import read_png
from lociscope.images.tiff import read_tiff
from lociscope.images.zarr import read_zarr

if TYPE_CHECKING:
    from lociscope.images.container import Place
    from lociscope.images.picture import Picture

PNG = (".png",)
JPEG = (".jpg", ".jpeg")
TIFF = (".tif", ".tiff")
PACKED = ".gz"

ZARR = (".zarr",)

SUFFIXES = (*PNG, *JPEG, *TIFF)
"""Suffixes of the picture files that are read, each also with `.gz` behind it; `.zarr` folders are read, too."""


def suffix_of(name: str) -> str:
    """The suffix that says what a file is, lower case and without `.gz`; empty where it is no picture's."""
    lower = name.lower().removesuffix(PACKED)
    return next((suffix for suffix in (*SUFFIXES, *ZARR) if lower.endswith(suffix)), "")


def read_picture(place: "Place", *, colour: bool = False, plane: int | None = None) -> "Picture":
    """Decodes a file.

    Args:
        place: Where it lies.
        colour: Whether a PNG must be a colour picture, and not a grey one.
        plane: The slice of a stack, from 0.

    Returns:
        Its planes.

    Raises:
        LociscopeError: It cannot be read, is no picture of its suffix, is damaged or too large.
    """
    name, suffix = str(place), suffix_of(place.name)
    if not place.member and (suffix in ZARR or any(suffix_of(part) in ZARR for part in place.file.parts[:-1])):
        return read_zarr(place.file, plane)
    with opened(place) as file:
        if suffix in TIFF:
            return read_tiff(file, name, plane)
        if suffix in JPEG:
            return read_jpeg(file, name)
        if suffix in PNG:
            return read_png(file, name, colour=colour)
    raise LociscopeError(
        f"'{name}' is no picture that lociscope reads. Expected {', '.join(SUFFIXES)}, or one with .gz."
    )
