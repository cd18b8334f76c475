"""The one family of errors that a user may see, and the exit codes they lead to."""

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
    """What kind of mistake an error is about: stable, for programs; the text is for people and may change."""

    ALTERED = "altered"
    """A file is not the one that was recorded: its hash differs."""
    CONFLICT = "conflict"
    """The output exists and belongs to other work, or the state of a thing forbids what was asked."""
    CORRUPT = "corrupt"
    """A file is damaged, cut short, or lacks a value."""
    DUPLICATE = "duplicate"
    """An id, a name, a column or a file occurs twice."""
    HARDWARE = "hardware"
    """A microscope's device did not do what it was told."""
    IN_USE = "in-use"
    """Another process works there."""
    INTERNAL = "internal"
    """A fault of lociscope itself, not of its user."""
    INCOMPLETE = "incomplete"
    """Work that this needs is not finished, or parts of a file are not there."""
    INVALID_LABELS = "invalid-labels"
    """A label is not one of the 28 classes."""
    INVALID_VALUE = "invalid-value"
    """A value is of the wrong type, out of its range, or does not fit another."""
    LOG = "log"
    """The database of the prediction log cannot be used."""
    MISSING_CHANNEL = "missing-channel"
    """A field lacks a channel."""
    MISSING_EXTRA = "missing-extra"
    """A library is not installed."""
    NOT_ENOUGH_DATA = "not-enough-data"
    """There are too few fields to train, to split or to judge."""
    NOT_FOUND = "not-found"
    """A file, a folder, or a part of one does not exist."""
    NOTHING_FOUND = "nothing-found"
    """A source holds no field, or nothing that matches."""
    OUT_OF_MEMORY = "out-of-memory"
    """Memory did not suffice."""
    PIXEL_SIZE = "pixel-size"
    """The size of a pixel is missing or impossible."""
    REFUSED = "refused"
    """A check, a rule or a gate forbids it."""
    REFUSED_CONTENT = "refused-content"
    """A file holds what is never loaded: code, foreign operators, paths that leave their folder."""
    TOO_LARGE = "too-large"
    """A file or a picture exceeds a limit."""
    TRAINING = "training"
    """A training cannot go on: its loss is not finite."""
    UNAVAILABLE = "unavailable"
    """A device, a server or the network does not answer, or is busy."""
    UNKNOWN_CHANNEL = "unknown-channel"
    """It cannot be told which plane is which channel."""
    UNKNOWN_NAME = "unknown-name"
    """There is nothing of that name: a recipe, a network, a column, a well."""
    UNREADABLE = "unreadable"
    """A file cannot be read: permission, or the file system."""
    UNSUPPORTED_FORMAT = "unsupported-format"
    """A format, or a kind of it, is not read or not written."""
    UNSUPPORTED_VERSION = "unsupported-version"
    """A file is of a schema, or a preprocessing, that this version does not know."""
    UNWRITABLE = "unwritable"
    """A file cannot be written: permission, or space."""
    WRONG_FILE = "wrong-file"
    """A file is of another kind than the one that is needed."""


class LociscopeError(Exception):
    """A mistake that its reader can correct: what is wrong, what was received, and the remedy.

    The command line prints it without a traceback and exits with `exit_code`; the HTTP interface answers with its text
    and its code. Parameters are named as Python has them, in backticks; commands and pages name them in their terms
    (`name_parameters`).

    Args:
        message: The text.
        code: What kind of mistake it is; None for that of the class.
    """

    exit_code: Exit = Exit.NOTHING_DONE
    code: Code = Code.INVALID_VALUE

    def __init__(self, message: str, *, code: Code | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what `pickle` needs, so that an error of a worker process keeps its attributes."""
        return _rebuild, (type(self), self.args, self.__dict__)


class UsageError(LociscopeError):
    """The command, a recipe or an option asks for something that does not exist."""

    exit_code = Exit.USAGE


class MissingExtraError(LociscopeError):
    """A library is needed that belongs to an extra which is not installed."""

    code = Code.MISSING_EXTRA

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the extra '{extra}'. Install it: pip install 'lociscope[{extra}]'.")


def name_parameters(text: str, names: Mapping[str, str], assignment: str = "{name} {value}") -> str:
    """Replace the parameters that a text names in backticks by what its reader calls them.

    Args:
        text: The text of an error, such as "Pass `pixel_size`." or "Pass `allow_missing=yellow`."
        names: For each parameter what to write for it, such as `--pixel-size`; others stay as they are.
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
