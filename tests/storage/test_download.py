"""Downloads from a local server: resumed, checked, and refused where they are another file."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from fixtures.codes import raises_code

from lociscope.errors import Code
from lociscope.storage.download import download

if TYPE_CHECKING:
    from pathlib import Path

    from fixtures.file_server import FileServer

DATA = bytes(range(256)) * 4000
SHA = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def server(file_server: FileServer) -> FileServer:
    file_server.files = {"a.bin": DATA}
    return file_server


def url(server: FileServer, name: str = "a.bin") -> str:
    return f"{server.url}{name}"


@pytest.mark.parametrize("ranges", [True, False], ids=["a server that resumes", "one that does not"])
def test_a_cut_download_is_resumed(server: FileServer, tmp_path: Path, ranges: bool) -> None:
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


def test_a_complete_part_is_only_checked(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "a.bin.part").write_bytes(DATA)
    download(url(server), tmp_path / "a.bin", SHA, len(DATA))
    assert (tmp_path / "a.bin").read_bytes() == DATA


def test_another_file_is_refused(server: FileServer, tmp_path: Path) -> None:
    server.files["a.bin"] = DATA[:-1] + b"x"
    with raises_code(Code.ALTERED):
        download(url(server), tmp_path / "a.bin", SHA, len(DATA))
    assert not any(tmp_path.iterdir())
    with raises_code(Code.TOO_LARGE):
        download(url(server), tmp_path / "a.bin", SHA, len(DATA) - 1)


def test_servers_that_do_not_answer(server: FileServer, tmp_path: Path) -> None:
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
