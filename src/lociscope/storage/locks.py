"""Locks: one process at a time in a folder."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any

from lociscope.errors import Code, LociscopeError
from lociscope.storage.atomic import unwritable_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK = ".lock"
"""In a folder on which one process at a time works."""


def lock_file(file: IO[Any], *, wait: bool) -> bool:
    """Takes the lock of an open file; it ends with the file's closing, or the process.

    Args:
        file: The file, open for writing.
        wait: Whether to wait while another process holds it.

    Returns:
        Whether it is held now; False only where another process holds it and nobody waited.

    Raises:
        OSError: The file lies where there are no locks.
    """
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        except PermissionError:
            if wait:
                raise
            return False
        return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def exclusive_lock(folder: Path, taken: str, *, needed: bool = True) -> Iterator[None]:
    """Keep other processes out of a folder, which is made where there is none; leave no trace.

    Args:
        folder: The folder; its lock is the file `.lock`.
        taken: The error message where another process holds it.
        needed: Whether a file system without locks is refused.

    Raises:
        LociscopeError: Another process holds it, or it cannot be written.
    """
    made = not folder.exists()
    try:
        file = _locked(folder / LOCK, needed=needed)
    except OSError as error:
        raise unwritable_error(folder, error) from error
    if file is None:
        raise LociscopeError(taken, code=Code.INVALID_VALUE)
    with file:
        try:
            yield
        finally:
            with suppress(OSError):  # an open file stays on Windows
                (folder / LOCK).unlink()
            with suppress(OSError):  # something was made
                if made:
                    folder.rmdir()


def _locked(path: Path, *, needed: bool) -> IO[Any] | None:
    """Open and lock a file; None where another process holds it."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
        try:
            if not lock_file(file, wait=False):
                file.close()
                return None
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        except FileNotFoundError:
            pass
        except OSError:
            if not needed:
                return file
            file.close()
            raise
        file.close()  # who held it removed the file between our opening and locking it
