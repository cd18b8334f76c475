"""Errors for users, their codes, and the exit codes of commands."""

from __future__ import annotations

import re
from difflib import get_close_matches
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Exit(IntEnum):
    """Exit codes of every command."""

    DONE = 0
    NOTHING_DONE = 1
    USAGE = 2
    SOME_FAILED = 3
    CHECK_FAILED = 4
    NOT_CHECKED = 5
    INTERRUPTED = 130


class Code(StrEnum):
    """The kind of an error. Codes are stable, for programs; messages are for people and may change."""

    ALTERED = "altered"
    """A file is not the one that was recorded: its hash differs."""
    CONFLICT = "conflict"
    """The output exists and belongs to other work, or the state of an object forbids the request."""
    CORRUPT = "corrupt"
    """A file is damaged, truncated, or lacks a value."""
    DUPLICATE = "duplicate"
    """An id, a name, a column or a file occurs twice."""
    HARDWARE = "hardware"
    """A device of the microscope did not carry out a command."""
    IN_USE = "in-use"
    """Another process uses the folder."""
    INTERNAL = "internal"
    """A fault of lociscope itself, not of its user."""
    INCOMPLETE = "incomplete"
    """Required work is not finished, or parts of a file are missing."""
    INVALID_LABELS = "invalid-labels"
    """A label is not one of the 28 classes."""
    INVALID_VALUE = "invalid-value"
    """A value has the wrong type, is out of range, or conflicts with another."""
    LOG = "log"
    """The database of the prediction log cannot be used."""
    MISSING_CHANNEL = "missing-channel"
    """A field lacks a channel."""
    MISSING_EXTRA = "missing-extra"
    """A library is not installed."""
    NOT_ENOUGH_DATA = "not-enough-data"
    """There are too few fields to train, split or evaluate."""
    NOT_FOUND = "not-found"
    """A file, a folder, or a part of one does not exist."""
    NOTHING_FOUND = "nothing-found"
    """A source holds no field, or nothing matches."""
    OUT_OF_MEMORY = "out-of-memory"
    """There is not enough memory."""
    PIXEL_SIZE = "pixel-size"
    """The pixel size is missing or impossible."""
    REFUSED = "refused"
    """A check, a rule or a limit of the service refuses it."""
    REFUSED_CONTENT = "refused-content"
    """A file holds content that is never loaded: code, foreign operators, paths that leave their folder."""
    TOO_LARGE = "too-large"
    """A file or an image exceeds a limit."""
    TRAINING = "training"
    """A training cannot continue: its loss is not finite."""
    UNAVAILABLE = "unavailable"
    """A device, a server or the network does not answer, or is busy."""
    UNKNOWN_CHANNEL = "unknown-channel"
    """The channel of a plane cannot be determined."""
    UNKNOWN_NAME = "unknown-name"
    """Nothing has that name: a recipe, a network, a column, a well."""
    UNREADABLE = "unreadable"
    """A file cannot be read: permission or file system."""
    UNSUPPORTED_FORMAT = "unsupported-format"
    """A format, or a variant of it, is not supported."""
    UNSUPPORTED_VERSION = "unsupported-version"
    """A file has a schema, or a preprocessing, that this version does not know."""
    UNWRITABLE = "unwritable"
    """A file cannot be written: permission or space."""
    WRONG_FILE = "wrong-file"
    """A file is of another kind than the one required."""


class LociscopeError(Exception):
    """An error that its reader can correct: what is wrong, what was received, and what to do.

    The command line prints it without a traceback and exits with `exit_code`; the HTTP interface answers with its text
    and its code. Parameters are named as Python has them, in backticks; commands and pages name them in their terms
    (`name_parameters`).

    Args:
        message: The text.
        code: The kind of error; None for the code of the class.
    """

    exit_code: Exit = Exit.NOTHING_DONE
    code: Code = Code.INVALID_VALUE

    def __init__(self, message: str, *, code: Code | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        """Return the values for `pickle`, so that an error of a worker process keeps its attributes."""
        return _rebuild, (type(self), self.args, self.__dict__)


class UsageError(LociscopeError):
    """A command, an option or a recipe is wrong."""

    exit_code = Exit.USAGE


class MissingExtraError(LociscopeError):
    """A library of an extra is not installed."""

    code = Code.MISSING_EXTRA

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the extra '{extra}'. Install it: pip install 'lociscope[{extra}]'.")


def name_parameters(text: str, names: Mapping[str, str], assignment: str = "{name} {value}") -> str:
    """Replace parameters in backticks by the names that the reader knows.

    Args:
        text: The text of an error, such as "Pass `pixel_size`." or "Pass `allow_missing=yellow`."
        names: The replacement of each parameter, such as `--pixel-size`; others are kept.
        assignment: How to write a name with its value, such as `{name}={value}`.

    Returns:
        The text in its reader's terms.
    """

    def render(match: re.Match[str]) -> str:
        name, value = match["name"], match["value"]
        if name not in names:
            return match[0]
        return assignment.format(name=names[name], value=value) if value else names[name]

    return re.sub(r"`(?P<name>\w+)(?:=(?P<value>[^`]+))?`", render, text)


def _rebuild(kind: type[LociscopeError], args: tuple[Any, ...], state: dict[str, Any]) -> LociscopeError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


def suggest(received: str, known: Iterable[str]) -> str:
    """Return a remedy for a misspelt name: ` Did you mean 'x'?`, or the known names.

    Args:
        received: The unknown name.
        known: The valid names.

    Returns:
        A sentence that begins with a space, to be appended to the message.
    """
    names = sorted(known)
    close = get_close_matches(received.lower(), [n.lower() for n in names], n=1)
    if close:
        return f" Did you mean {next(n for n in names if n.lower() == close[0])!r}?"
    return f" Known: {', '.join(names)}."
