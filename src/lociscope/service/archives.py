"""Limits of zip archives in an upload, which are checked before a member is read."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

from lociscope.errors import Code, LociscopeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

MAX_NAME_LENGTH = 255
"""Maximum characters of a file or folder name, as in file systems: the time to parse a name grows as its square."""

_END_OF_ZIP, _END_OF_ZIP64, _END_BYTES = b"PK\x05\x06", b"PK\x06\x07", 22


def check_directories(paths: Sequence[Path], most: int) -> None:
    """Refuse archives whose tables of contents together would fill the memory; zipfile reads a whole table at once.

    Args:
        paths: All archives of an upload.
        most: Maximum bytes of the tables.

    Raises:
        LociscopeError: The tables are larger, or a record at the end of an archive is damaged.
    """
    total = 0
    for path in paths:
        total += _measure_directory(path, most)
        if total > most:
            raise LociscopeError(f"'{path}' contains too many files. Send fewer.", code=Code.TOO_LARGE)


def list_members(path: Path) -> list[zipfile.ZipInfo]:
    """Return the members of an archive, whose table of contents has been checked; errors are those of zipfile."""
    with zipfile.ZipFile(path) as archive:
        return archive.infolist()


def check_names(members: Iterable[zipfile.ZipInfo]) -> None:
    """Refuse members whose names no file system would have.

    Raises:
        LociscopeError: A part of a name is longer than `MAX_NAME_LENGTH`.
    """
    for member in members:
        if any(len(part) > MAX_NAME_LENGTH for part in member.filename.split("/")):
            raise LociscopeError(
                f"A file of an archive has a name of {len(member.filename)} characters, which starts with "
                f"{member.filename[:40]!r}; expected {MAX_NAME_LENGTH} at most. Rename it.",
                code=Code.TOO_LARGE,
            )


def _measure_directory(path: Path, most: int) -> int:
    """Return the bytes of an archive's table of contents, as its last record says; more than `most` for a zip64."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - (1 << 16) - 42))
        tail = file.read()
    plain = tail[-_END_BYTES:]
    if plain.startswith(_END_OF_ZIP) and plain.endswith(b"\0\0"):  # without a comment, as zipfile looks first
        at = len(tail) - _END_BYTES
    else:
        at = tail.rfind(_END_OF_ZIP)
    if at < 0:
        return 0  # not an archive; opening it raises the error
    if len(tail) - at < _END_BYTES:
        raise LociscopeError(f"'{path}' is not an archive that can be read. Pack it again.", code=Code.CORRUPT)
    if tail[max(0, at - 20) :].startswith(_END_OF_ZIP64):
        return most + 1
    return int.from_bytes(tail[at + 12 : at + 16], "little")
