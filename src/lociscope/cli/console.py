"""What a person sees while work goes on: progress on stderr, and only there."""

from __future__ import annotations

import logging
import os
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from lociscope.errors import name_parameters
from lociscope.processes.progress import ignore_progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from typer import Context

    from lociscope.images.discovery.sources import Failure
    from lociscope.processes.progress import ProgressCallback

quiet = False
"""Set by `--quiet`."""
verbose = False
"""Set by `--verbose`."""
context: Context | None = None
"""Typer's context of the command that runs, set when it starts."""
INTERVAL = 30.0
"""Seconds between two lines of progress where stderr is no terminal; a sixth of it with `--verbose`."""


INTERRUPTED = "interrupted. Give the same command again to go on."


def counted(fields: int) -> str:
    """Says how many fields: `1 field`, `2 fields`."""
    return f"{fields} field" if fields == 1 else f"{fields} fields"


def say(text: str) -> None:
    """Print a line on stderr, with parameters as flags; a line that nobody reads any more is dropped."""
    try:
        print(with_flags(text), file=sys.stderr, flush=True)
    except OSError:
        with suppress(OSError, ValueError):  # nothing of it is tried again, also not when Python ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def with_flags(text: str) -> str:
    """Return a text with the parameters that it names in backticks as flags: `pixel_size` becomes --pixel-size."""
    return name_parameters(text, _flags(context.command)) if context and "`" in text else text


def _flags(command: Any) -> dict[str, str]:  # noqa: ANN401 - the class is private to typer
    """Return the long flag of each option of a command and of its subcommands, by the name of its parameter."""
    flags = {each.name: max(each.opts, key=len) for each in command.params if each.param_type_name == "option"}
    for inner in getattr(command, "commands", {}).values():
        flags |= _flags(inner)
    return flags


class LogHandler(logging.Handler):
    """Prints log records on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        say(self.format(record))


def note(text: str) -> None:
    """Print what is being done on stderr, unless quiet."""
    if not quiet:
        say(text)


def tell_failures(failures: Sequence[Failure], listing: Path) -> None:
    """Says on stderr, even if quiet, how many fields failed and why the first did."""
    say(f"lociscope: {counted(len(failures))} failed, listed in {listing}; the first: {failures[0].reason}")


def tell_unlogged(fields: int, reason: str) -> None:
    """Says on stderr, even if quiet, how many predicted fields the log lacks, and why."""
    say(f"lociscope: {counted(fields)} predicted but not in the log; {reason}")


def lasting(seconds: float) -> str:
    """Return a duration in the two largest of its units: `1 h 5 min`, `4 min 10 s`, `9 s`."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{whole} s"


@contextmanager
def progress(what: str) -> Iterator[ProgressCallback]:
    """Show how far work is: a bar with the time left on a terminal, elsewhere a line every `INTERVAL` seconds.

    Args:
        what: What is being done.

    Yields:
        A function to call with (done, total, text).
    """
    if quiet:
        yield ignore_progress
        return
    if not sys.stderr.isatty():
        yield _Lines(what, INTERVAL / 6 if verbose else INTERVAL)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[text]}"), console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=None, text="")

        def tell(done: int, total: int, text: str = "", /) -> None:
            bar.update(task, completed=done, total=total, text=text)

        yield tell
        if bar.tasks[0].total is None:  # it waited for something that reports no progress, such as an import
            bar.remove_task(task)


class _Lines:
    """Prints how far work is, at most one line in an interval: what a log file shows of hours of work.

    Args:
        what: What is being done.
        interval: Seconds between two lines, and before the first.
    """

    def __init__(self, what: str, interval: float) -> None:
        self._what, self._interval = what, interval
        self._last = self._began = time.monotonic()
        self._first: int | None = None

    def __call__(self, done: int, total: int, text: str = "", /) -> None:
        """Print a line, if one is due."""
        now = time.monotonic()
        if self._first is None:
            self._first, self._began = done, now  # earlier runs may have done some of it
        if now - self._last < self._interval:
            return
        self._last = now
        words = [f"{self._what}: {done} of {total}", *([text] if text else [])]
        if self._first < done < total:
            words.append(f"{lasting((now - self._began) * (total - done) / (done - self._first))} left")
        say(", ".join(words))
