"""Pictures and tables that were made of the fields of a job, so that they are made once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lociscope.errors import LociscopeError
from lociscope.storage.atomic import atomic_write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class PictureCache:
    """The pictures of a job, which count as its files.

    Args:
        folder: Their folder, which is created when it is needed.
        reserve: Counts the bytes of a new file; returns whether there is room for it.
    """

    def __init__(self, folder: Path, reserve: Callable[[int], bool]) -> None:
        self._folder = folder
        self._reserve = reserve

    def read(self, name: str) -> bytes | None:
        """Return a file; None if it is not kept."""
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def keep(self, name: str, data: bytes) -> None:
        """Keep a file; without room, or where it cannot be written, it is made again next time."""
        path = self._folder / name
        try:
            if not path.is_file() and self._reserve(len(data)):
                path.parent.mkdir(parents=True, exist_ok=True)
                with atomic_write(path) as part:
                    part.write_bytes(data)
        except (LociscopeError, OSError):
            pass
