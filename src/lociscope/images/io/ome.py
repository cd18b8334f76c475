"""OME-XML: the images that a document describes, and which page of which file is which plane."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from lociscope.errors import Code, LociscopeError
from lociscope.images.io.lengths import Sides, to_micrometres
from lociscope.images.io.picture import damaged_file_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

MOST_TEXT = 1 << 24
"""Most bytes of metadata that are read."""

_MOST_PLANES = 1 << 18
"""Most planes of one image."""

_At: TypeAlias = tuple[int, int, int]


class OmePlane(NamedTuple):
    """Where one plane of an image is.

    Attributes:
        at: Its numbers along C, Z and T.
        page: The number of its page in the file.
        file: Name of the file, or an empty string.
        uuid: The file's identifier, or an empty string.
    """

    at: _At
    page: int
    file: str
    uuid: str


class OmeImage(NamedTuple):
    """One image of a document.

    Attributes:
        names: Of its channels; empty strings where nothing names them.
        sides: Width and height of a pixel in µm, each or None.
        planes: Where its planes are, as `TiffData` says.
    """

    names: tuple[str, ...]
    sides: Sides
    planes: tuple[OmePlane, ...]


class OmeDocument(NamedTuple):
    """A document of OME-XML.

    Attributes:
        uuid: Identifier of the file that holds it, or an empty string.
        companion: The file that describes the images instead, by `BinaryOnly`; or an empty string.
        images: The images.
    """

    uuid: str
    companion: str
    images: tuple[OmeImage, ...]


def read_ome(text: str | bytes, name: str) -> OmeDocument:
    """Read a document.

    Args:
        text: The XML.
        name: What to call it in errors.

    Raises:
        LociscopeError: It defines entities, is too long, or is damaged.
    """
    from xml.etree import ElementTree

    check_xml(text.encode() if isinstance(text, str) else text, name)
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - without entities, of bounded length
        binary = next(_find_children(root, "BinaryOnly"), None)
        if binary is not None:
            return OmeDocument(binary.get("UUID", ""), binary.get("MetadataFile", ""), ())
        return OmeDocument(root.get("UUID", ""), "", tuple(map(_parse_image, _find_children(root, "Image"))))
    except (ElementTree.ParseError, ValueError, KeyError, TypeError) as error:
        raise damaged_file_error(name, error) from error


def check_xml(data: bytes, name: str) -> None:
    """Check metadata before they are parsed.

    Raises:
        LociscopeError: They define entities, which may multiply without end, or are too long.
    """
    if len(data) > MOST_TEXT:
        raise LociscopeError(
            f"'{name}' has {len(data) >> 20} MiB of metadata, more than the {MOST_TEXT >> 20} that lociscope reads. "
            "Save each field as a file of its own.",
            code=Code.TOO_LARGE,
        )
    if b"<!ENTITY" in data or b"<!DOCTYPE" in data:
        raise LociscopeError(
            f"'{name}' has metadata that define entities of their own. Save it anew.", code=Code.INVALID_VALUE
        )


def _find_children(element: Element, tag: str) -> Iterator[Element]:
    """The children of a name, in whatever namespace."""
    return (child for child in element if child.tag.rpartition("}")[2] == tag)


def _parse_image(element: Element) -> OmeImage:
    pixels = next(_find_children(element, "Pixels"), None)
    if pixels is None:
        return OmeImage((), (None, None), ())
    names: list[str] = []
    samples = 1
    for channel in _find_children(pixels, "Channel"):
        samples = int(channel.get("SamplesPerPixel", "1"))
        names += [channel.get("Name") or channel.get("Fluor") or _format_wavelength(channel)] * min(samples, 4)
    width, height = (
        to_micrometres(pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit")) for axis in "XY"
    )
    sizes = {axis: int(pixels.get(f"Size{axis}", "1")) for axis in "CZT"}
    sizes["C"] = max(sizes["C"] // max(samples, 1), 1)
    order = [axis for axis in pixels.get("DimensionOrder", "XYCZT") if axis in sizes]
    if sorted(order) != sorted(sizes) or min(sizes.values()) < 1 or math.prod(sizes.values()) > _MOST_PLANES:
        raise ValueError(f"{sizes} planes in the order {''.join(order)}")
    planes: list[OmePlane] = []
    for data in _find_children(pixels, "TiffData"):
        planes += _parse_planes(data, order, sizes, _MOST_PLANES - len(planes))
    return OmeImage(tuple(names), (width, height), tuple(planes))


def _parse_planes(data: Element, order: list[str], sizes: dict[str, int], most: int) -> Iterator[OmePlane]:
    """The planes of one `TiffData`, which go on from the first in the order of the dimensions."""
    uuid = next(_find_children(data, "UUID"), None)
    file = "" if uuid is None else uuid.get("FileName", "")
    text = "" if uuid is None else (uuid.text or "").strip()
    first, step = 0, 1
    for axis in order:
        first += int(data.get(f"First{axis}", "0")) * step
        step *= sizes[axis]
    page = int(data.get("IFD", "0"))
    count = data.get("PlaneCount", data.get("NumPlanes"))
    number = int(count or ("1" if "IFD" in data.attrib else step - first))
    if number > most:
        raise ValueError(f"{number} planes")
    for i in range(number):
        rest, at = first + i, {}
        for axis in order[:-1]:
            rest, at[axis] = divmod(rest, sizes[axis])
        at[order[-1]] = rest  # some writers go beyond the size that they give
        yield OmePlane((at["C"], at["Z"], at["T"]), page + i, file, text)


def _format_wavelength(channel: Element) -> str:
    value = channel.get("EmissionWavelength") or channel.get("ExcitationWavelength")
    try:
        return f"{float(value):.0f} nm" if value else ""
    except ValueError:
        return ""
