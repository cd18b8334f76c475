"""Messages and progress on stderr."""

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
    from lociscope.predict.batch import BatchResult
    from lociscope.processes.progress import ProgressCallback

quiet = False
"""Set by `--quiet`."""
verbose = False
"""Set by `--verbose`."""
context: Context | None = None
"""Typer's context of the command that runs, set when it starts."""
INTERVAL = 30.0
"""Seconds between two lines of progress if stderr is not a terminal; a sixth of it with `--verbose`."""

INTERRUPTED = "interrupted. Give the same command again to resume."


def count_fields(fields: int) -> str:
    """Return a number of fields with its noun: `1 field`, `2 fields`."""
    return f"{fields} field" if fields == 1 else f"{fields} fields"


def print_error(text: str) -> None:
    """Print a line on stderr, with parameters as flags; a line that nobody reads any more is dropped."""
    try:
        print(with_flags(text), file=sys.stderr, flush=True)
    except OSError:
        with suppress(OSError, ValueError):  # so that Python does not try again when it ends
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
        print_error(self.format(record))


def note(text: str) -> None:
    """Print a message on stderr, unless quiet."""
    if not quiet:
        print_error(text)


def report_failures(failures: Sequence[Failure], listing: Path) -> None:
    """Print on stderr, even if quiet, how many fields failed and why the first did."""
    print_error(
        f"lociscope: {count_fields(len(failures))} failed, listed in {listing}; the first: {failures[0].reason}"
    )


def report_unlogged(fields: int, reason: str) -> None:
    """Print on stderr, even if quiet, how many predicted fields the log lacks, and why."""
    print_error(f"lociscope: {count_fields(fields)} predicted but not in the log; {reason}")


def report_unpredicted(result: BatchResult, output: Path) -> None:
    """Print on stderr, even if quiet, which fields of a table failed, and which are not in the log."""
    if result.failures:
        report_failures(result.failures, output.with_name(output.stem + ".failures.csv"))
    if result.unlogged:
        report_unlogged(result.unlogged, result.log_error)


def format_duration(seconds: float) -> str:
    """Return a duration in the two largest of its units: `1 h 5 min`, `4 min 10 s`, `9 s`."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{whole} s"


@contextmanager
def progress(what: str) -> Iterator[ProgressCallback]:
    """Show the progress of work: a bar with the remaining time on a terminal, else a line every `INTERVAL` seconds.

    Args:
        what: The work, for example `predicting`.

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

        def report(done: int, total: int, text: str = "", /) -> None:
            bar.update(task, completed=done, total=total, text=text)

        yield report
        if bar.tasks[0].total is None:  # it waited for something that reports no progress, such as an import
            bar.remove_task(task)


class _Lines:
    """Prints the progress of work, at most one line per interval, for log files of long work.

    Args:
        what: The work.
        interval: Seconds between two lines, and before the first.
    """

    def __init__(self, what: str, interval: float) -> None:
        self._what, self._interval = what, interval
        self._last = self._began = time.monotonic()
        self._first: int | None = None
        self._done = 0

    def __call__(self, done: int, total: int, text: str = "", /) -> None:
        """Print a line if one is due."""
        now = time.monotonic()
        if self._first is None or done < self._done:
            self._first, self._began = done, now  # earlier runs may have done some of it; less than before: a new part
        self._done = done
        if now - self._last < self._interval:
            return
        self._last = now
        words = [f"{self._what}: {done} of {total}", *([text] if text else [])]
        if self._first < done < total:
            words.append(f"{format_duration((now - self._began) * (total - done) / (done - self._first))} left")
        print_error(", ".join(words))
