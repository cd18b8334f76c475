"""Read fields from files."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lociscope.channels import CHANNEL_NAMES, find_channel
from lociscope.errors import Code, LociscopeError
from lociscope.images.field import Field
from lociscope.images.io.container import parse_plane_ref
from lociscope.images.io.formats import read_picture
from lociscope.images.io.named import select_plane
from lociscope.images.io.picture import MAX_PIXELS, Picture

if TYPE_CHECKING:
    from pathlib import Path

    from lociscope.channels import ChannelName
    from lociscope.images.discovery.sources import FieldSource
    from lociscope.images.io.container import PlaneRef
    from lociscope.warnings import FieldWarning

__all__ = ["MAX_PIXELS", "assign_loose_files", "read_field", "read_plane"]


def read_field(source: FieldSource) -> Field:
    """Read the four planes of a field.

    Args:
        source: The files of the field.

    Returns:
        The field, (y, x, 4) of the type of its files. A missing channel that may be missing is zeros.

    Raises:
        LociscopeError: A plane is missing, is not an image, is damaged or too large, or differs from the others in
            size or type; or the channels of a file are not known.
    """
    planes, pictures = _read_planes(assign_loose_files(source))
    if not planes:
        raise LociscopeError(
            f"Field '{source.id}' has no file. Add its files to the Catalog.", code=Code.MISSING_CHANNEL
        )
    (first, one), *others = planes.items()
    for name, plane in others:
        if plane.shape != one.shape or plane.dtype != one.dtype:
            raise LociscopeError(
                f"Field '{source.id}': its {name} plane is {_describe(plane)}, its {first} one {_describe(one)}. "
                "Export the four channels with one size and type.",
                code=Code.INVALID_VALUE,
            )
    stack = [planes.get(name, np.zeros_like(one)) for name in CHANNEL_NAMES]
    missing = tuple(name for name in CHANNEL_NAMES if name not in planes)
    # Each plane is contiguous in memory: four times faster than interleaved.
    pixels = np.moveaxis(np.stack(stack), 0, -1)
    if source.pixel_size:
        return Field(source.id, pixels, source.pixel_size, missing)
    sizes = {picture.pixel_size for picture in pictures if picture.pixel_size}
    warnings = tuple(dict.fromkeys(warning for picture in pictures for warning in picture.warnings))
    return Field(source.id, pixels, _agree_on_size(source.id, sizes), missing, warnings)


def read_plane(path: Path) -> np.ndarray:
    """Read a file with one grey plane.

    Args:
        path: The file.

    Returns:
        (y, x) of the file's type.

    Raises:
        LociscopeError: The file is missing, has more than one plane, is damaged, or is larger than `MAX_PIXELS`.
    """
    pixels = read_picture(parse_plane_ref(path)).pixels
    if pixels.shape[-1] != 1:
        raise LociscopeError(
            f"'{path}' has {pixels.shape[-1]} planes; expected one. Export one channel as a grey image.",
            code=Code.INVALID_VALUE,
        )
    return pixels[..., 0]


class _Declared(NamedTuple):
    """The metadata of one file."""

    pixel_size: float | None
    warnings: tuple[FieldWarning, ...]


def _read_planes(source: FieldSource) -> tuple[dict[ChannelName, np.ndarray], list[_Declared]]:
    """Return the planes by channel, and the metadata of each file."""
    pictures: dict[PlaneRef, Picture] = {}
    planes: dict[ChannelName, np.ndarray] = {}
    declared: list[_Declared] = []
    shared = _is_one_file(source)
    for name, ref in zip(CHANNEL_NAMES, source.planes, strict=True):
        if ref is None:
            if name not in source.allow_missing:
                raise LociscopeError(
                    f"Field '{source.id}' has no {name} file. {_suggest_remedy(name)}", code=Code.MISSING_CHANNEL
                )
            continue
        if ref.image not in pictures:
            pictures = {ref.image: read_picture(ref.image, colour=shared, plane=source.plane)}
        picture = pictures[ref.image]
        plane = select_plane(picture, name, ref, shared=shared, may_miss=name in source.allow_missing)
        if plane is not None:
            planes[name] = plane
        declared.append(_Declared(picture.pixel_size, picture.warnings))
    return planes, declared


def assign_loose_files(source: FieldSource) -> FieldSource:
    """Return a source whose loose files are assigned to channels by their metadata.

    Raises:
        LociscopeError: The metadata of a file do not name a channel, or a channel is missing or occurs twice.
    """
    if not source.loose:
        return source
    refs: dict[ChannelName, PlaneRef] = {}
    for ref in source.loose:
        names = read_picture(ref, plane=source.plane).names
        label = names[0] if len(names) == 1 else ""
        channel = find_channel(label)
        if channel is None or channel in refs:
            unknown = channel is None
            why = f"names its channel '{label}'" if unknown else f"is a second {channel} file"
            raise LociscopeError(
                f"Field '{source.id}': '{ref.name}' {why}. Pass `channels=red=C00,green=C01,…` as in the names.",
                code=Code.UNKNOWN_CHANNEL if unknown else Code.DUPLICATE,
            )
        refs[channel] = ref
    for name in CHANNEL_NAMES:
        if name not in refs and name not in source.allow_missing:
            raise LociscopeError(
                f"Field '{source.id}' has no {name} file (found {', '.join(refs)}). {_suggest_remedy(name)}",
                code=Code.MISSING_CHANNEL,
            )
    return replace(source, planes=tuple(map(refs.get, CHANNEL_NAMES)), loose=())


def _is_one_file(source: FieldSource) -> bool:
    """Return whether one file has the whole field."""
    files = [ref.image for ref in source.planes if ref is not None]
    return len(files) > 1 and len(set(files)) == 1


def _suggest_remedy(name: ChannelName) -> str:
    return "Add it to the Catalog." if name != "yellow" else "Add it to the Catalog, or pass `allow_missing=yellow`."


def _agree_on_size(identifier: str, sizes: set[float]) -> float | None:
    if not sizes:
        return None
    low, high = min(sizes), max(sizes)
    if high - low > 0.01 * high:
        raise LociscopeError(
            f"Field '{identifier}': its files declare pixels of {low:.4g} and of {high:.4g} µm. Pass `pixel_size`.",
            code=Code.PIXEL_SIZE,
        )
    return low


def _describe(plane: np.ndarray) -> str:
    height, width = plane.shape
    kind = {"f": " float", "i": " signed"}.get(plane.dtype.kind, "")
    return f"{width} × {height} px of {plane.dtype.itemsize * 8} bits{kind}"
