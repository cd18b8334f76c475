"""Reading: files become fields, or one sentence that says what is wrong with them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lociscope.channels import CHANNEL_NAMES, find_channel
from lociscope.errors import Code, LociscopeError
from lociscope.images.field import Field
from lociscope.images.io.container import PlaneRef, parse_plane_ref
from lociscope.images.io.formats import read_picture
from lociscope.images.io.named import select_plane
from lociscope.images.io.picture import MAX_PIXELS, Picture

if TYPE_CHECKING:
    from pathlib import Path

    from lociscope.channels import ChannelName
    from lociscope.images.discovery.sources import FieldSource
    from lociscope.warnings import FieldWarning

__all__ = ["MAX_PIXELS", "assign_loose_files", "read_field", "read_plane"]


def read_field(source: FieldSource) -> Field:
    """Reads a field's four planes.

    Args:
        source: Where the field lies.

    Returns:
        The field, (y, x, 4) of the type that its files have. A channel that may be missing is zeros.

    Raises:
        LociscopeError: A plane is missing, is no picture, is damaged, too large, or unlike the others in size
            or bit depth; or a file does not say which of its channels is which.
    """
    planes, pictures = _read_planes(assign_loose_files(source))
    if not planes:
        raise LociscopeError(f"Field '{source.id}' has no file. Add them to the Catalog.", code=Code.NOT_FOUND)
    (first, one), *others = planes.items()
    for name, plane in others:
        if plane.shape != one.shape or plane.dtype != one.dtype:
            raise LociscopeError(
                f"Field '{source.id}': its {name} plane is {_describe(plane)}, its {first} one {_describe(one)}. "
                "Export the four channels alike.",
                code=Code.UNKNOWN_CHANNEL,
            )
    stack = [planes.get(name, np.zeros_like(one)) for name in CHANNEL_NAMES]
    missing = tuple(name for name in CHANNEL_NAMES if name not in planes)
    pixels = np.moveaxis(np.stack(stack), 0, -1)  # planes stay whole in memory: four times faster than interleaved
    if source.pixel_size:
        return Field(source.id, pixels, source.pixel_size, missing)
    sizes = {said.pixel_size for said in pictures if said.pixel_size}
    warnings = tuple(dict.fromkeys(warning for said in pictures for warning in said.warnings))
    return Field(source.id, pixels, _agree_on_size(source.id, sizes), missing, warnings)


def read_plane(path: Path) -> np.ndarray:
    """Reads one grey plane from a file of one.

    Args:
        path: The file.

    Returns:
        (y, x) of the type that the file has.

    Raises:
        LociscopeError: The file is missing, holds more than one plane, is damaged, or is larger than `MAX_PIXELS`.
    """
    pixels = read_picture(parse_plane_ref(path)).pixels
    if pixels.shape[-1] != 1:
        raise LociscopeError(
            f"'{path}' holds {pixels.shape[-1]} planes. Expected one grey plane.", code=Code.INVALID_VALUE
        )
    return pixels[..., 0]


class _Declared(NamedTuple):
    """What a file says besides its planes."""

    pixel_size: float | None
    warnings: tuple[FieldWarning, ...]


def _read_planes(source: FieldSource) -> tuple[dict[ChannelName, np.ndarray], list[_Declared]]:
    """The planes by channel, and what each file says of their scale."""
    pictures: dict[tuple[Path, str], Picture] = {}
    planes: dict[ChannelName, np.ndarray] = {}
    said: list[_Declared] = []
    shared = _is_one_file(source)
    for name, path in zip(CHANNEL_NAMES, source.planes, strict=True):
        if path is None:
            if name not in source.allow_missing:
                raise LociscopeError(
                    f"Field '{source.id}' has no {name} file. {_suggest_remedy(name)}", code=Code.NOT_FOUND
                )
            continue
        ref = parse_plane_ref(path)
        key = (ref.file, ref.member)
        if key not in pictures:
            pictures = {key: read_picture(PlaneRef(*key), colour=shared, plane=source.plane)}
        picture = pictures[key]
        plane = select_plane(picture, name, ref, shared=shared, may_miss=name in source.allow_missing)
        if plane is not None:
            planes[name] = plane
        said.append(_Declared(picture.pixel_size, picture.warnings))
    return planes, said


def assign_loose_files(source: FieldSource) -> FieldSource:
    """The source with each of its loose files in the place of the channel that its metadata tell.

    Raises:
        LociscopeError: They do not, or a channel is missing or comes twice.
    """
    if not source.loose:
        return source
    paths: dict[ChannelName, Path] = {}
    for path in source.loose:
        names = read_picture(parse_plane_ref(path), plane=source.plane).names
        called = names[0] if len(names) == 1 else ""
        channel = find_channel(called)
        if channel is None or channel in paths:
            why = f"calls its channel '{called}'" if channel is None else f"is a second {channel} one"
            raise LociscopeError(
                f"Field '{source.id}': '{path.name}' {why}. Pass --channels red=C00,green=C01,… as the names have it.",
                code=Code.UNKNOWN_CHANNEL,
            )
        paths[channel] = path
    for name in CHANNEL_NAMES:
        if name not in paths and name not in source.allow_missing:
            raise LociscopeError(
                f"Field '{source.id}' has no {name} file (found {', '.join(paths)}). {_suggest_remedy(name)}",
                code=Code.NOT_FOUND,
            )
    return replace(source, planes=tuple(map(paths.get, CHANNEL_NAMES)), loose=())


def _is_one_file(source: FieldSource) -> bool:
    """Whether one file holds the whole field."""
    files = [parse_plane_ref(path)[:2] for path in source.planes if path is not None]
    return len(files) > 1 and len(set(files)) == 1


def _suggest_remedy(name: ChannelName) -> str:
    return "Add it to the Catalog." if name != "yellow" else "Add it to the Catalog, or pass --allow-missing yellow."


def _agree_on_size(identifier: str, sizes: set[float]) -> float | None:
    if not sizes:
        return None
    low, high = min(sizes), max(sizes)
    if high - low > 0.01 * high:
        raise LociscopeError(
            f"Field '{identifier}': its files declare pixels of {low:.4g} and of {high:.4g} µm. Pass --pixel-size.",
            code=Code.PIXEL_SIZE,
        )
    return low


def _describe(plane: np.ndarray) -> str:
    height, width = plane.shape
    kind = {"f": " float", "i": " signed"}.get(plane.dtype.kind, "")
    return f"{width} × {height} px of {plane.dtype.itemsize * 8} bits{kind}"
