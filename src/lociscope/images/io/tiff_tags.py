"""Read the names of the channels and the pixel size from the metadata of a TIFF."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from lociscope.channels import find_channel
from lociscope.images.io.lengths import PLAUSIBLE_UM, Sides, square_side, to_micrometres

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPageSeries

    from lociscope.images.io.ome import OmeImage

CHANNEL_AXES = "CSQI"
"""Axes that may be channels: named channels, samples of a pixel, or pages of unknown meaning."""

_PRINT_UNITS = ("inch", "in", "cm", "centimeter")
"""Units of resolutions for printing."""


class TiffDescription(NamedTuple):
    """The channels and the pixel size of a TIFF.

    Attributes:
        axis: The letter of the channels' axis; an empty string where there is one channel.
        names: Names of the channels; empty strings where there are none.
        pixel_size: In µm, or None.
    """

    axis: str
    names: tuple[str, ...]
    pixel_size: float | None


def describe_tiff(tiff: TiffFile, series: TiffPageSeries, image: OmeImage | None, name: str) -> TiffDescription:
    """Read the metadata of OME, ImageJ, Micro-Manager and tifffile, or the resolution tags.

    Args:
        tiff: The file.
        series: The pages to read.
        image: Their OME-XML, where there is any.
        name: The file's name in error messages.

    Raises:
        LociscopeError: The pixels are not square.
    """
    if image is not None:
        names, (width, height) = list(image.names), image.sides
    else:
        names, (width, height) = (_describe_imagej if tiff.is_imagej else _describe_other)(tiff)
    axis = _find_channel_axis(series, names)
    number = series.shape[series.axes.index(axis)] if axis else 1
    named = tuple(names[:number]) if len(names) >= number else ()
    return TiffDescription(axis, named or ("",) * number, square_side(width, height, name))


def _find_channel_axis(series: TiffPageSeries, names: list[str]) -> str:
    sizes = {axis: size for axis, size in zip(series.axes, series.shape, strict=True) if size > 1 and axis not in "YX"}
    same = "C" not in sizes and len(names) > 1 and set(names) == {names[0] or None}  # pages of one channel
    if same:
        return ""
    for axis in CHANNEL_AXES:
        if axis in sizes:
            return axis
    # slices that are all named after stains are channels that are not declared as such
    named_axes = [axis for axis, size in sizes.items() if 1 < size == len(names) and all(map(find_channel, names))]
    return named_axes[0] if named_axes else ""


def _describe_imagej(tiff: TiffFile) -> tuple[list[str], Sides]:
    about: dict[str, Any] = tiff.imagej_metadata or {}
    names = [str(each) for each in about.get("Labels", [])]
    channels = int(about.get("channels", 1))
    if channels > 1 and len(names) > channels:  # one label per page, channels fastest
        names = names[:channels]
    unit = str(about.get("unit", ""))
    return names, _read_resolution(tiff, unit, printed=unit.strip().lower() in _PRINT_UNITS)


def _describe_other(tiff: TiffFile) -> tuple[list[str], Sides]:
    managed: dict[str, Any] = (tiff.micromanager_metadata or {}) if tiff.is_micromanager else {}
    summary = managed.get("Summary") or {}
    if summary:
        side = to_micrometres(summary.get("PixelSize_um"), None)
        return [str(each) for each in summary.get("ChNames") or []], (side, side)
    shaped: dict[str, Any] = (tiff.shaped_metadata or ({},))[0] if tiff.is_shaped else {}
    names = [str(each) for each in _to_list(_first(shaped.get("Channel")).get("Name"))]
    unit = {2: "inch", 3: "cm"}.get(int(tiff.pages.first.resolutionunit or 1), "")
    return names, _read_resolution(tiff, unit, printed=True)


def _read_resolution(tiff: TiffFile, unit: str, *, printed: bool) -> Sides:
    """Return the sides of a pixel from the resolution tags, which give pixels per unit.

    A resolution that may be for printing is used only in the range of microscopes: ImageJ keeps such a resolution, in
    inches or centimetres, when it saves an image.
    """
    sides: list[float | None] = []
    for tag in ("XResolution", "YResolution"):
        value = tiff.pages.first.tags.valueof(tag, default=(0, 0))
        up, down = value if isinstance(value, tuple) and len(value) == 2 else (0, 0)
        side = to_micrometres(down / up, unit) if up else None
        sides.append(side if side and (not printed or PLAUSIBLE_UM[0] <= side <= PLAUSIBLE_UM[1]) else None)
    return sides[0], sides[1]


def _to_list(value: object) -> list[Any]:
    return (
        value
        if isinstance(value, list)
        else list(value)
        if isinstance(value, tuple)
        else []
        if value is None
        else [value]
    )


def _first(value: object) -> dict[str, Any]:
    first = next(iter(_to_list(value)), None)
    return first if isinstance(first, dict) else {}
