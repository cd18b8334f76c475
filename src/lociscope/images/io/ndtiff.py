"""Read NDTiff of Micro-Manager and pycro-manager: an index of frames by their axes, and files of raw pixels."""

from __future__ import annotations

import json
import logging
import re
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lociscope.errors import Code, LociscopeError
from lociscope.images.io.lengths import to_micrometres
from lociscope.images.io.picture import check_bytes, check_size, damaged_file_error, empty_file_error

if TYPE_CHECKING:
    from pathlib import Path

STACK = re.compile(r".*NDTiffStack(?:_\d+)?\.tiff?", re.IGNORECASE | re.DOTALL)
"""Names of the files with the frames."""

_TYPES = {0: "<u1", 1: "<u2", 3: "<u2", 4: "<u2", 5: "<u2", 6: "<u2"}
"""Types of pixels by their number in the index; 2 is RGB."""

_MOST_TEXT = 1 << 24
_SUMMARY = 28
"""Offset of a file's metadata; their length precedes them."""


class Frame(NamedTuple):
    """One entry of an index, in the order of its fields."""

    axes: dict[str, int | str]
    file: str
    offset: int
    width: int
    height: int
    type: int
    compression: int
    about_offset: int
    about_length: int
    about_compression: int


Image = tuple[tuple[str, ...], float | None, tuple[str, ...], dict[tuple[int, int, int], Callable[[], np.ndarray]], str]
"""Names, pixel size, files, planes by C, Z and T, and a label."""


def read_ndtiff(path: Path) -> list[Image]:
    """Read an index; frames that differ only in channel, z and time form one image.

    Args:
        path: `NDTiff.index`, in the folder of its files.

    Returns:
        The images in the order of acquisition; pixels are read later.

    Raises:
        LociscopeError: The index has no frame, names files in other folders, or has colour or compressed pixels.
    """
    from tifffile import read_ndtiff_index

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # an entry that is still being written ends the list
    frames = [Frame(*entry) for entry in read_ndtiff_index(path)]
    if not frames:
        raise empty_file_error(str(path))
    groups: dict[str, list[Frame]] = {}
    for frame in frames:
        _check_frame(frame, path)
        others = {axis: value for axis, value in sorted(frame.axes.items()) if axis not in ("channel", "z", "time")}
        groups.setdefault("_".join(str(value) for value in others.values()), []).append(frame)
    summary = _read_summary(path.with_name(frames[0].file))
    return [_make_image(path, label if len(groups) > 1 else "", group, summary) for label, group in groups.items()]


def _check_frame(frame: Frame, path: Path) -> None:
    if not re.fullmatch(r"[^/\\]+", frame.file):
        raise LociscopeError(
            f"'{path}' names the file {frame.file!r}, which is not beside it. Write it again.",
            code=Code.REFUSED_CONTENT,
        )
    if frame.type not in _TYPES or frame.compression:
        raise LociscopeError(
            f"'{path}' lists colour or compressed frames. Save each channel as a grey TIFF.",
            code=Code.UNSUPPORTED_FORMAT,
        )
    if min(frame.width, frame.height) < 1:
        raise damaged_file_error(str(path), ValueError(f"a frame of {frame.width} × {frame.height} pixels"))
    check_size(frame.width, frame.height, str(path))


def _make_image(path: Path, label: str, frames: list[Frame], summary: dict[str, Any]) -> Image:
    values: dict[str, list[int | str]] = {}
    for axis in ("channel", "z", "time"):
        found = list(dict.fromkeys(frame.axes.get(axis, 0) for frame in frames))
        values[axis] = found if axis == "channel" or any(isinstance(each, str) for each in found) else sorted(found)
    planes = {}
    for frame in frames:
        c, z, t = (values[axis].index(frame.axes.get(axis, 0)) for axis in ("channel", "z", "time"))
        planes[c, z, t] = _make_frame_reader(path, frame)
    named = summary.get("ChNames") or []
    names = tuple(
        each if isinstance(each, str) else str(named[each]) if 0 <= each < len(named) else ""
        for each in values["channel"]
    )
    about = _read_frame_metadata(path.with_name(frames[0].file), frames[0])
    sizes = (
        to_micrometres(metadata.get(key), None)
        for metadata in (about, summary)
        for key in ("PixelSizeUm", "PixelSize_um")
    )
    files = tuple(dict.fromkeys(frame.file for frame in frames))
    return names, next((size for size in sizes if size), None), files, planes, label


def _make_frame_reader(path: Path, frame: Frame) -> Callable[[], np.ndarray]:
    def read() -> np.ndarray:
        kind = np.dtype(_TYPES[frame.type])
        size = frame.width * frame.height * kind.itemsize
        check_bytes(size, str(path))
        file = path.with_name(frame.file)
        if not file.is_file():
            raise LociscopeError(
                f"'{path}' names '{frame.file}', which is not beside it. Copy it there.", code=Code.NOT_FOUND
            )
        with file.open("rb") as data:
            data.seek(frame.offset)
            raw = data.read(size)
        if len(raw) < size:
            raise damaged_file_error(str(file))
        return np.frombuffer(raw, kind).reshape(frame.height, frame.width)

    return read


def _read_frame_metadata(file: Path, frame: Frame) -> dict[str, Any]:
    return _read_json(file, frame.about_offset, frame.about_length) if not frame.about_compression else {}


def _read_summary(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as data:
            data.seek(_SUMMARY - 4)
            (length,) = struct.unpack("<I", data.read(4))
    except (OSError, struct.error):
        return {}
    return _read_json(file, _SUMMARY, length)


def _read_json(file: Path, offset: int, length: int) -> dict[str, Any]:
    """Return the metadata in a file; empty where they are damaged, since they are not needed to find frames."""
    if not 0 < length <= _MOST_TEXT:
        return {}
    try:
        with file.open("rb") as data:
            data.seek(offset)
            about = json.loads(data.read(length))
    except (OSError, ValueError, RecursionError):
        return {}
    return about if isinstance(about, dict) else {}
