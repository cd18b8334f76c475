"""Connections that keep the service waiting, over real sockets: cut in bounded time, bounded in number."""

from __future__ import annotations

import asyncio
import errno
import http.client
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn

from lociscope.service import connections, server
from lociscope.service.connections import Connection, Listener, max_connections
from lociscope.service.server import Server
from lociscope.service.worker_pool import WorkerPool

WAIT = 30
HALF = b"GET / HTTP/1.1\r\nHost: here\r\nX-A: "
WHOLE = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
Start = Callable[..., "Running"]


class Running:
    """A server in a thread, over an application that answers with so many bytes and reads no body."""

    def __init__(self, size: int) -> None:
        async def answer(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": bytes(size)})

        config = uvicorn.Config(answer, http=Connection, ws="none", lifespan="off", log_config=None, access_log=False)
        ready = threading.Event()
        state: Any = SimpleNamespace(pool=WorkerPool(1, 1))
        self.listening = Listener(socket.AF_INET, socket.SOCK_STREAM)
        self.listening.bind(("127.0.0.1", 0))
        self.address = self.listening.getsockname()
        self.server = Server(config, state, ready.set)
        self.pool: WorkerPool = state.pool
        self.thread = threading.Thread(target=self.server.run, args=([self.listening],))
        self.clients: list[socket.socket] = []
        self.thread.start()
        assert ready.wait(WAIT)

    def open(self, data: bytes = b"") -> socket.socket:
        client = socket.create_connection(self.address, timeout=WAIT)
        client.sendall(data)
        self.clients.append(client)
        return client

    def stop(self) -> float:
        """Stops it as a signal does; returns the seconds that it took."""
        started = time.monotonic()
        self.pool.stop()
        self.thread.join(WAIT)
        assert not self.thread.is_alive()
        return time.monotonic() - started


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """`start(size=10, wait=1.0)` serves, and cuts connections after `wait` s."""
    running: list[Running] = []

    def begin(size: int = 10, wait: float = 1.0) -> Running:
        monkeypatch.setattr(connections, "WAIT_SECONDS", wait)
        monkeypatch.setattr(connections, "DRAIN_SECONDS", wait)
        running.append(Running(size))
        return running[-1]

    yield begin
    for each in running:
        for client in each.clients:
            client.close()
        each.stop()


def ended(client: socket.socket) -> bool:
    """Whether the server closes a connection, after whatever it sends."""
    try:
        while client.recv(1 << 16):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


def drip(client: socket.socket) -> bool:
    """Sends a byte ten times a second until the connection is closed; whether it was."""
    ends = time.monotonic() + WAIT
    while time.monotonic() < ends:
        try:
            client.send(b"x")
        except ConnectionError:
            return True
        time.sleep(0.1)
    return False


def test_who_sends_nothing_or_half_a_header_is_cut(start: Start) -> None:
    running = start()
    idle, half = running.open(), running.open(HALF)
    assert ended(idle)
    assert ended(half)


@pytest.mark.parametrize(
    "begun",
    [HALF, WHOLE + HALF, b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 100000\r\n\r\n"],
    ids=["header", "second header", "refused body"],
)
def test_who_trickles_is_cut(start: Start, begun: bytes) -> None:
    assert drip(start().open(begun))


def test_who_reads_no_answer_is_cut(start: Start) -> None:
    running = start(size=32 << 20)
    client = running.open(WHOLE)
    ends = time.monotonic() + WAIT
    while running.server.server_state.connections or not running.server.server_state.total_requests:
        assert time.monotonic() < ends
        time.sleep(0.05)
    assert ended(client)


def test_who_asks_and_reads_is_served(start: Start) -> None:
    client = start(wait=3.0).open()
    for _ in range(3):
        time.sleep(0.5)
        client.sendall(WHOLE)
        with http.client.HTTPResponse(client) as answer:
            answer.begin()
            assert (answer.status, len(answer.read())) == (200, 10)


def test_no_connection_delays_the_end(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "LAST_SECONDS", 0.5)
    running = start(size=32 << 20, wait=60.0)
    for data in (b"", HALF, WHOLE):
        running.open(data)
    ends = time.monotonic() + WAIT
    while len(running.server.server_state.connections) < 3:
        assert time.monotonic() < ends
        time.sleep(0.02)
    assert running.stop() < 10


def test_past_the_bound_the_one_that_idles_longest_makes_room(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "max_connections", lambda: 3)
    running = start(wait=60.0)
    first, *others = [running.open(HALF) for _ in range(3)]
    last = running.open(WHOLE)
    assert last.recv(1000).startswith(b"HTTP/1.1 200 OK")
    assert ended(first)
    for each in others:
        each.sendall(b"b\r\n\r\n")
        assert each.recv(1000).startswith(b"HTTP/1.1 200 OK")


def test_the_bound_leaves_files_for_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    for files, most in ((1024, 964), (100, 40), (16, 8), (1 << 20, 1000), (resource.RLIM_INFINITY, 1000)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, files=files: (files, files))
        assert max_connections() == most


def test_with_no_file_left_a_client_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with Listener(socket.AF_INET, socket.SOCK_STREAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        accept = socket.socket.accept
        spare = listening._spare

        def fail(self: socket.socket) -> tuple[socket.socket, Any]:
            if listening._spare is not None and _is_open(listening._spare):
                raise OSError(errno.EMFILE, "too many open files")
            return accept(self)

        monkeypatch.setattr(socket.socket, "accept", fail)
        with socket.create_connection(listening.getsockname(), timeout=WAIT) as client:
            with pytest.raises(ConnectionAbortedError):
                listening.accept()
            assert ended(client)
        assert spare is not None
        assert listening._spare is not None
    assert listening._spare is None


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def test_another_error_of_accept_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: socket.socket) -> None:
        raise OSError(errno.EBADF, "bad file descriptor")

    monkeypatch.setattr(socket.socket, "accept", fail)
    with Listener(socket.AF_INET, socket.SOCK_STREAM) as listening, pytest.raises(OSError, match="bad file"):
        listening.accept()


def test_the_event_loop_takes_it_for_a_socket() -> None:
    async def serve() -> bytes:
        listening = Listener(socket.AF_INET, socket.SOCK_STREAM)
        listening.bind(("127.0.0.1", 0))

        async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"hello")
            writer.close()

        async with await asyncio.start_server(greet, sock=listening) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            said = await reader.read()
            writer.close()
            return said

    assert asyncio.run(serve()) == b"hello"
