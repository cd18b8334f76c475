"""Downloads from a local server: resumed, checked, and refused where they are another file."""

from __future__ import annotations

import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from fixtures.codes import raises_code

from lociscope.errors import Code
from lociscope.storage.download import download

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DATA = bytes(range(256)) * 4000
SHA = hashlib.sha256(DATA).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `files`; cuts the next `cuts` answers in half, and knows ranges unless `ranges` is False."""

    files: dict[str, bytes]
    cuts = 0
    ranges = True
    asked: list[str | None]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        data = self.server.files.get(self.path.lstrip("/"))
        self.server.asked.append(self.headers.get("Range"))
        if data is None:
            self.send_error(404)
            return
        start = 0
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if found and self.server.ranges:
            start = int(found[1])
            if start >= len(data):
                self.send_error(416)
                return
        rest = data[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if self.server.cuts:
            self.server.cuts -= 1
            rest = rest[: len(rest) // 2]
        self.wfile.write(rest)
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(("127.0.0.1", 0), Handler)
    made.files, made.asked = {"a.bin": DATA}, []
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def url(server: Server, name: str = "a.bin") -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/{name}"


@pytest.mark.parametrize("ranges", [True, False], ids=["a server that resumes", "one that does not"])
def test_a_cut_download_is_resumed(server: Server, tmp_path: Path, ranges: bool) -> None:
    server.cuts, server.ranges = 1, ranges
    path = tmp_path / "new" / "a.bin"
    with raises_code(Code.UNAVAILABLE):
        download(url(server), path, SHA, len(DATA))
    assert not path.exists()
    assert (tmp_path / "new" / "a.bin.part").stat().st_size == len(DATA) // 2
    seen: list[tuple[int, int]] = []
    download(url(server), path, SHA, len(DATA), lambda done, total, text="": seen.append((done, total)))
    assert path.read_bytes() == DATA
    assert seen[-1] == (len(DATA), len(DATA))
    assert server.asked == [None, f"bytes={len(DATA) // 2}-"]
    download(url(server), path, SHA, len(DATA))
    assert len(server.asked) == 2  # it is there


def test_a_complete_part_is_only_checked(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.bin.part").write_bytes(DATA)
    download(url(server), tmp_path / "a.bin", SHA, len(DATA))
    assert (tmp_path / "a.bin").read_bytes() == DATA


def test_another_file_is_refused(server: Server, tmp_path: Path) -> None:
    server.files["a.bin"] = DATA[:-1] + b"x"
    with raises_code(Code.ALTERED):
        download(url(server), tmp_path / "a.bin", SHA, len(DATA))
    assert not any(tmp_path.iterdir())
    with raises_code(Code.TOO_LARGE):
        download(url(server), tmp_path / "a.bin", SHA, len(DATA) - 1)


def test_servers_that_do_not_answer(server: Server, tmp_path: Path) -> None:
    with raises_code(Code.NOT_FOUND):
        download(url(server, "b.bin"), tmp_path / "b.bin", SHA, len(DATA))
    address = url(server)
    server.shutdown()
    server.server_close()
    with raises_code(Code.UNAVAILABLE):
        download(address, tmp_path / "a.bin", SHA, len(DATA))
    for other in ("http://example.org/a.bin", "file:///etc/passwd", "ftp://localhost/a"):
        with raises_code(Code.REFUSED):
            download(other, tmp_path / "a.bin", SHA, len(DATA))
