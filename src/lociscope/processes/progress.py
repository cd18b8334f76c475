"""Progress of long work, reported by callback."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager


class ProgressCallback(Protocol):
    """A callback to which long work reports its progress."""

    def __call__(self, done: int, total: int, text: str = "", /) -> None:
        """Report that `done` of `total` steps are done; `text` is shown beside."""


def ignore_progress(done: int, total: int, text: str = "", /) -> None:
    """Report nothing."""


class ProgressDisplay(Protocol):
    """Shows the progress of each step of a workflow."""

    def __call__(self, what: str, /) -> AbstractContextManager[ProgressCallback]:
        """Return a context in which the step `what` reports its progress."""


@contextmanager
def show_nothing(what: str, /) -> Iterator[ProgressCallback]:
    """Show no progress."""
    yield ignore_progress
