"""Signals that ask a command to end: SIGTERM, and SIGHUP of a terminal that closes or a connection that drops."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    Handler = Callable[[int, FrameType | None], None]

_STREAMS = (0, 1, 2)


@contextmanager
def handle_termination(handler: Handler, *others: signal.Signals) -> Iterator[None]:
    """Call a handler for SIGTERM, for SIGHUP unless it is ignored (`nohup`), and for others.

    After the first signal SIGHUP is ignored: kernel, shell and session manager each send one, often after a SIGTERM.
    When SIGHUP comes because the terminal is gone, the standard streams on it are redirected to the null device:
    otherwise the next message would raise an error and end the remaining work.

    Args:
        handler: Called with the signal and the frame, in the main thread; in other threads nothing is changed.
        others: Further signals to handle.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = {signal.SIGTERM, *others}
    hangup = getattr(signal, "SIGHUP", None)  # Windows has none
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
        signals.add(hangup)
    on_terminal = [stream for stream in _STREAMS if os.isatty(stream)]

    def handle(number: int, frame: FrameType | None) -> None:
        if hangup in signals:
            signal.signal(hangup, signal.SIG_IGN)
        _leave_terminal(on_terminal)
        handler(number, frame)

    before = {each: signal.signal(each, handle) for each in signals}
    try:
        yield
    finally:
        for each, earlier in before.items():
            signal.signal(each, earlier)


@contextmanager
def interrupt_on_termination() -> Iterator[None]:
    """Raise KeyboardInterrupt for SIGTERM and SIGHUP, as for Ctrl-C."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with handle_termination(interrupt):
        yield


def _leave_terminal(streams: list[int]) -> None:
    """Redirect the streams whose terminal no longer answers to the null device."""
    gone = [stream for stream in streams if not os.isatty(stream)]
    if gone:
        null = os.open(os.devnull, os.O_RDWR)
        for stream in gone:
            os.dup2(null, stream)
        os.close(null)
