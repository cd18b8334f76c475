"""Atomic writes: a file or folder is written whole or not at all."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from lociscope.errors import Code, LociscopeError
from lociscope.storage.file_errors import unwritable_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, and rename it to `path` unless the block raises.

    The block creates a file or a folder; it replaces an existing file or folder of that name. After an error the
    folder holds what it held before.

    Args:
        path: The final path.

    Yields:
        The path to write to, in the same folder.

    Raises:
        LociscopeError: The location cannot be written: no permission, no space, or the folder does not exist.
    """
    if not path.name:  # `.` or `/`
        raise LociscopeError(
            f"'{path}' is a folder that cannot be replaced. Name a file or a folder inside it.", code=Code.UNWRITABLE
        )
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(part)
        yield part
        if part.is_dir() and path.is_dir():
            _swap(part, path)
        else:
            part.replace(path)
    except OSError as error:
        raise unwritable_error(path, error) from error
    finally:
        with suppress(OSError):  # a folder that forbids writing may also forbid listing
            _remove(part)


def _swap(new: Path, old: Path) -> None:
    """Replace a folder by another; for the time of two renames neither has the name."""
    away = old.with_name(f".{old.name}.{os.getpid()}.old")
    _remove(away)
    old.rename(away)
    new.rename(old)
    _remove(away)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
