"""List the images of OME-Zarr: single images, plates, and series of bioformats2raw, in folders and zip archives."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from lociscope.errors import Code, LociscopeError
from lociscope.images.io.container import ARCHIVE_ERRORS, PlaneRef, open_archive
from lociscope.images.io.picture import damaged_file_error

if TYPE_CHECKING:
    from collections.abc import Iterator

SUFFIX = ".zarr"
ZIPPED = (".zarr.zip", ".ozx")
"""Suffixes of zip archives that are one OME-Zarr."""

METADATA = ("zarr.json", ".zattrs", ".zgroup")
"""Metadata files; a group has at least one of them."""

Folder: TypeAlias = "Path | zipfile.Path"
"""A folder on disk or in a zip archive."""

_MOST_TEXT = 1 << 24
_REMEDY = "Copy the folder again, or take it off the list."
_DEPTH = 3
"""Number of folders above a field of a plate, up to the plate: well, row, plate."""


class ZarrImage(NamedTuple):
    """One image of a Zarr, or one that the Zarr lists and does not contain.

    Attributes:
        ref: Its location.
        about: Its `well` and `site` in the layout.
        reason: Why it cannot be read, where that is known.
    """

    ref: PlaneRef
    about: dict[str, str]
    reason: str | None = None


class _ListedImage(NamedTuple):
    """An image that the metadata of the root list."""

    path: str
    about: dict[str, str]
    reason: str | None = None


def open_folder(ref: PlaneRef) -> Folder:
    """Return the folder of a group, on disk or in an archive.

    Raises:
        LociscopeError: The archive cannot be opened.
    """
    if not is_archive(ref.file):
        return ref.file
    prefix = "" if ref.member in ("", ".") else ref.member.removeprefix("./").strip("/") + "/"
    return zipfile.Path(open_archive(ref.file), prefix)


def is_archive(path: Path) -> bool:
    """Return whether a path has the suffix of a zip archive and is not a folder."""
    return path.suffix.lower() in (".zip", ".ozx") and not path.is_dir()


def is_group(folder: Folder) -> bool:
    """Return whether a folder of any name is a Zarr group."""
    return any((folder / name).is_file() for name in METADATA)


def get_file_size(path: Folder) -> int | None:
    """Return the size of a file in bytes; None where it does not exist."""
    try:
        return path.stat().st_size if isinstance(path, Path) else path.root.getinfo(path.at).file_size
    except (FileNotFoundError, NotADirectoryError, KeyError):
        return None


def read_small(path: Folder, name: str) -> bytes | None:
    """Return the content of a metadata file; None where it does not exist.

    Raises:
        LociscopeError: The file is far too long, or damaged.
    """
    size = get_file_size(path)
    if size is None:
        return None
    try:
        if size > _MOST_TEXT:
            raise ValueError("far too long")
        with path.open("rb") as file:
            return bytes(file.read(_MOST_TEXT))
    except IsADirectoryError:
        return None
    except (*ARCHIVE_ERRORS, EOFError, RuntimeError) as error:
        raise damaged_file_error(name, error) from error


def read_attributes(folder: Folder) -> dict[str, Any]:
    """Return a group's attributes: those under `ome` in version 0.5, else all; empty where there are none.

    Raises:
        LociscopeError: The metadata are not JSON.
    """
    for name in METADATA[:2]:
        text = read_small(folder / name, str(folder / name))
        if text is None:
            continue
        try:
            about = json.loads(text)
            if name == "zarr.json":
                about = about.get("attributes", {})
                about = about.get("ome", about)  # some writers of Zarr version 3 omit `ome`, as in 0.4
        except (ValueError, AttributeError, RecursionError) as error:
            raise damaged_file_error(str(folder / name), error) from error
        if isinstance(about, dict):
            return about
    return {}


def check_inside(path: object, name: str) -> str:
    """Return a relative path from metadata.

    Raises:
        LociscopeError: The path leaves its group.
    """
    text = str(path)
    if not text or text.startswith(("/", "\\")) or ".." in text.replace("\\", "/").split("/"):
        raise LociscopeError(
            f"'{name}' names the path {text!r}, which is not inside it. Write it again.", code=Code.REFUSED_CONTENT
        )
    return text


def list_images(ref: PlaneRef) -> list[ZarrImage]:
    """List the images of a Zarr.

    Args:
        ref: A group on disk, an archive that is one Zarr, or a group in an archive: the root of a plate or of a series
            of images, or a group within, which gives the images in that group.

    Returns:
        The images in the order of the metadata; those that are listed and missing have a reason. A Zarr of another
        layout is one image, and reading it raises the error.

    Raises:
        LociscopeError: The archive or the metadata are damaged.
    """
    if is_archive(ref.file) and not ref.member:
        groups = find_groups(open_archive(ref.file).namelist())
        about = {group: {"site": group.replace("/", "_")} if len(groups) > 1 else {} for group in groups}
        found = [_list_group(make_archive_ref(ref.file, group), {**about[group]}) for group in groups]
        return [image for images in found for image in images] or [ZarrImage(ref, {})]
    if (root := find_root(ref)) == ref:
        return _list_group(ref, {})
    wanted = ref.file.absolute().relative_to(root.file).as_posix()
    images = [each for each in _list_root(root.file) if f"{each.path}/".startswith(f"{wanted}/")]
    return _check_listed(root, images or [_ListedImage(wanted, {"site": wanted.replace("/", "_")})])


def find_groups(names: list[str]) -> list[str]:
    """Return the outermost Zarr groups among an archive's members; an empty text is the archive's root."""
    folders = {name.rpartition("/")[0] for name in names if name.rpartition("/")[2] in METADATA}
    roots: set[str] = set()
    for folder in sorted(folders, key=len):
        above = PurePosixPath(folder).parents
        if not ({"" if str(each) == "." else str(each) for each in above} & roots):
            roots.add(folder)
    return sorted(roots)


def make_archive_ref(archive: Path, group: str) -> PlaneRef:
    """Return the location of a Zarr group in an archive; an empty text is the archive's root."""
    return PlaneRef(archive, f"./{group}" if group else ".")


def find_root(ref: PlaneRef) -> PlaneRef:
    """Return the plate or series on disk that contains a group; the group itself where there is none.

    Raises:
        LociscopeError: The metadata of a parent folder are damaged.
    """
    for parent in reversed(ref.file.absolute().parents[:_DEPTH]) if not ref.member else ():
        about = read_attributes(parent)
        if "plate" in about or "bioformats2raw.layout" in about:
            return PlaneRef(parent)
    return ref


def _list_group(ref: PlaneRef, about: dict[str, str]) -> list[ZarrImage]:
    images = _check_listed(ref, _list_root(open_folder(ref)))
    return [image._replace(about={**about, **image.about}) for image in images]


def _list_root(root: Folder) -> list[_ListedImage]:
    about = read_attributes(root)
    try:
        if "plate" in about:
            return list(_list_plate(root, about["plate"]))
        if "bioformats2raw.layout" in about:
            series = list_series(root)
            return [_ListedImage(path, {"site": path} if len(series) > 1 else {}) for path in series]
    except (AttributeError, TypeError) as error:  # metadata may contain anything
        raise damaged_file_error(str(root), error) from error
    return [_ListedImage("", {})]


def _list_plate(root: Folder, plate: dict[str, Any]) -> Iterator[_ListedImage]:
    for well in plate.get("wells", []):
        path = check_inside(well.get("path", ""), str(root))
        row, _, column = path.partition("/")
        about = {"well": f"{row}{column}"}
        try:
            images = read_attributes(root / path).get("well", {}).get("images", [])
            sites = [check_inside(image.get("path", ""), str(root)) for image in images]
        except LociscopeError as error:
            yield _ListedImage(path, about, str(error))
            continue
        for site in sites:
            yield _ListedImage(f"{path}/{site}", {**about, "site": site})
        if not sites:
            yield _ListedImage(path, about, f"'{root}' lists the well '{path}', which has no field. {_REMEDY}")


def list_series(root: Folder) -> list[str]:
    """List the images of a bioformats2raw layout: those that `OME` names, else all of `0`, `1`, … that exist.

    Raises:
        LociscopeError: A path leaves the layout, or the metadata are damaged.
    """
    named = read_attributes(root / "OME").get("series")
    if isinstance(named, list) and named:
        return [check_inside(path, str(root)) for path in named]
    number = len(re.findall(rb"<(?:\w+:)?Image[\s>]", read_ome_xml(root)))
    while is_group(root / str(number)):
        number += 1
    return [str(each) for each in range(max(number, 1))]


def read_ome_xml(root: Folder) -> bytes:
    """Return the OME-XML that bioformats2raw stores beside the images; empty where it is missing or too long."""
    path = root / "OME" / "METADATA.ome.xml"
    return b"" if (get_file_size(path) or 0) > _MOST_TEXT else read_small(path, str(path)) or b""


def _check_listed(root: PlaneRef, images: list[_ListedImage]) -> list[ZarrImage]:
    """Return the location of each image, and the reason for those that are missing."""
    folder = open_folder(root)
    found = []
    for path, about, reason in images:
        if path and not reason and not is_group(folder / path):
            reason = f"'{root}' lists the image '{path}', which is missing. {_REMEDY}"
        found.append(ZarrImage(root.join(path) if path else root, about, reason))
    return found
