"""OME-Zarr, versions 0.4 and 0.5 of the OME-NGFF specification: fields and plates, by the names in their metadata."""

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lociscope.errors import LociscopeError, MissingExtraError
from lociscope.images.picture import Picture, check_bytes, check_size, damaged, plain
from lociscope.images.tiff_tags import micrometres, square

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SUFFIX = ".zarr"
_MOST_TEXT = 1 << 24


class Spot(NamedTuple):
    """One field of a plate: its folder, and what the plate says of where it is."""

    folder: "Path"
    well: str
    site: str


def read_zarr(folder: "Path", plane: int | None = None) -> Picture:
    """Reads the full-size level of an image.

    Args:
        folder: The image's group, the folder that holds `.zattrs` or `zarr.json`.
        plane: The slice of a z-stack or the frame of a time series, from 0.

    Returns:
        Its planes, with the names and the pixel size that its metadata declare.

    Raises:
        LociscopeError: It is no image, lacks chunks, is damaged, too large, or needs a slice to be chosen.
        MissingExtraError: The extra `zarr` is not installed.
    """
    name = str(folder)
    image = _first(_attributes(folder).get("multiscales"))
    if not image:
        raise LociscopeError(f"'{name}' has no metadata of an OME-Zarr image. Is it a copy of the whole folder?")
    try:
        level = _first(image.get("datasets"))
        array = _opened(folder / _inside(level["path"], name), name)
        axes = [str(axis["name"] if isinstance(axis, dict) else axis).lower() for axis in image["axes"]]
        pixels = _planes(array, axes, plane, name)
        size = _pixel_size(image, level, axes)
    except (LociscopeError, MemoryError, OSError):
        raise
    except Exception as error:  # metadata may be anything
        raise damaged(name, error) from error
    names = [str(each.get("label") or "") for each in _attributes(folder).get("omero", {}).get("channels", [])]
    number = pixels.shape[-1]
    return Picture(plain(pixels, name), tuple(names) if len(names) == number else ("",) * number, size)


def plate_fields(folder: "Path") -> "Iterator[Spot]":
    """The fields of a plate; none where the group is no plate.

    Raises:
        LociscopeError: A well is missing, or the metadata are damaged.
    """
    plate = _attributes(folder).get("plate")
    for well in (plate or {}).get("wells", []):
        path = _inside(well.get("path", ""), str(folder))
        for image in _attributes(folder / path).get("well", {}).get("images", []):
            site = _inside(image.get("path", ""), str(folder))
            row, _, column = path.partition("/")
            yield Spot(folder / path / site, f"{row}{column}", site)


def _attributes(folder: "Path") -> dict[str, Any]:
    """A group's own attributes: those under `ome` in version 0.5, all of them in 0.4."""
    for name in ("zarr.json", ".zattrs"):
        path = folder / name
        try:
            if path.stat().st_size > _MOST_TEXT:
                raise ValueError("far too long")
            about = json.loads(path.read_text("utf-8"))
            about = about.get("attributes", {}).get("ome", {}) if name == "zarr.json" else about
        except FileNotFoundError:
            continue
        except NotADirectoryError:
            break
        except (ValueError, AttributeError, RecursionError) as error:
            raise damaged(str(path), error) from error
        if isinstance(about, dict):
            return about
    return {}


def _inside(path: object, name: str) -> str:
    """A relative path of metadata, which must not lead out of its group."""
    text = str(path)
    if not text or text.startswith(("/", "\\")) or ".." in text.replace("\\", "/").split("/"):
        raise LociscopeError(f"'{name}' names the path {text!r}, which is not inside it. Write it anew.")
    return text


def _opened(path: "Path", name: str) -> Any:  # noqa: ANN401 - zarr is installed only with the extra
    try:
        import zarr
    except ImportError as error:
        raise MissingExtraError(f"'{name}' (OME-Zarr)", "zarr") from error
    try:
        array = zarr.open_array(store=str(path), mode="r")
    except FileNotFoundError as error:
        raise LociscopeError(f"'{name}' holds no pixels at '{path.name}'. Is it a copy of the whole folder?") from error
    check_bytes(int(np.prod(array.chunks)) * array.dtype.itemsize, name)
    return array


def _planes(array: Any, axes: list[str], plane: int | None, name: str) -> np.ndarray:  # noqa: ANN401
    """The channels of the chosen slice, (y, x, c)."""
    if len(axes) != array.ndim or axes[-2:] != ["y", "x"] or array.dtype.kind not in "uif":
        raise ValueError(f"axes {axes} of {array.ndim} dimensions of {array.dtype}")
    height, width = array.shape[-2:]
    check_size(width, height, name)
    index: list[Any] = []
    others = [(axis, size) for axis, size in zip(axes[:-2], array.shape, strict=False) if axis != "c" and size > 1]
    if len(others) > 1 or (others and plane is None):
        what = " and ".join(f"{size} along {axis.upper()}" for axis, size in others)
        remedy = "Pass --plane N, from 0, or save one slice" if len(others) == 1 else "Save one slice of one time"
        raise LociscopeError(f"'{name}' is a stack of more than one plane a channel ({what}). {remedy}.")
    for axis, size in zip(axes[:-2], array.shape, strict=False):
        chosen = plane if (axis, size) in others else 0
        if chosen is None or chosen >= size:
            raise LociscopeError(f"'{name}' has no plane {plane}; it has {size}, from 0. Pass another --plane.")
        index.append(slice(None) if axis == "c" else chosen)
    channels = array.shape[axes.index("c")] if "c" in axes else 1
    check_bytes(channels * height * width * array.dtype.itemsize, name)
    if array.nchunks_initialized < array.nchunks:
        raise LociscopeError(
            f"'{name}' lacks {array.nchunks - array.nchunks_initialized} of its {array.nchunks} chunks. Copy it again, "
            "or write empty chunks too."
        )
    pixels: np.ndarray = np.asarray(array[tuple(index)])
    return np.moveaxis(pixels, 0, -1) if pixels.ndim == 3 else pixels[..., None]


def _pixel_size(image: dict[str, Any], level: dict[str, Any], axes: list[str]) -> float | None:
    scale = [1.0] * len(axes)
    for step in (*level.get("coordinateTransformations", ()), *image.get("coordinateTransformations", ())):
        if step.get("type") == "scale":
            scale = [a * b for a, b in zip(scale, step["scale"], strict=True)]
    units = [axis.get("unit") if isinstance(axis, dict) else None for axis in image["axes"]]
    height, width = (
        micrometres(side, unit) if unit else None for side, unit in zip(scale[-2:], units[-2:], strict=True)
    )
    return square(width, height, str(image.get("name", "")))


def _first(value: object) -> dict[str, Any]:
    first = value[0] if isinstance(value, list) and value else None
    return first if isinstance(first, dict) else {}
