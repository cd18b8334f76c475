"""Standard streams and signals of the command, however it was started."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lociscope.errors import Exit
from lociscope.processes.signals import handle_termination

if TYPE_CHECKING:
    from types import FrameType

MAX_END_SECONDS = 5.0
"""Seconds in which an interrupted command must end, for example while a thread still reads a file."""
_STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


class ResultStream(io.TextIOWrapper):
    """A stdout that outlives its reader: later text is dropped, so that a command reaches its exit code.

    `flush` reports once that the reader has gone, which ends a command that flushes each line as long as it runs.
    """

    _unread = False

    def write(self, text: str, /) -> int:
        """Write a text, or drop it if nobody reads it."""
        try:
            return super().write(text)
        except BrokenPipeError:
            self._unread = True
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())  # nothing of it is tried again
            os.close(null)
            return len(text)

    def flush(self) -> None:
        """Write what is buffered.

        Raises:
            BrokenPipeError: The reader has gone since the last call.
        """
        if self._unread:
            self._unread = False
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        super().flush()


def open_streams() -> None:
    """Prepare the standard streams: closed ones are replaced by the null device, stdout by a `ResultStream`.

    Services, `pythonw` and `>&-` close them. Python then has None in their place, and the next file that is opened gets
    their number, so that libraries would write their messages into it.
    """
    for name, mode in _STREAMS:
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode, encoding="utf-8", errors="backslashreplace")
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)
    out = sys.stdout
    if isinstance(out, io.TextIOWrapper) and out is sys.__stdout__:
        sys.stdout = ResultStream(
            out.buffer,
            encoding=out.encoding,
            errors="surrogateescape",  # prints a path with the bytes that it has on disk
            line_buffering=out.line_buffering,
            write_through=out.write_through,
        )


@contextmanager
def ending_on_signals() -> Iterator[None]:
    """Raise KeyboardInterrupt at the first SIGINT, SIGTERM or SIGHUP; end the process at once at the second.

    After the first signal the process ends within `MAX_END_SECONDS` seconds, even if a thread still reads a file.
    SIGINT that is ignored, as in a shell's background job, stays ignored.
    """
    interrupted = False

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        if interrupted:
            os._exit(Exit.INTERRUPTED)
        interrupted = True
        timer = threading.Timer(MAX_END_SECONDS, os._exit, (Exit.INTERRUPTED,))
        timer.daemon = True
        timer.start()
        raise KeyboardInterrupt

    also = () if signal.getsignal(signal.SIGINT) is signal.SIG_IGN else (signal.SIGINT,)
    try:
        with handle_termination(end, *also):
            yield
    finally:
        if interrupted:  # the process is ending, and a second signal still ends it at once
            for number in (signal.SIGTERM, *also):
                signal.signal(number, end)
