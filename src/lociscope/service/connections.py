"""Close connections that send nothing or half a header, or read no answer, and limit their number.

uvicorn limits only the time between two requests, and a single byte ends that limit.
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
"""A whole header must arrive, and each 64 KiB of an answer must be read, within 10 s."""

DRAIN_SECONDS = 30.0
"""Time for which the rest of a refused body is read, so that its sender can read the answer."""

MAX_CONNECTIONS = 1000
RESERVED_FILES = 32
"""Open files that are reserved for uploads, bundles and the log."""

_OWN_FILES = 28
"""Other open files of the process: standard streams, event loop, listening socket, libraries."""

_MIN_CONNECTIONS = 8


class Connection(H11Protocol):
    """A connection that is closed if its client keeps it waiting. The arguments are those of uvicorn.

    Attributes:
        since: When a request last began or was answered, or the client read 64 KiB of an answer; s of the event loop.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - whatever uvicorn passes
        super().__init__(*arguments, **named)
        self._state: tuple[object, ...] = ()
        self.since = self.loop.time()
        self._most = max_connections()

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - as uvicorn declares it
        """Begin; if there are too many connections, close the one that has been idle longest."""
        super().connection_made(transport)
        if len(self.connections) > self._most:
            idle = [each for each in self.connections if isinstance(each, Connection) and each.is_idle]
            min(idle, key=lambda each: each.since).abort()

    def _unsupported_upgrade_warning(self) -> None:
        """Ignore an upgrade, as HTTP permits: the client of Java offers HTTP/2 with each request."""

    @property
    def is_idle(self) -> bool:
        """Return whether no request is being answered: none has arrived completely, or all are answered."""
        return self.cycle is None or self.cycle.response_complete

    def abort(self) -> None:
        """Close the connection at once, without sending the rest of an answer."""
        self.connections.discard(self)
        self.transport.abort()

    def check(self, now: float) -> None:
        """Close the connection if its client has kept it waiting for too long.

        Args:
            now: The time of the event loop, s.
        """
        state = (self.cycle, self.is_idle, self.flow.write_paused, self.transport.get_write_buffer_size() >> 16)
        if state != self._state:
            self._state, self.since = state, now
        elif self.is_idle or self.flow.write_paused:
            draining = self.conn.their_state is h11.SEND_BODY
            if now - self.since >= (DRAIN_SECONDS if draining else WAIT_SECONDS):
                self.abort()


class Listener(socket.socket):
    """A listening socket that rejects a client if the process cannot open another file.

    asyncio would log each attempt with its traceback, thousands per second, and accept no client.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - a socket's
        super().__init__(*arguments, **named)
        self._spare: int | None = _open_spare()

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection; if no file can be opened, accept it in place of the spare file and close it.

        Raises:
            ConnectionAbortedError: The client was rejected.
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
    """Return how many connections may be open: `MAX_CONNECTIONS`, or fewer if the process may open few files."""
    if sys.platform == "win32":
        return MAX_CONNECTIONS
    import resource

    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(_MIN_CONNECTIONS, min(MAX_CONNECTIONS, files - _OWN_FILES - RESERVED_FILES))


def _open_spare() -> int | None:
    try:
        return os.open(os.devnull, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except OSError:
        return None
