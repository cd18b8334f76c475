"""Choose the reader of a file by its suffix; explain which formats are not supported."""

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
"""Suffixes of OME-Zarr, as a folder or as a zip archive."""

SUFFIXES = (*PNG, *JPEG, *TIFF)
"""Suffixes of supported image files, each also with `.gz` appended; OME-Zarr is supported, too."""


def get_suffix(name: str) -> str:
    """Return the suffix of an image file, in lower case and without `.gz`; empty where it is another suffix."""
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
    **dict.fromkeys((".bmp", ".gif", ".webp", ".jp2", ".jxl"), ("an image of another format", _EXPORT)),
    **dict.fromkeys(SPREADSHEETS, ("a spreadsheet", _AS_CSV)),
    **dict.fromkeys((".rar", ".7z", ".tar", ".tar.gz", ".tgz"), ("an archive", "Unpack it, or pack it as .zip")),
}
"""By suffix: a name for each format that lociscope does not read, and the remedy."""


def explain_unreadable(path: Path) -> str | None:
    """Return why a path cannot be read: it is a URL or an unsupported format; None otherwise."""
    if url := find_url(path):
        return f"'{url}' is a URL, which lociscope does not read. Download it, and name the file or folder."
    name = path.name.lower()
    suffix = next((each for each in FOREIGN if name.endswith(each)), None)
    if suffix is None or path.is_dir():
        return None
    what, remedy = FOREIGN[suffix]
    return f"'{path}' is {what}, which lociscope does not read. {remedy}."


def check_readable(path: Path) -> None:
    """Refuse URLs and unsupported formats.

    Raises:
        LociscopeError: The path is a URL, or a file of an unsupported format.
    """
    if reason := explain_unreadable(path):
        raise LociscopeError(reason, code=Code.UNSUPPORTED_FORMAT)


def is_zarr(ref: PlaneRef) -> bool:
    """Return whether a location is a Zarr group: by its name, the name of a parent, or its content."""
    if ref.member.startswith("./") or ref.member == ".":
        return True
    suffix, parts = get_suffix(ref.name), Path(ref.member or ref.file).parts
    if suffix in ZARR or any(get_suffix(part) in ZARR for part in parts[:-1]):
        return True
    return not suffix and not ref.member and is_group(ref.file)


def read_picture(ref: PlaneRef, *, colour: bool = False, plane: int | None = None) -> Picture:
    """Decode a file.

    Args:
        ref: Its location.
        colour: Whether a PNG must be a colour image rather than a grey one.
        plane: The index of a plane in a stack, from 0.

    Returns:
        Its planes.

    Raises:
        LociscopeError: The file cannot be read, is not in the format of its suffix, is damaged, or is too large.
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
        f"'{name}' is not an image that lociscope reads. Expected {', '.join(SUFFIXES)}, or one with .gz.",
        code=Code.WRONG_FILE,
    )


def list_source_files(ref: PlaneRef) -> list[Path]:
    """Return the files and folders that an image is read from; if one changes, the field changes."""
    if is_zarr(ref) and not ref.member:  # bioformats2raw stores the names of channels beside the images
        return [ref.file, ref.file.parent / "OME" / "METADATA.ome.xml"]
    if is_index(ref.file.name):
        try:
            image = read_file_set(ref.file)[int(ref.member or 0)]
        except (LociscopeError, ValueError, IndexError):
            return [ref.file]
        return [ref.file, *map(ref.file.with_name, image.files)]
    return [ref.file]


def _read_sibling(ref: PlaneRef, name: str) -> bytes | None:
    """Return the OME-XML of a companion file; None where it is missing."""
    folder, slash, _ = ref.member.rpartition("/")
    other = PlaneRef(ref.file, f"{folder}{slash}{name}") if ref.member else PlaneRef(ref.file.with_name(name))
    try:
        with open_member(other) as file:
            return read_description(file)
    except LociscopeError:
        return None
