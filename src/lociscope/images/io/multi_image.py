"""Folders and files of several images: OME-Zarr, and sets of files that an index describes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lociscope.errors import LociscopeError
from lociscope.images.discovery.layouts import LocatedFile, locate
from lociscope.images.discovery.naming import ParsedName, Rules
from lociscope.images.io.file_sets import COMPANION, NDTIFF, is_index, read_file_set
from lociscope.images.io.formats import ZARR
from lociscope.images.io.ndtiff import STACK
from lociscope.images.io.zarr_layout import SUFFIX, ZarrImage, find_root, list_images

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def find_index_files(files: Iterable[tuple[Path, str, Path]]) -> Iterator[Path]:
    """The indices of sets of files; a file of an NDTiff data set stands for all of that."""
    for folder, name, path in files:
        if is_index(name) and path.is_file():
            yield path
        elif STACK.fullmatch(name) and (index := folder / "NDTiff.index").is_file():
            yield index


def locate_set_images(index: Path, rules: Rules) -> Iterator[tuple[LocatedFile, set[Path]]]:
    """The images of a set, each with the files that are part of it, and no fields of their own.

    An image that is all in one TIFF is called after that, others after the index or, in NDTiff, after its folder.
    TIFFs that are named by their channels are found by these names.
    """
    ndtiff = index.name.lower() == NDTIFF
    stem = index.parent.absolute().name if ndtiff else index.name[: -len(COMPANION)]
    try:
        images = read_file_set(index)
    except LociscopeError as error:
        yield LocatedFile(index.parent, index.name, index, ParsedName(stem, None, whole=True), reason=str(error)), set()
        return
    many = sum(len(image.files) > 1 for image in images) > 1
    for number, image in enumerate(images):
        parsed = [rules.parse(file) for file in image.files]
        if any(each and each.channel for each in parsed):
            continue
        about = {"site": image.label} if image.label else {"site": str(number)} if many and not ndtiff else {}
        whole = ParsedName("_".join((stem, *about.values())), None, whole=True, about=about or None)
        if not ndtiff and len(parsed) == 1 and parsed[0]:
            whole = parsed[0]
        path = Path(f"{index}!{number}")
        yield LocatedFile(index.parent, index.name, path, whole), set(map(index.with_name, image.files))


def locate_zarr_images(path: Path, rules: Rules, folder: Path | None = None, name: str = "") -> Iterator[LocatedFile]:
    """The images of a Zarr, called after its root; a damaged one is one image with the reason."""
    try:
        root, images = find_root(path), list_images(path)
    except LociscopeError as error:
        root, images = path, [ZarrImage(path, {}, str(error))]
    name = name or root.name
    name = name if name.lower().endswith(ZARR) else name + SUFFIX
    located = locate(folder or root.parent, name, path, rules)
    if located is None:
        return
    for image in images:
        yield _locate_zarr_image(image, root, located)


def _locate_zarr_image(image: ZarrImage, root: Path, located: LocatedFile) -> LocatedFile:
    parsed = located.parsed
    if parsed is None or (not image.about and (not image.reason or not parsed.whole)):
        return located._replace(path=image.path)
    about = {"plate": parsed.id, **image.about} if "well" in image.about else image.about
    whole = ParsedName("_".join((parsed.id, *image.about.values())), None, whole=True, about=about)
    return LocatedFile(root, located.name, image.path, whole, reason=image.reason)
