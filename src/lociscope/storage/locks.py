"""Locks: one process at a time in a folder."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any

from lociscope.errors import Code, LociscopeError
from lociscope.storage.file_errors import unwritable_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK = ".lock"
"""Name of the lock file in a folder."""


def lock_file(file: IO[Any], *, wait: bool) -> bool:
    """Lock an open file until it is closed or the process ends.

    Args:
        file: The file, open for writing.
        wait: Whether to wait while another process holds the lock.

    Returns:
        Whether the file is locked now; False only where another process holds the lock and `wait` is false.

    Raises:
        OSError: The file system has no locks.
    """
    if sys.platform == "win32":
        import msvcrt

        while True:
            try:
                msvcrt.locking(file.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
            except OSError as error:
                if not wait and error.errno == errno.EACCES:
                    return False
                if not wait or error.errno != errno.EDEADLK:  # LK_LOCK gives up after 10 s
                    raise
            else:
                return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def exclusive_lock(folder: Path, message: str, *, needed: bool = True) -> Iterator[None]:
    """Hold an exclusive lock on `folder`, creating it if needed.

    Afterwards the lock file is removed, and so is a folder that was created here and is empty.

    Args:
        folder: The folder; its lock is the file `.lock`.
        message: The error message where another process holds the lock.
        needed: Whether to refuse a file system without locks.

    Raises:
        LociscopeError: Another process holds the lock, or the folder cannot be written.
    """
    created = not folder.exists()
    try:
        file = _open_locked(folder / LOCK, needed=needed)
    except OSError as error:
        raise unwritable_error(folder, error) from error
    if file is None:
        raise LociscopeError(message, code=Code.IN_USE)
    with file:
        try:
            yield
        finally:
            with suppress(OSError):  # Windows removes no open file
                (folder / LOCK).unlink()
            with suppress(OSError):  # it is not empty
                if created:
                    folder.rmdir()


def _open_locked(path: Path, *, needed: bool) -> IO[Any] | None:
    """Open and lock a file; return None where another process holds the lock."""
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
        file.close()  # the holder removed the file after it was opened here and before it was locked
