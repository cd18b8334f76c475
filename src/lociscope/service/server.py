"""The server process: its socket, the signals that stop it, and its address."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from fastapi import FastAPI

from lociscope.errors import Code, LociscopeError
from lociscope.processes.signals import handle_termination
from lociscope.service.connections import Connection, Listener
from lociscope.service.settings import Settings
from lociscope.service.state import AppState
from lociscope.service.temporary_folder import find_shortage, use_named_folder

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Numbers of glibc's `malloc.h`."""

LAST_SECONDS = 3.0
"""Time for sending the last answers after all predictions are done and the service stops."""

START_SECONDS = 20.0
"""Time in which a server in a thread must answer."""

logger = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """A server that stops in two steps.

    It refuses new requests and reports that at `/readyz`; when all requests are answered, it ends. A second signal ends
    it at once.

    Args:
        config: The configuration of uvicorn.
        state: The state of the application.
        on_started: Called when requests are answered.
    """

    def __init__(self, config: uvicorn.Config, state: AppState, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._state = state
        self._on_started = on_started
        self.interrupted = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and call `on_started`."""
        await super().startup(sockets)
        if self.started:
            self._on_started()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop at a signal; a second signal ends the server at once."""
        again = self._state.pool.stopping
        self.interrupted |= again or sig == signal.SIGINT
        self.should_exit = self.force_exit = again
        logging.getLogger("uvicorn.error").disabled = again  # it would report each cancelled task
        self._state.pool.stop()

    async def on_tick(self, counter: int) -> bool:
        """End when nothing is in flight any more, and close idle connections; uvicorn calls this ten times a second."""
        if counter % 10 == 0:
            for connection in self._connections():
                connection.check(asyncio.get_running_loop().time())
        if self._state.pool.stopping and not self._state.pool.in_flight:
            self.should_exit = True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let the last answers be sent, and close the connections of clients that do not read theirs."""
        closing = asyncio.get_running_loop().call_later(LAST_SECONDS, self._close_connections)
        await super().shutdown(sockets)
        closing.cancel()

    def _connections(self) -> list[Connection]:
        return [each for each in self.server_state.connections if isinstance(each, Connection)]

    def _close_connections(self) -> None:
        for connection in self._connections():
            connection.abort()


def serve(app: FastAPI, settings: Settings, on_started: Callable[[str], None]) -> None:
    """Serve until a signal ends the process.

    Args:
        app: The result of `create_app`.
        settings: The address to listen at.
        on_started: Called with the address, such as `http://127.0.0.1:8000`, when it answers.

    Raises:
        LociscopeError: The address is not available.
        KeyboardInterrupt: SIGINT ended it, or a second signal; after one SIGTERM or SIGHUP it returns.
    """
    _keep_memory()
    use_named_folder()
    if reason := find_shortage():
        logger.warning("uploads cannot be stored: the temporary folder reports '%s'. Set TMPDIR to another.", reason)
    listening = _bind_socket(settings.host, settings.port)
    address = _make_address(settings.host, listening)
    server = Server(_configure(app), app.state.service, lambda: on_started(address))
    with listening, handle_termination(server.handle_exit):  # uvicorn itself listens to SIGINT and SIGTERM alone
        server.run([listening])
    if server.interrupted:
        raise KeyboardInterrupt


@contextmanager
def serve_beside(app: FastAPI, settings: Settings) -> Iterator[str]:
    """Serve in a thread beside the work of the block, which answers signals itself.

    Args:
        app: The application.
        settings: The address to listen at.

    Yields:
        The address, such as `http://127.0.0.1:8000`; it answers.

    Raises:
        LociscopeError: The address is not available, or the server does not start.
    """
    listening = _bind_socket(settings.host, settings.port)
    address = _make_address(settings.host, listening)
    started = threading.Event()
    server = Server(_configure(app), app.state.service, started.set)
    thread = threading.Thread(target=server.run, args=([listening],), name="page", daemon=True)
    with listening:
        thread.start()
        if not started.wait(START_SECONDS):
            raise LociscopeError(f"The page at {address} does not start. Pass another `port`.", code=Code.UNAVAILABLE)
        try:
            yield address
        finally:
            app.state.service.pool.stop()
            server.should_exit = True
            thread.join(LAST_SECONDS)


def _configure(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app, http=Connection, ws="none", log_config=None, access_log=False, lifespan="on", server_header=False,
        proxy_headers=False, backlog=2048,
    )  # fmt: skip


def _make_address(host: str, listening: socket.socket) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listening.getsockname()[1]}"


def _keep_memory() -> None:
    """Let glibc keep the memory of a field's arrays: returned to the system, it would be faulted in for the next field.

    `benchmarks/service.py` counts the page faults: without this there were 790 per request of 512 × 512 px.
    The kept memory is at most what the workers needed together.
    """
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        for option, most in ((_MMAP_THRESHOLD, 32 << 20), (_TRIM_THRESHOLD, 256 << 20)):
            library.mallopt(option, most)


def _bind_socket(host: str, port: int) -> Listener:
    """Return a socket that listens at an address.

    Raises:
        LociscopeError: The address does not exist, may not be used, or is in use.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = Listener(family, kind, protocol)
        if hasattr(socket, "SO_REUSEPORT"):  # not Windows, where it would let two processes share the port
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            made.bind(address)
            made.listen(2048)
        except OSError:
            made.close()
            raise
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise LociscopeError(
            f"Cannot listen at {host}, port {port}: {reason}. Pass another `port` or `host`, or end what uses it.",
            code=Code.UNAVAILABLE,
        ) from error
    return made
