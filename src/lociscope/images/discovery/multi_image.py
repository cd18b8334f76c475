"""Locate the images of OME-Zarr, and of file sets that an index describes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lociscope.errors import LociscopeError
from lociscope.images.discovery.layouts import LocatedFile, locate
from lociscope.images.discovery.naming import ParsedName, Rules
from lociscope.images.io.container import PlaneRef
from lociscope.images.io.file_sets import COMPANION, NDTIFF, is_index, read_file_set
from lociscope.images.io.formats import ZARR
from lociscope.images.io.ndtiff import STACK
from lociscope.images.io.zarr_layout import SUFFIX, ZarrImage, find_root, list_images

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def find_index_files(files: Iterable[tuple[Path, str, PlaneRef]]) -> Iterator[Path]:
    """Yield the indices of file sets; a file of an NDTiff data set refers to its index."""
    for folder, name, ref in files:
        if is_index(name) and not ref.member and ref.file.is_file():
            yield ref.file
        elif STACK.fullmatch(name) and (index := folder / "NDTiff.index").is_file():
            yield index


def locate_set_images(index: Path, rules: Rules) -> Iterator[tuple[LocatedFile, set[Path]]]:
    """Yield the images of a set, each with the files that belong to it and are not fields themselves.

    An image within one TIFF is named after that file; others are named after the index or, in NDTiff, after its
    folder. TIFFs that are named after their channels are found by these names.
    """
    ndtiff = index.name.lower() == NDTIFF
    stem = index.parent.absolute().name if ndtiff else index.name[: -len(COMPANION)]
    try:
        images = read_file_set(index)
    except LociscopeError as error:
        name = ParsedName(stem, None, whole=True)
        yield LocatedFile(index.parent, index.name, PlaneRef(index), name, reason=str(error)), set()
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
        ref = PlaneRef(index, str(number))
        yield LocatedFile(index.parent, index.name, ref, whole), set(map(index.with_name, image.files))


def locate_zarr_images(
    ref: PlaneRef, rules: Rules, folder: Path | None = None, name: str = ""
) -> Iterator[LocatedFile]:
    """Yield the images of a Zarr, named after its root; a damaged Zarr is one image with the reason."""
    try:
        root, images = find_root(ref), list_images(ref)
    except LociscopeError as error:
        root, images = ref, [ZarrImage(ref, {}, str(error))]
    name = name or root.file.name
    name = name if name.lower().endswith(ZARR) else name + SUFFIX
    located = locate(folder or root.file.parent, name, ref, rules)
    if located is None:
        return
    for image in images:
        yield _locate_zarr_image(image, root, located)


def _locate_zarr_image(image: ZarrImage, root: PlaneRef, located: LocatedFile) -> LocatedFile:
    parsed = located.parsed
    if parsed is None or (not image.about and (not image.reason or not parsed.whole)):
        return located._replace(ref=image.ref)
    about = {"plate": parsed.id, **image.about} if "well" in image.about else image.about
    whole = ParsedName("_".join((parsed.id, *image.about.values())), None, whole=True, about=about)
    return LocatedFile(Path(str(root)), located.name, image.ref, whole, reason=image.reason)
