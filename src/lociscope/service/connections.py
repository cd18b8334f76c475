"""Connections that send nothing or half a header, or read no answer: closed in bounded time, and bounded in number.

uvicorn limits the time between two requests alone, and a single byte ends that limit.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

WAIT_SECONDS = 10.0
"""A whole header must come, and each 64 KiB of an answer must be taken, within 10 s."""

DRAIN_SECONDS = 30.0
"""How long the rest of a body is read that was refused, so that its sender gets to read why."""

MAX_CONNECTIONS = 1000
RESERVED_FILES = 32
"""Files that connections leave to uploads, bundles and the log."""

_OWN_FILES = 28
"""What the process has open besides: the standard streams, the event loop, the listening socket, libraries."""

_FEWEST = 8


class Connection(H11Protocol):
    """A connection that is cut where its client keeps it waiting.

    Its arguments are uvicorn's.

    Attributes:
        since: When a request last began or was answered, or the client took 64 KiB of an answer; s of the event loop.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - whatever uvicorn passes
        super().__init__(*arguments, **named)
        self._state: tuple[object, ...] = ()
        self.since = self.loop.time()
        self._most = max_connections()

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - as uvicorn declares it
        """Begin; where there are too many connections, the one that has idled longest is cut."""
        super().connection_made(transport)
        if len(self.connections) > self._most:
            idle = [each for each in self.connections if isinstance(each, Connection) and each.idle]
            min(idle, key=lambda each: each.since).cut()

    def _unsupported_upgrade_warning(self) -> None:
        """Pass over an upgrade, as HTTP lets a server do: Java's client offers HTTP/2 with each request."""

    @property
    def idle(self) -> bool:
        """Whether no request is in work: none has come whole, or all are answered."""
        return self.cycle is None or self.cycle.response_complete

    def cut(self) -> None:
        """Close the connection at once, whatever is still to be sent."""
        self.connections.discard(self)
        self.transport.abort()

    def check(self, now: float) -> None:
        """Cut the connection if its client has been keeping it waiting for too long.

        Args:
            now: The time of the event loop, s.
        """
        state = (self.cycle, self.idle, self.flow.write_paused, self.transport.get_write_buffer_size() >> 16)
        if state != self._state:
            self._state, self.since = state, now
        elif self.idle or self.flow.write_paused:
            draining = self.conn.their_state is h11.SEND_BODY
            if now - self.since >= (DRAIN_SECONDS if draining else WAIT_SECONDS):
                self.cut()


class Listener(socket.socket):
    """A listening socket that hangs up on a client for whom the process has no file left.

    asyncio would log each attempt with its traceback, thousands a second, and accept nobody.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - a socket's
        super().__init__(*arguments, **named)
        self._spare: int | None = _open_spare()

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection; with no file left, accept one with the spare file and close it.

        Raises:
            ConnectionAbortedError: That was done.
            OSError: As `socket.socket.accept` raises it.
        """
        if self._spare is None:
            self._spare = _open_spare()
        try:
            return super().accept()
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE) or self._spare is None:
                raise
            os.close(self._spare)
            try:
                super().accept()[0].close()
            finally:
                self._spare = _open_spare()
            raise ConnectionAbortedError(errno.ECONNABORTED, "no file is left for it") from error

    def close(self) -> None:
        """Close the socket and its spare file."""
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None
        super().close()


def max_connections() -> int:
    """Return how many connections may be open: `MAX_CONNECTIONS`, or fewer where the process may open few files."""
    if sys.platform == "win32":
        return MAX_CONNECTIONS
    import resource

    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(_FEWEST, min(MAX_CONNECTIONS, files - _OWN_FILES - RESERVED_FILES))


def _open_spare() -> int | None:
    try:
        return os.open(os.devnull, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except OSError:
        return None
