"""What a person at a terminal sees while work goes on: progress on stderr, and only there."""

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from lociscope.images.sources import Failure

quiet = False
"""Set by `--quiet`."""


class Tell(Protocol):
    """What long work calls to say how far it is."""

    def __call__(self, done: int, total: int, text: str = "", /) -> None:
        """Says that `done` of `total` are done, and a word beside it."""


def counted(fields: int) -> str:
    """Says how many fields: `1 field`, `2 fields`."""
    return f"{fields} field" if fields == 1 else f"{fields} fields"


def note(text: str) -> None:
    """Says what is being done, on stderr."""
    if not quiet:
        print(text, file=sys.stderr, flush=True)


def tell_failures(failures: "Sequence[Failure]", listing: "Path") -> None:
    """Says on stderr, even if quiet, how many fields failed and why the first did."""
    failed = f"{counted(len(failures))} failed, listed in {listing}"
    print(f"lociscope: {failed}; the first: {failures[0].reason}", file=sys.stderr, flush=True)


def tell_unlogged(fields: int, reason: str) -> None:
    """Says on stderr, even if quiet, how many predicted fields the log lacks, and why."""
    print(f"lociscope: {counted(fields)} predicted but not in the log; {reason}", file=sys.stderr, flush=True)


@contextmanager
def progress(what: str) -> "Iterator[Tell]":
    """A progress bar with the time left, on a terminal; nothing elsewhere.

    Args:
        what: What is being done.

    Yields:
        A function to call with (done, total, text).
    """
    if quiet or not sys.stderr.isatty():
        yield _silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[text]}"), console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=None, text="")

        def tell(done: int, total: int, text: str = "", /) -> None:
            bar.update(task, completed=done, total=total, text=text)

        yield tell


def _silent(done: int, total: int, text: str = "", /) -> None:
    """Says nothing."""
