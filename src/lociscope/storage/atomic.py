"""Write files whole or not at all."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from lociscope.errors import Code, LociscopeError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydantic import BaseModel

    Model = TypeVar("Model", bound=BaseModel)


AnyPath: TypeAlias = str | os.PathLike[str]
"""A path as a user of the Python interface gives it."""


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Gives a temporary path beside `path` and, when all went well, renames it into place.

    Works for a file and for a folder (the block makes whichever it wants); an older file of that name is
    replaced, an older folder too. After an error nothing is left under either name that was not there before.

    Args:
        path: The final name.

    Yields:
        The path to write to, in the same folder.

    Raises:
        LociscopeError: The place cannot be written: no permission, no space, no such folder.
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
        with suppress(OSError):  # what forbade writing may forbid looking, too
            _remove(part)


def unwritable_error(path: Path, error: OSError, option: str = "-o") -> LociscopeError:
    """The sentence for a file that cannot be written, where the option names its place."""
    reason = error.strerror or str(error)
    return LociscopeError(
        f"Cannot write '{path}': {reason}. Mend that, or name another place with {option}.", code=Code.UNWRITABLE
    )


def _swap(new: Path, old: Path) -> None:
    """Puts a folder in the place of another; the moment without either is two renames long."""
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
