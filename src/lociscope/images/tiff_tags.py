"""What a TIFF says of itself: names of its channels and the size of its pixels."""

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from lociscope.channels import channel_named
from lociscope.errors import LociscopeError

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPageSeries

CHANNEL_AXES = "CSQI"
"""Axes that may hold channels: named so, samples of a pixel, or pages that nobody explains."""

PLAUSIBLE_UM = (0.005, 5.0)
"""Pixel sizes that a microscope has; a TIFF's resolution outside it is a printer's, such as 72 dpi (353 µm)."""

_UM = {
    "m": 1e6, "cm": 1e4, "mm": 1e3, "nm": 1e-3, "pm": 1e-6, "inch": 25400.0, "in": 25400.0,
    **dict.fromkeys(("µm", "μm", "um", "micron", "microns", "micrometer", "micrometre", "\\u00b5m"), 1.0),
    **{"å": 1e-4, "angstrom": 1e-4, "millimeter": 1e3, "centimeter": 1e4, "meter": 1e6},
    **{"nanometer": 1e-3, "picometer": 1e-6},
}  # fmt: skip


_Sides = tuple[float | None, float | None]
"""Width and height of a pixel in µm."""


class Described(NamedTuple):
    """What metadata say.

    Attributes:
        axis: The letter of the channels' axis, or an empty string where there is one channel.
        names: Names of the channels, empty strings where nothing names them.
        pixel_size: In µm, or None.
    """

    axis: str
    names: tuple[str, ...]
    pixel_size: float | None


def describe(tiff: "TiffFile", series: "TiffPageSeries", name: str) -> Described:
    """Reads the metadata of OME, ImageJ, Micro-Manager and tifffile, or the resolution tags.

    Raises:
        LociscopeError: The pixels are not square.
    """
    names, (width, height) = (_of_ome if tiff.is_ome else _of_imagej if tiff.is_imagej else _of_others)(tiff)
    if tiff.is_ome and series.kind != "ome":
        names = _own_names(tiff, names, name)
    axis = _channel_axis(series, names)
    number = series.shape[series.axes.index(axis)] if axis else 1
    named = tuple(names[:number]) if len(names) >= number else ()
    return Described(axis, named or ("",) * number, square(width, height, name))


def micrometres(value: object, unit: object) -> float | None:
    """A length in µm.

    Args:
        value: A number or its text.
        unit: For example `mm`, `micron`, `inch`; None is µm, as in OME.

    Returns:
        The length, or None where it is no positive number or the unit is none of length, such as `pixel`.
    """
    try:
        length = float(str(value)) * _UM["µm" if unit is None else str(unit).strip().lower()]
    except (ValueError, KeyError):
        return None
    return length if 0 < length < math.inf else None


def square(width: float | None, height: float | None, name: str) -> float | None:
    """The side of a pixel of that width and height, either of which may not be known.

    Raises:
        LociscopeError: It is not square.
    """
    if width and height and abs(width - height) > 0.01 * width:
        raise LociscopeError(
            f"'{name}' has pixels of {width:.4g} × {height:.4g} µm. Resample it to square pixels first."
        )
    return width or height


def _channel_axis(series: "TiffPageSeries", names: "list[str]") -> str:
    sizes = {axis: size for axis, size in zip(series.axes, series.shape, strict=True) if size > 1 and axis not in "YX"}
    same = "C" not in sizes and len(names) > 1 and set(names) == {names[0] or None}  # pages of one channel
    if same:
        return ""
    for axis in CHANNEL_AXES:
        if axis in sizes:
            return axis
    # slices that are all called after stains are channels that nobody declared as such
    called = [axis for axis, size in sizes.items() if 1 < size == len(names) and all(map(channel_named, names))]
    return called[0] if called else ""


def _of_ome(tiff: "TiffFile") -> tuple[list[str], _Sides]:
    from tifffile import xml2dict

    image = _first(_first(xml2dict(tiff.ome_metadata or "").get("OME")).get("Image"))
    pixels = _first(image.get("Pixels"))
    names: list[str] = []
    for channel in _all(pixels.get("Channel")):
        samples = int(channel.get("SamplesPerPixel", 1))
        called = next((str(channel[key]) for key in ("Name", "Fluor") if channel.get(key)), "")
        names += [called or _wavelength(channel)] * min(samples, 4)
    width, height = (
        micrometres(pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit")) for axis in "XY"
    )
    return names, (width, height)


def _own_names(tiff: "TiffFile", names: list[str], file: str) -> list[str]:
    """Names of the pages of a file of an OME set; each file of the set describes the pages of all."""
    from tifffile import xml2dict

    root = _first(xml2dict(tiff.ome_metadata or "").get("OME"))
    own: list[tuple[int, str]] = []
    for data in _all(_first(_first(root.get("Image")).get("Pixels")).get("TiffData")):
        uuid = data.get("UUID") or {}
        text, where = (uuid.get("value"), uuid.get("FileName")) if isinstance(uuid, dict) else (uuid, None)
        channel = int(data.get("FirstC", 0))
        if (text == root.get("UUID") or (where and file.endswith(str(where)))) and 0 <= channel < len(names):
            own.append((int(data.get("IFD", 0)), names[channel]))
    return [name for _, name in sorted(own)]


def _wavelength(channel: "dict[str, Any]") -> str:
    value = channel.get("EmissionWavelength") or channel.get("ExcitationWavelength")
    return f"{value:.0f} nm" if isinstance(value, (int, float)) else ""


def _of_imagej(tiff: "TiffFile") -> tuple[list[str], _Sides]:
    about: dict[str, Any] = tiff.imagej_metadata or {}
    names = [str(each) for each in about.get("Labels", [])]
    channels = int(about.get("channels", 1))
    if channels > 1 and len(names) > channels:  # one label a page, channels fastest
        names = names[:channels]
    return names, _resolution(tiff, str(about.get("unit", "")))


def _of_others(tiff: "TiffFile") -> tuple[list[str], _Sides]:
    managed: dict[str, Any] = (tiff.micromanager_metadata or {}) if tiff.is_micromanager else {}
    summary = managed.get("Summary") or {}
    if summary:
        side = micrometres(summary.get("PixelSize_um"), None)
        return [str(each) for each in summary.get("ChNames") or []], (side, side)
    shaped: dict[str, Any] = (tiff.shaped_metadata or ({},))[0] if tiff.is_shaped else {}
    names = [str(each) for each in _all(_first(shaped.get("Channel")).get("Name"))]
    unit = {2: "inch", 3: "cm"}.get(int(tiff.pages.first.resolutionunit or 1), "")
    width, height = (
        side if side and PLAUSIBLE_UM[0] <= side <= PLAUSIBLE_UM[1] else None for side in _resolution(tiff, unit)
    )
    return names, (width, height)


def _resolution(tiff: "TiffFile", unit: str) -> _Sides:
    """Sides of a pixel by the resolution tags, which count pixels a unit."""
    sides = []
    for tag in ("XResolution", "YResolution"):
        value = tiff.pages.first.tags.valueof(tag, default=(0, 0))
        up, down = value if isinstance(value, tuple) and len(value) == 2 else (0, 0)
        sides.append(micrometres(down / up, unit) if up else None)
    return sides[0], sides[1]


def _all(value: object) -> "list[Any]":
    return (
        value
        if isinstance(value, list)
        else list(value)
        if isinstance(value, tuple)
        else []
        if value is None
        else [value]
    )


def _first(value: object) -> "dict[str, Any]":
    first = next(iter(_all(value)), None)
    return first if isinstance(first, dict) else {}
