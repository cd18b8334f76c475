"""Errors of the prediction log."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lociscope.errors import Code, LociscopeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy as sa

_TRANSIENT_SQLITE = {
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN,
}  # fmt: skip
_PERMANENT_STATES = ("22", "23", "42")
"""Classes of SQLSTATE that a retry meets again: data, constraints, syntax and access rights."""

_REMEDIES = {
    "locked": "Another process holds it: end that, or try again.",
    "full": "Free some space; the predictions themselves are not lost.",
    "not a database": "Name an SQLite file that lociscope wrote, or a new path to create a log.",
    "malformed": "The file is damaged: restore it from a copy, or name a new path to create a log.",
    "unable to open": "Check the path and its permissions.",
    "readonly": "Check its permissions.",
    "permission denied": "Ask for the right: see 'Who may do what' in the page on monitoring.",
}


class LogError(LociscopeError):
    """The log cannot be opened, read or written; the predictions themselves are not affected."""

    code = Code.LOG


class LogUnavailableError(LogError):
    """The log cannot be used now, but a retry may succeed: it is locked, full, restarting, silent or unreachable."""


def find_remedy(reason: str) -> str:
    """Return what to do about a reason that a database gave."""
    return next((remedy for word, remedy in _REMEDIES.items() if word in reason), "Check the URL, and that it is up.")


@contextmanager
def convert_errors(name: str, action: str, noun: str = "Log") -> Iterator[None]:
    """Convert exceptions of the database to LogErrors.

    Args:
        name: The log, as `lociscope.prediction_log.engine.get_display_name` returns it.
        action: What fails: `opened`, `read`, `written`.
        noun: What the message calls the database.

    Raises:
        LogError: The database raised an exception.
    """
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        kind = LogUnavailableError if _is_transient(error) else LogError
        raise kind(f"{noun} '{name}' cannot be {action} ({reason}). {find_remedy(reason)}") from error
    except UnicodeDecodeError as error:  # SQLite quotes the damaged bytes in its message; found by fuzzing
        raise LogError(f"{noun} '{name}' cannot be {action} (malformed text). {find_remedy('malformed')}") from error


def _is_transient(error: sa.exc.SQLAlchemyError) -> bool:
    """Return whether a retry may succeed."""
    import sqlalchemy as sa

    orig = getattr(error, "orig", None)
    code, state = getattr(orig, "sqlite_errorcode", None), getattr(orig, "sqlstate", None)
    if code is not None:
        return code & 0xFF in _TRANSIENT_SQLITE
    if state:
        return not state.startswith(_PERMANENT_STATES)
    return isinstance(error, (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError))
