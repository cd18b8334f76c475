"""The formats that are read, one function each, chosen by the file's suffix; and what is said of those that are not."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lociscope.errors import Code, LociscopeError
from lociscope.images.io.container import PlaneRef, open_member
from lociscope.images.io.file_sets import is_index, read_file_set, read_set
from lociscope.images.io.jpeg import read_jpeg
from lociscope.images.io.png import read_png
from lociscope.images.io.tiff import read_description, read_tiff
from lociscope.images.io.zarr import read_zarr
from lociscope.images.io.zarr_layout import SUFFIX, ZIPPED, is_group
from lociscope.storage.table_files import SPREADSHEETS, find_url

if TYPE_CHECKING:
    from lociscope.images.io.picture import Picture

PNG = (".png",)
JPEG = (".jpg", ".jpeg")
TIFF = (".tif", ".tiff")
PACKED = ".gz"

ZARR = (*ZIPPED, SUFFIX)
"""Suffixes of OME-Zarr, a folder or a zip archive of one."""

SUFFIXES = (*PNG, *JPEG, *TIFF)
"""Suffixes of the picture files that are read, each also with `.gz` behind it; OME-Zarr is read, too."""


def get_suffix(name: str) -> str:
    """The suffix that says what a file is, lower case and without `.gz`; empty where it is no picture's."""
    lower = name.lower().removesuffix(PACKED)
    return next((suffix for suffix in (*SUFFIXES, *ZARR) if lower.endswith(suffix)), "")


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


def explain_unreadable(path: Path) -> str | None:
    """Return why a path is not read whatever the file holds: a URL, or a format of others; None where it may be."""
    if url := find_url(path):
        return f"'{url}' is a URL, which lociscope does not read. Download it, and name the file or folder."
    name = path.name.lower()
    suffix = next((each for each in FOREIGN if name.endswith(each)), None)
    if suffix is None or path.is_dir():
        return None
    what, remedy = FOREIGN[suffix]
    return f"'{path}' is {what}, which lociscope does not read. {remedy}."


def check_readable(path: Path) -> None:
    """Refuse what is not read whatever the file holds.

    Raises:
        LociscopeError: It is a URL, or a file of a format that others read.
    """
    if reason := explain_unreadable(path):
        raise LociscopeError(reason, code=Code.INVALID_VALUE)


def is_zarr(ref: PlaneRef) -> bool:
    """Return whether a place is a Zarr group: by its name, by one above it, or by what it has."""
    if ref.member.startswith("./") or ref.member == ".":
        return True
    suffix, parts = get_suffix(ref.name), Path(ref.member or ref.file).parts
    if suffix in ZARR or any(get_suffix(part) in ZARR for part in parts[:-1]):
        return True
    return not suffix and not ref.member and is_group(ref.file)


def read_picture(ref: PlaneRef, *, colour: bool = False, plane: int | None = None) -> Picture:
    """Decodes a file.

    Args:
        ref: Where it lies.
        colour: Whether a PNG must be a colour picture, and not a grey one.
        plane: The slice of a stack, from 0.

    Returns:
        Its planes.

    Raises:
        LociscopeError: It cannot be read, is no picture of its suffix, is damaged or too large.
    """
    check_readable(ref.file)
    name, suffix = str(ref), get_suffix(ref.name)
    if is_zarr(ref):
        return read_zarr(ref, plane)
    if is_index(ref.file.name):
        return read_set(ref, plane)
    with open_member(ref) as file:
        if suffix in TIFF:
            return read_tiff(file, name, plane, sibling=partial(_read_sibling, ref))
        if suffix in JPEG:
            return read_jpeg(file, name)
        if suffix in PNG:
            return read_png(file, name, colour=colour)
    raise LociscopeError(
        f"'{name}' is no picture that lociscope reads. Expected {', '.join(SUFFIXES)}, or one with .gz.",
        code=Code.WRONG_FILE,
    )


def list_source_files(ref: PlaneRef) -> list[Path]:
    """Return the files and folders that a place is read from, of which a change is a change of the field."""
    if is_zarr(ref) and not ref.member:  # bioformats2raw names channels beside its images
        return [ref.file, ref.file.parent / "OME" / "METADATA.ome.xml"]
    if is_index(ref.file.name):
        try:
            image = read_file_set(ref.file)[int(ref.member or 0)]
        except (LociscopeError, ValueError, IndexError):
            return [ref.file]
        return [ref.file, *map(ref.file.with_name, image.files)]
    return [ref.file]


def _read_sibling(ref: PlaneRef, name: str) -> bytes | None:
    """The document of a companion file beside a file; None where it is not there."""
    folder, slash, _ = ref.member.rpartition("/")
    other = PlaneRef(ref.file, f"{folder}{slash}{name}") if ref.member else PlaneRef(ref.file.with_name(name))
    try:
        with open_member(other) as file:
            return read_description(file)
    except LociscopeError:
        return None
