"""How long work reports its progress."""

from __future__ import annotations

from typing import Protocol


class ProgressCallback(Protocol):
    """Called by long work to report how far it is."""

    def __call__(self, done: int, total: int, text: str = "", /) -> None:
        """Report that `done` of `total` steps are done, and a word beside it."""


def ignore_progress(done: int, total: int, text: str = "", /) -> None:
    """Report nothing."""
