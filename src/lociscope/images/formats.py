"""The formats that are read: one function each, chosen by the file's suffix."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lociscope.errors import LociscopeError
from lociscope.images.container import Place, opened
from lociscope.images.file_sets import images_of_set, is_index, read_set
from lociscope.images.jpeg import read_jpeg
from lociscope.images.png import read_png
from lociscope.images.tiff import read_description, read_tiff
from lociscope.images.zarr import read_zarr
from lociscope.images.zarr_layout import SUFFIX, ZIPPED, is_group

if TYPE_CHECKING:
    from lociscope.images.picture import Picture

PNG = (".png",)
JPEG = (".jpg", ".jpeg")
TIFF = (".tif", ".tiff")
PACKED = ".gz"

ZARR = (*ZIPPED, SUFFIX)
"""Suffixes of OME-Zarr, a folder or a zip archive of one."""

SUFFIXES = (*PNG, *JPEG, *TIFF)
"""Suffixes of the picture files that are read, each also with `.gz` behind it; OME-Zarr is read, too."""


def suffix_of(name: str) -> str:
    """The suffix that says what a file is, lower case and without `.gz`; empty where it is no picture's."""
    lower = name.lower().removesuffix(PACKED)
    return next((suffix for suffix in (*SUFFIXES, *ZARR) if lower.endswith(suffix)), "")


def is_zarr(place: Place) -> bool:
    """Return whether a place is a Zarr group: by its name, by one above it, or by what it has."""
    if place.member.startswith("./") or place.member == ".":
        return True
    suffix, parts = suffix_of(place.name), Path(place.member or place.file).parts
    if suffix in ZARR or any(suffix_of(part) in ZARR for part in parts[:-1]):
        return True
    return not suffix and not place.member and is_group(place.file)


def read_picture(place: Place, *, colour: bool = False, plane: int | None = None) -> "Picture":
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
    if is_zarr(place):
        return read_zarr(place, plane)
    if is_index(place.file.name):
        return read_set(place, plane)
    with opened(place) as file:
        if suffix in TIFF:
            return read_tiff(file, name, plane, sibling=partial(_beside, place))
        if suffix in JPEG:
            return read_jpeg(file, name)
        if suffix in PNG:
            return read_png(file, name, colour=colour)
    raise LociscopeError(
        f"'{name}' is no picture that lociscope reads. Expected {', '.join(SUFFIXES)}, or one with .gz."
    )


def files_of(place: Place) -> list[Path]:
    """Return the files and folders that a place is read from, of which a change is a change of the field."""
    if is_zarr(place) and not place.member:  # bioformats2raw names channels beside its images
        return [place.file, place.file.parent / "OME" / "METADATA.ome.xml"]
    if is_index(place.file.name):
        try:
            image = images_of_set(place.file)[int(place.member or 0)]
        except (LociscopeError, ValueError, IndexError):
            return [place.file]
        return [place.file, *map(place.file.with_name, image.files)]
    return [place.file]


def _beside(place: Place, name: str) -> bytes | None:
    """The document of a companion file beside a file; None where it is not there."""
    folder, slash, _ = place.member.rpartition("/")
    other = Place(place.file, f"{folder}{slash}{name}") if place.member else Place(place.file.with_name(name))
    try:
        with opened(other) as file:
            return read_description(file)
    except LociscopeError:
        return None
