"""Select the pages of an OME-TIFF whose images may extend over several files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lociscope.errors import Code, LociscopeError
from lociscope.images.io.ome import OmeDocument, OmeImage, OmePlane, read_ome

if TYPE_CHECKING:
    from collections.abc import Callable

    from tifffile import TiffFile, TiffPageSeries


def select_ome_series(
    tiff: TiffFile, name: str, sibling: Callable[[str], bytes | None]
) -> tuple[TiffPageSeries, OmeImage | None]:
    """Return the pages of an OME-TIFF to read, and their metadata.

    Args:
        tiff: The file, opened without its siblings.
        name: Its name in error messages, which ends in the file's name.
        sibling: Returns the content of a file in the same folder, or None.

    Raises:
        LociscopeError: The metadata are in a companion file that is missing, or the file has several images.
        ValueError: The metadata name pages that do not exist.
    """
    document = read_ome(tiff.ome_metadata or "", name)
    uuid = document.uuid
    if document.companion:
        text = sibling(document.companion) if re.fullmatch(r"[^/\\!]+", document.companion) else None
        if text is None and tiff.is_micromanager:
            return tiff.series[0], None  # Micro-Manager also names the channels in its own metadata
        if text is None:
            raise LociscopeError(
                f"'{name}' has its metadata in '{document.companion}', which is not beside it. Copy it there.",
                code=Code.NOT_FOUND,
            )
        document = read_ome(text, document.companion)
    series = tiff.series[0]
    if series.kind == "ome":
        return series, next(iter(document.images), None)
    own = _select_own_planes(document, uuid, re.split(r"[/\\!]", name)[-1].removesuffix(".gz"))
    if len(own) > 1:
        raise LociscopeError(
            f"'{name}' has {len(own)} images. Save each field as a separate file.", code=Code.UNSUPPORTED_FORMAT
        )
    return _join_planes(tiff, *own[0]) if own else (series, None)


def _select_own_planes(document: OmeDocument, uuid: str, file: str) -> list[tuple[OmeImage, list[OmePlane]]]:
    """Return the images with planes in this file, found by its identifier, else by its name, else as the only file."""
    only = len({(plane.file, plane.uuid) for image in document.images for plane in image.planes}) == 1
    rules: tuple[Callable[[OmePlane], bool], ...] = (
        lambda plane: bool(uuid) and plane.uuid == uuid,
        lambda plane: plane.file == file,
        lambda plane: only or not (plane.file or plane.uuid),
    )
    for is_own in rules:
        found = [(image, [plane for plane in image.planes if is_own(plane)]) for image in document.images]
        if here := [(image, planes) for image, planes in found if planes]:
            return here
    return []


def _join_planes(tiff: TiffFile, image: OmeImage, planes: list[OmePlane]) -> tuple[TiffPageSeries, OmeImage]:
    """Return one series of the planes in this file, with the channels of these planes."""
    from tifffile import TiffPageSeries

    page_of = {plane.at: plane.page for plane in planes}
    channels, slices, times = (sorted({at[axis] for at in page_of}) for axis in range(3))
    order = [(c, z, t) for t in times for c in channels for z in slices]
    lacking = [at for at in order if not 0 <= page_of.get(at, -1) < len(tiff.pages)]
    if lacking:
        raise ValueError(f"it lacks {len(lacking)} of the {len(order)} planes that its metadata name")
    pages = [tiff.pages[page_of[at]] for at in order]
    first = pages[0]
    if any(page.shape != first.shape for page in pages):
        raise ValueError("its planes differ in size")
    shape = (len(times), len(channels), len(slices), *first.shape)
    series = TiffPageSeries(pages, shape, first.dtype, f"TCZ{first.axes}", parent=tiff, kind="ome")
    grey = len(first.shape) == 2
    names = tuple(image.names[c] if c < len(image.names) else "" for c in channels) if grey else image.names
    return series, image._replace(names=names)
