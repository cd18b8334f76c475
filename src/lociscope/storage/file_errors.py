"""Errors of the file system as LociscopeErrors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lociscope.errors import Code, LociscopeError

if TYPE_CHECKING:
    from pathlib import Path

_ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


def unreadable_error(path: Path, error: OSError, what: str = "") -> LociscopeError:
    """Return the error for a file that cannot be read.

    Args:
        path: The file.
        error: What the system reported.
        what: Its noun, such as `Catalog`.
    """
    absent = isinstance(error, _ABSENT)
    return LociscopeError(
        f"Cannot read {what + ' ' if what else ''}'{path}': {error.strerror}. "
        f"Check the path{'' if absent else ' and its permissions'}.",
        code=Code.NOT_FOUND if absent else Code.UNREADABLE,
    )


def not_csv_error(path: Path, error: Exception, remedy: str = "Save it as UTF-8 with commas.") -> LociscopeError:
    """Return the error for a file whose text is not CSV."""
    return LociscopeError(f"'{path}' is not a CSV file ({error}). {remedy}", code=Code.CORRUPT)


def unwritable_error(path: Path, error: OSError, parameter: str = "output") -> LociscopeError:
    """Return the error for a file or folder that cannot be written.

    Args:
        path: The file or folder.
        error: What the system reported.
        parameter: The parameter that chooses the location.
    """
    return LociscopeError(
        f"Cannot write '{path}': {error.strerror or error}. Correct that, or choose another location with "
        f"`{parameter}`.",
        code=Code.UNWRITABLE,
    )
