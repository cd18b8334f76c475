"""OME-Zarr, versions 0.4 and 0.5 of the OME-NGFF specification: an image, by the names in its metadata."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from zipfile import Path as ZipPath

import numpy as np

from lociscope.errors import Code, LociscopeError, MissingExtraError
from lociscope.images.io.lengths import square_side, to_micrometres
from lociscope.images.io.ome import read_ome
from lociscope.images.io.picture import (
    Picture,
    check_bytes,
    check_plane,
    check_size,
    damaged_file_error,
    file_error,
    to_native_type,
)
from lociscope.images.io.zarr_chunks import check_chunks
from lociscope.images.io.zarr_layout import check_inside, list_series, open_folder, read_attributes, read_ome_xml
from lociscope.warnings import FieldWarning, WarningKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lociscope.images.io.container import PlaneRef
    from lociscope.images.io.zarr_layout import Folder

PLAUSIBLE_UM, PLAUSIBLE_FIELD_UM = (0.01, 10.0), (10.0, 5000.0)
"""Ranges of the sides of a pixel and of a field, µm, for which a scale without a unit is taken as µm."""


class _Scale(NamedTuple):
    """The side of a pixel in µm, and warnings about it."""

    side: float | None
    warnings: tuple[FieldWarning, ...] = ()


def read_zarr(ref: PlaneRef, plane: int | None = None) -> Picture:
    """Read the full-size level of an image.

    Args:
        ref: The image's group, the folder with `.zattrs` or `zarr.json`, on disk or in a zip archive.
        plane: The index of a slice in a z-stack or of a frame in a time series, from 0.

    Returns:
        The planes, with the names and the pixel size in the metadata.

    Raises:
        LociscopeError: The group is not an image, lacks chunks, is damaged or too large, or `plane` is needed.
        MissingExtraError: The extra `zarr` is not installed.
    """
    name, folder = str(ref), open_folder(ref)
    about = read_attributes(folder)
    image = _get_image(about, name)
    try:
        level = _first(image.get("datasets"))
        axes = [str(axis["name"] if isinstance(axis, dict) else axis).lower() for axis in image["axes"]]
        with _open_array(ref, check_inside(level["path"], name), name) as array:
            pixels = _read_planes(array, folder / level["path"], axes, plane, name)
        scale = _read_scale(image, level, pixels.shape, name)
        names = [str(each.get("label") or "") for each in about.get("omero", {}).get("channels", [])]
        if not names:
            names, scale = _read_names(folder, scale, name)
    except (LociscopeError, MemoryError):
        raise
    except OSError as error:
        raise file_error(name, error) from error
    except Exception as error:  # metadata may contain anything
        raise damaged_file_error(name, error) from error
    number = pixels.shape[-1]
    named = tuple(names) if len(names) == number else ("",) * number
    return Picture(to_native_type(pixels, name), named, scale.side, warnings=scale.warnings)


def _get_image(about: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the one image in a group's metadata."""
    images = about.get("multiscales")
    image = _first(images)
    if not image:
        raise LociscopeError(
            f"'{name}' has no metadata of an OME-Zarr image. Copy the whole folder.", code=Code.INCOMPLETE
        )
    paths = {str(_first(_first([each]).get("datasets")).get("path")) for each in images or []}
    if len(paths) > 1:
        raise LociscopeError(
            f"'{name}' is a group of {len(paths)} images. Save each field as a separate Zarr.",
            code=Code.UNSUPPORTED_FORMAT,
        )
    return image


@contextmanager
def _open_array(ref: PlaneRef, path: str, name: str) -> Iterator[Any]:
    try:
        import zarr
    except ImportError as error:
        raise MissingExtraError(f"'{name}' (OME-Zarr)", "zarr") from error
    folder = open_folder(ref)
    archive = zarr.storage.ZipStore(ref.file, mode="r") if isinstance(folder, ZipPath) else None
    try:
        if isinstance(folder, ZipPath):
            array = zarr.open_array(store=archive, path=f"{folder.at}{path}", mode="r")
        else:
            array = zarr.open_array(store=str(folder / path), mode="r")
        check_bytes(int(np.prod(array.chunks)) * array.dtype.itemsize, name)
        yield array
    except FileNotFoundError as error:
        raise LociscopeError(
            f"'{name}' has no pixels at '{path}'. Copy the whole folder.", code=Code.INCOMPLETE
        ) from error
    finally:
        if archive is not None:
            archive.close()


def _read_planes(array: Any, folder: Folder, axes: list[str], plane: int | None, name: str) -> np.ndarray:  # noqa: ANN401
    """Return the channels of the selected slice, (y, x, c)."""
    if len(axes) != array.ndim or axes[-2:] != ["y", "x"] or array.dtype.kind not in "uif":
        raise ValueError(f"axes {axes} of {array.ndim} dimensions of {array.dtype}")
    height, width = array.shape[-2:]
    check_size(width, height, name)
    outer = list(zip(axes[:-2], array.shape, strict=False))
    check_plane(name, [(axis.upper(), size) for axis, size in outer if axis != "c" and size > 1], plane)
    region = [slice(0, size) for size in array.shape]
    for number, (axis, size) in enumerate(outer):
        if axis != "c":
            first = (plane or 0) if size > 1 else 0
            region[number] = slice(first, first + 1)
    channels = array.shape[axes.index("c")] if "c" in axes else 1
    check_bytes(channels * height * width * array.dtype.itemsize, name)
    check_chunks(array, folder, tuple(region), name)
    pixels: np.ndarray = np.asarray(array[tuple(region)])
    return np.moveaxis(pixels.reshape(channels, height, width), 0, -1)


def _read_scale(image: dict[str, Any], level: dict[str, Any], shape: tuple[int, ...], name: str) -> _Scale:
    """Return the side of a pixel; a scale without a unit is taken as µm where that is plausible.

    A scale of 1 without a unit gives no size: the specification requires a scale, and writers use 1 where the size is
    unknown.
    """
    scale = [1.0] * len(image["axes"])
    for step in (*level.get("coordinateTransformations", ()), *image.get("coordinateTransformations", ())):
        if step.get("type") == "scale":
            scale = [a * b for a, b in zip(scale, step["scale"], strict=True)]
    units = [axis.get("unit") if isinstance(axis, dict) else None for axis in image["axes"]]
    sides, units = scale[-2:], units[-2:]
    if any(units):
        height, width = (to_micrometres(side, unit or "") for side, unit in zip(sides, units, strict=True))
        found = square_side(width, height, name)
        unit = next(unit for unit in units if unit)
        return _Scale(found) if found else _ignore_scale(f"{sides[-1]:g} {unit}")
    if sides == [1.0, 1.0]:
        return _Scale(None)
    side = square_side(sides[1], sides[0], name) or 0.0
    low, high = PLAUSIBLE_FIELD_UM
    spans = [side * pixels for pixels in shape[:2]]
    if PLAUSIBLE_UM[0] <= side <= PLAUSIBLE_UM[1] and min(spans) >= low and max(spans) <= high:
        return _Scale(side, (FieldWarning(WarningKind.PIXEL_SIZE_UNIT_ASSUMED),))
    return _ignore_scale(f"{side:g} without a unit")


def _ignore_scale(declared: str) -> _Scale:
    return _Scale(None, (FieldWarning(WarningKind.PIXEL_SIZE_IGNORED, value=declared),))


def _read_names(folder: Folder, scale: _Scale, name: str) -> tuple[list[str], _Scale]:
    """Return names, and the size where it is missing, from the OME-XML that bioformats2raw stores beside the images."""
    root = cast("Folder", folder.parent)
    text = read_ome_xml(root)
    series = list_series(root) if text else []
    images = read_ome(text, name).images if text and folder.name in series else ()
    number = series.index(folder.name) if images else 0
    if number >= len(images):
        return [], scale
    image = images[number]
    side = None if scale.side else square_side(*image.sides, name)
    return list(image.names), _Scale(side) if side else scale


def _first(value: object) -> dict[str, Any]:
    first = value[0] if isinstance(value, list) and value else None
    return first if isinstance(first, dict) else {}
