"""Progress of long work, reported by callback."""

from __future__ import annotations

from typing import Protocol


class ProgressCallback(Protocol):
    """A callback to which long work reports its progress."""

    def __call__(self, done: int, total: int, text: str = "", /) -> None:
        """Report that `done` of `total` steps are done; `text` is shown beside."""


def ignore_progress(done: int, total: int, text: str = "", /) -> None:
    """Report nothing."""
