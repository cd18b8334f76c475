"""Parse OME-XML: the images in a document, and the file and page of each plane."""

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
"""Maximum size of metadata in bytes."""

_MOST_PLANES = 1 << 18
"""Maximum number of planes of one image."""

_At: TypeAlias = tuple[int, int, int]


class OmePlane(NamedTuple):
    """The location of one plane of an image.

    Attributes:
        at: Its indices along C, Z and T.
        page: The index of its page in the file.
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
        names: Names of the channels; empty strings where there are none.
        sides: Width and height of a pixel in µm, each may be None.
        planes: The locations of its planes, from `TiffData`.
    """

    names: tuple[str, ...]
    sides: Sides
    planes: tuple[OmePlane, ...]


class OmeDocument(NamedTuple):
    """A document of OME-XML.

    Attributes:
        uuid: Identifier of the file that contains it, or an empty string.
        companion: The file with the description of the images, from `BinaryOnly`; or an empty string.
        images: The images.
    """

    uuid: str
    companion: str
    images: tuple[OmeImage, ...]


def read_ome(text: str | bytes, name: str) -> OmeDocument:
    """Read a document.

    Args:
        text: The XML.
        name: Its name in error messages.

    Raises:
        LociscopeError: The document defines entities, is too long, or is damaged.
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
    """Check metadata before parsing.

    Raises:
        LociscopeError: They define entities, which may expand without end, or are too long.
    """
    if len(data) > MOST_TEXT:
        raise LociscopeError(
            f"'{name}' has {len(data) >> 20} MiB of metadata, more than the {MOST_TEXT >> 20} that lociscope reads. "
            "Save each field as a separate file.",
            code=Code.TOO_LARGE,
        )
    if b"<!ENTITY" in data or b"<!DOCTYPE" in data:
        raise LociscopeError(
            f"'{name}' has metadata that define XML entities. Save it again.", code=Code.REFUSED_CONTENT
        )


def _find_children(element: Element, tag: str) -> Iterator[Element]:
    """Return the children with a name, in any namespace."""
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
    """Yield the planes of one `TiffData`, from its first plane in the order of the dimensions."""
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
        at[order[-1]] = rest  # some writers exceed the size that they declare
        yield OmePlane((at["C"], at["Z"], at["T"]), page + i, file, text)


def _format_wavelength(channel: Element) -> str:
    value = channel.get("EmissionWavelength") or channel.get("ExcitationWavelength")
    try:
        return f"{float(value):.0f} nm" if value else ""
    except ValueError:
        return ""
