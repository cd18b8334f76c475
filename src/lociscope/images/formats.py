"""The formats that are read, one function each, chosen by the file's suffix; and what is said of those that are not."""

from typing import TYPE_CHECKING

from lociscope.errors import LociscopeError
from lociscope.images.container import opened
from lociscope.images.jpeg import read_jpeg
from lociscope.images.png import read_png
from lociscope.images.tiff import read_tiff
from lociscope.images.zarr import read_zarr
from lociscope.tablefile import SPREADSHEETS, url_of

if TYPE_CHECKING:
    from pathlib import Path

    from lociscope.images.container import Place
    from lociscope.images.picture import Picture

PNG = (".png",)
JPEG = (".jpg", ".jpeg")
TIFF = (".tif", ".tiff")
PACKED = ".gz"

ZARR = ".zarr"

SUFFIXES = (*PNG, *JPEG, *TIFF)
"""Suffixes of the picture files that are read, each also with `.gz` behind it; `.zarr` folders are read, too."""


def suffix_of(name: str) -> str:
    """The suffix that says what a file is, lower case and without `.gz`; empty where it is no picture's."""
    lower = name.lower().removesuffix(PACKED)
    return next((suffix for suffix in (*SUFFIXES, ZARR) if lower.endswith(suffix)), "")


_CONVERT = (
    "Export it as OME-TIFF (in its own software, or Fiji's Bio-Formats Exporter) or convert it with bioformats2raw"
)
_EXPORT = "Save it as PNG or TIFF, without loss"
_AS_CSV = "Save its sheet as CSV"

FOREIGN: dict[str, tuple[str, str]] = {
    ".czi": ("a Zeiss CZI file", _CONVERT),
    ".lsm": ("a Zeiss LSM file", _CONVERT),
    ".zvi": ("a Zeiss ZVI file", _CONVERT),
    ".nd2": ("a Nikon ND2 file", _CONVERT),
    **dict.fromkeys((".lif", ".lof", ".xlef"), ("a Leica LAS X file", _CONVERT)),
    ".scn": ("a Leica slide", _CONVERT),
    **dict.fromkeys((".oib", ".oif", ".oir", ".vsi", ".ets"), ("an Olympus/Evident file", _CONVERT)),
    ".ims": ("an Imaris file", _CONVERT),
    **dict.fromkeys((".dv", ".r3d"), ("a DeltaVision file", _CONVERT)),
    **dict.fromkeys((".stk", ".nd"), ("a MetaMorph file", _CONVERT)),
    ".flex": ("an Opera Flex file", _CONVERT),
    ".c01": ("a Cellomics file", _CONVERT),
    **dict.fromkeys((".svs", ".ndpi", ".mrxs"), ("a slide scanner's file", _CONVERT)),
    **dict.fromkeys((".h5", ".hdf5"), ("an HDF5 file", _CONVERT)),
    **dict.fromkeys((".npy", ".npz"), ("a NumPy array", "Pass the array to `open_bundle().predict` in Python")),
    **dict.fromkeys((".bmp", ".gif", ".webp", ".jp2", ".jxl"), ("a picture of another format", _EXPORT)),
    **dict.fromkeys(SPREADSHEETS, ("a spreadsheet", _AS_CSV)),
    **dict.fromkeys((".rar", ".7z", ".tar", ".tar.gz", ".tgz"), ("an archive", "Unpack it, or pack it as .zip")),
}
"""By suffix: what files that lociscope does not read are, and the way out."""


def refusal(path: "Path") -> str | None:
    """Return why a path is not read whatever the file holds: a URL, or a format of others; None where it may be."""
    if url := url_of(path):
        return f"'{url}' is a URL, which lociscope does not read. Download it, and name the file or folder."
    name = path.name.lower()
    suffix = next((each for each in FOREIGN if name.endswith(each)), None)
    if suffix is None or path.is_dir():
        return None
    what, remedy = FOREIGN[suffix]
    return f"'{path}' is {what}, which lociscope does not read. {remedy}."


def check_readable(path: "Path") -> None:
    """Refuse what is not read whatever the file holds.

    Raises:
        LociscopeError: It is a URL, or a file of a format that others read.
    """
    if reason := refusal(path):
        raise LociscopeError(reason)


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
    check_readable(place.file)
    name, suffix = str(place), suffix_of(place.name)
    if not place.member and (suffix == ZARR or any(suffix_of(part) == ZARR for part in place.file.parts[:-1])):
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
