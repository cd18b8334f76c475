"""Fingerprints of fields: what changes when a file of a field is replaced or read otherwise."""

from __future__ import annotations

import hashlib
import os
from stat import S_ISDIR
from typing import TYPE_CHECKING

from lociscope.errors import LociscopeError
from lociscope.images.io.formats import list_source_files
from lociscope.storage.remote import RemotePath

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from lociscope.images.discovery.sources import FieldSource
    from lociscope.images.io.container import PlaneRef


def compute_fingerprint(source: FieldSource) -> str:
    """Return what changes when a file of a field is replaced, changed in place, or read otherwise.

    It is a hash of the path, size and time of each file; of a Zarr, of all the files in its folder.
    """
    file_marks: dict[Path, str] = {}
    lines = []
    for ref in source.loose or source.planes:
        if ref and ref.file not in file_marks:
            file_marks[ref.file] = "|".join(filter(None, map(_mark, list_source_files(ref))))
        lines.append(f"{_name(ref)}|{file_marks[ref.file]}" if ref else "|")
    if source.pixel_size or source.plane is not None:
        lines.append(f"{source.pixel_size}|{source.plane}")
    return _hash(lines)[:16]


def hash_files(files: Iterable[Path]) -> str:
    """Return what changes when one of some files is replaced or changed in place."""
    return _hash([f"{os.path.abspath(file)}|{_mark(file)}" for file in files])[:16]


def _name(ref: PlaneRef) -> str:
    return str(ref) if isinstance(ref.file, RemotePath) else os.path.abspath(str(ref))


def _mark(file: Path) -> str:
    """Return size and time of a file; of a folder, a hash of the names, sizes and times of all its files."""
    try:
        if isinstance(file, RemotePath):
            return file.read_mark()
        stat = file.stat()
        if not S_ISDIR(stat.st_mode):
            return f"{stat.st_size}|{stat.st_mtime_ns}"
        return _hash(sorted(_list_files(os.fspath(file))))
    except (OSError, LociscopeError):
        return ""


def _list_files(folder: str, prefix: str = "") -> Iterator[str]:
    """Yield name, size and time of each file in a folder and its sub-folders."""
    with os.scandir(folder) as entries:
        for entry in entries:
            name = f"{prefix}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                yield from _list_files(entry.path, name)
            else:
                stat = entry.stat()
                yield f"{name}|{stat.st_size}|{stat.st_mtime_ns}"


def _hash(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
