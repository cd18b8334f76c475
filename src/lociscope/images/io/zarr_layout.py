"""The layouts of OME-Zarr: single images, plates, and the series of bioformats2raw, in folders and zip archives."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from lociscope.errors import Code, LociscopeError
from lociscope.images.io.container import ARCHIVE_ERRORS, PlaneRef, open_archive, parse_plane_ref
from lociscope.images.io.picture import damaged_file_error

if TYPE_CHECKING:
    from collections.abc import Iterator

SUFFIX = ".zarr"
ZIPPED = (".zarr.zip", ".ozx")
"""Suffixes of a zip archive that is one OME-Zarr."""

METADATA = ("zarr.json", ".zattrs", ".zgroup")
"""Files of which a group has at least one."""

Folder: TypeAlias = "Path | zipfile.Path"
"""A folder on disk or in a zip archive."""

_MOST_TEXT = 1 << 24
_REMEDY = "Copy the folder again, or take it off the list."
_DEPTH = 3
"""Folders from a field of a plate up to the plate: well, row, plate."""


class ZarrImage(NamedTuple):
    """One image of a Zarr, or one that it lists and does not have.

    Attributes:
        path: Where it is, as `parse_plane_ref` reads it.
        about: What the layout says of it: `well` and `site`.
        reason: Why it cannot be read, where that is known already.
    """

    path: Path
    about: dict[str, str]
    reason: str | None = None


class _ListedImage(NamedTuple):
    """An image as the metadata of its root list it."""

    path: str
    about: dict[str, str]
    reason: str | None = None


def open_folder(ref: PlaneRef) -> Folder:
    """Return the group of a place.

    Raises:
        LociscopeError: It is in an archive that cannot be opened.
    """
    if not is_archive(ref.file):
        return ref.file
    prefix = "" if ref.member in ("", ".") else ref.member.removeprefix("./").strip("/") + "/"
    return zipfile.Path(open_archive(ref.file), prefix)


def is_archive(path: Path) -> bool:
    """Return whether a path is called like a zip archive and is no folder."""
    return path.suffix.lower() in (".zip", ".ozx") and not path.is_dir()


def is_group(folder: Folder) -> bool:
    """Return whether a folder is a Zarr group, whatever its name is."""
    return any((folder / name).is_file() for name in METADATA)


def get_file_size(path: Folder) -> int | None:
    """Return the bytes of a file; None where it does not exist."""
    try:
        return path.stat().st_size if isinstance(path, Path) else path.root.getinfo(path.at).file_size
    except (FileNotFoundError, NotADirectoryError, KeyError):
        return None


def read_small(path: Folder, name: str) -> bytes | None:
    """Return the bytes of a file of metadata; None where it does not exist.

    Raises:
        LociscopeError: It is far too long, or damaged.
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
    """Return a group's attributes: those under `ome` in version 0.5, else all of them; empty where it has none.

    Raises:
        LociscopeError: They are no JSON.
    """
    for name in METADATA[:2]:
        text = read_small(folder / name, str(folder / name))
        if text is None:
            continue
        try:
            about = json.loads(text)
            if name == "zarr.json":
                about = about.get("attributes", {})
                about = about.get("ome", about)  # some writers of version 3 of Zarr keep to 0.4 in this
        except (ValueError, AttributeError, RecursionError) as error:
            raise damaged_file_error(str(folder / name), error) from error
        if isinstance(about, dict):
            return about
    return {}


def check_inside(path: object, name: str) -> str:
    """Return a relative path of metadata.

    Raises:
        LociscopeError: It leads out of its group.
    """
    text = str(path)
    if not text or text.startswith(("/", "\\")) or ".." in text.replace("\\", "/").split("/"):
        raise LociscopeError(
            f"'{name}' names the path {text!r}, which is not inside it. Write it anew.", code=Code.INVALID_VALUE
        )
    return text


def list_images(path: Path) -> list[ZarrImage]:
    """List the images of a Zarr.

    Args:
        path: A group on disk, an archive that is one Zarr, or a group in an archive, as `parse_plane_ref` reads it. The
            root of a plate or of a series of images, or anything within, which gives what lies there.

    Returns:
        Its images in the order of the metadata; those that are listed and absent have a reason. A Zarr of another
        layout is one image, and reading it will say what is wrong.

    Raises:
        LociscopeError: The archive or the metadata are damaged.
    """
    ref = parse_plane_ref(path)
    if is_archive(ref.file) and not ref.member:
        groups = find_groups(open_archive(ref.file).namelist())
        about = {group: {"site": group.replace("/", "_")} if len(groups) > 1 else {} for group in groups}
        found = [_list_group(join_archive_path(path, group), {**about[group]}) for group in groups]
        return [image for images in found for image in images] or [ZarrImage(path, {})]
    if ref.member or (root := find_root(path)) == path:
        return _list_group(path, {})
    wanted = path.absolute().relative_to(root).as_posix()
    images = [each for each in _list_root(root) if f"{each.path}/".startswith(f"{wanted}/")]
    return _check_listed(root, images or [_ListedImage(wanted, {"site": wanted.replace("/", "_")})])


def find_groups(names: list[str]) -> list[str]:
    """Return the outermost Zarr groups among the names of an archive's members; empty text is the archive's root."""
    folders = {name.rpartition("/")[0] for name in names if name.rpartition("/")[2] in METADATA}
    roots: set[str] = set()
    for folder in sorted(folders, key=len):
        above = PurePosixPath(folder).parents
        if not ({"" if str(each) == "." else str(each) for each in above} & roots):
            roots.add(folder)
    return sorted(roots)


def join_archive_path(archive: Path, group: str) -> Path:
    """Return the path of a Zarr group in an archive; an empty group is the archive's root."""
    return Path(f"{archive}!./{group}" if group else f"{archive}!.")


def find_root(path: Path) -> Path:
    """Return the plate or series that a group on disk is part of; itself where it is of none.

    Raises:
        LociscopeError: The metadata of a folder above are damaged.
    """
    for parent in reversed(path.absolute().parents[:_DEPTH]):
        about = read_attributes(parent)
        if "plate" in about or "bioformats2raw.layout" in about:
            return parent
    return path


def _list_group(path: Path, about: dict[str, str]) -> list[ZarrImage]:
    images = _check_listed(path, _list_root(open_folder(parse_plane_ref(path))))
    return [image._replace(about={**about, **image.about}) for image in images]


def _list_root(root: Folder) -> list[_ListedImage]:
    about = read_attributes(root)
    try:
        if "plate" in about:
            return list(_list_plate(root, about["plate"]))
        if "bioformats2raw.layout" in about:
            series = list_series(root)
            return [_ListedImage(path, {"site": path} if len(series) > 1 else {}) for path in series]
    except (AttributeError, TypeError) as error:  # metadata may be anything
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
    """List the images of a bioformats2raw layout: those that `OME` names, or `0`, `1`, … as far as they go.

    Raises:
        LociscopeError: A path leads out of it, or the metadata are damaged.
    """
    named = read_attributes(root / "OME").get("series")
    if isinstance(named, list) and named:
        return [check_inside(path, str(root)) for path in named]
    number = len(re.findall(rb"<(?:\w+:)?Image[\s>]", read_ome_xml(root)))
    while is_group(root / str(number)):
        number += 1
    return [str(each) for each in range(max(number, 1))]


def read_ome_xml(root: Folder) -> bytes:
    """Return the OME-XML that bioformats2raw keeps beside its images; empty where there is none, or too much."""
    path = root / "OME" / "METADATA.ome.xml"
    return b"" if (get_file_size(path) or 0) > _MOST_TEXT else read_small(path, str(path)) or b""


def _check_listed(root: Path, images: list[_ListedImage]) -> list[ZarrImage]:
    """Give each image its path, and those that are absent their reason."""
    folder = open_folder(parse_plane_ref(root))
    found = []
    for path, about, reason in images:
        if path and not reason and not is_group(folder / path):
            reason = f"'{root}' lists the image '{path}', which is not there. {_REMEDY}"
        found.append(ZarrImage(root / path if path else root, about, reason))
    return found
