"""The one family of errors that a user may see, and the exit codes they lead to."""

from __future__ import annotations

from difflib import get_close_matches
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Exit(IntEnum):
    """Exit codes of every command."""

    DONE = 0
    NOTHING_DONE = 1
    USAGE = 2
    SOME_FAILED = 3
    CHECK_FAILED = 4
    NOT_CHECKED = 5
    INTERRUPTED = 130


class LociscopeError(Exception):
    """A mistake that its reader can mend: one sentence of what, what was received, and the remedy.

    The command line prints it without a traceback and exits with `exit_code`.
    """

    exit_code: Exit = Exit.NOTHING_DONE


class UsageError(LociscopeError):
    """The command, a recipe or an option asks for something that does not exist."""

    exit_code = Exit.USAGE


class MissingExtraError(LociscopeError):
    """A library is needed that belongs to an extra which is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the extra '{extra}'. Install it: pip install 'lociscope[{extra}]'.")


def nearest(received: str, known: Iterable[str]) -> str:
    """A remedy for a misspelt name: ` Did you mean 'x'?`, or the names there are.

    Args:
        received: The unknown name.
        known: The names that would have been right.

    Returns:
        A sentence that begins with a space, ready to follow the complaint.
    """
    names = sorted(known)
    close = get_close_matches(received.lower(), [n.lower() for n in names], n=1)
    if close:
        return f" Did you mean {next(n for n in names if n.lower() == close[0])!r}?"
    return f" Known: {', '.join(names)}."
