"""Files behind URLs, in fsspec's memory and on local servers."""

from __future__ import annotations

import pickle
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lociscope.errors import Code, LociscopeError, MissingExtraError
from lociscope.storage import remote
from lociscope.storage.remote import RemotePath, as_remote, list_files, read_bytes, remove, write_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fixtures.s3 import Failing


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> RemotePath:
    path = as_remote(Path(f"memory://{request.node.name.partition('[')[0]}/fields"))
    assert isinstance(path, RemotePath)
    return path


class Handler(BaseHTTPRequestHandler):
    """Files by name: the status is the name, `busy` answers the third time."""

    requests = 0

    def do_GET(self) -> None:
        name = self.path.strip("/")
        if name == "busy":
            type(self).requests += 1
            status = 200 if self.requests >= 3 else 503
        else:
            status = int(name) if name.isdigit() else 200
        self.send_response(status)
        self.end_headers()
        if status == 200:
            self.wfile.write(b"x" * 100)

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(remote, "_PAUSE", 0.01)
    Handler.requests = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()


def test_a_path_is_a_url_only_where_it_is_made_one(folder: RemotePath) -> None:
    assert type(as_remote(Path("folder/a.png"))) is type(Path())
    assert not isinstance(Path("s3://bucket/a.png"), RemotePath)
    plane = folder / "a_red.png"
    assert isinstance(plane, RemotePath)
    assert str(plane) == f"{folder}/a_red.png"
    assert (plane.name, plane.suffix, str(plane.parent)) == ("a_red.png", ".png", str(folder))
    assert str(plane.with_name("b.png")) == f"{folder}/b.png"
    assert pickle.loads(pickle.dumps(plane)) == plane
    assert isinstance(pickle.loads(pickle.dumps(plane)), RemotePath)
    assert as_remote(plane) is plane


def test_files_are_written_listed_read_and_removed(folder: RemotePath) -> None:
    write_bytes(str(folder / "b.txt"), b"two")
    write_bytes(str(folder / "a.txt"), b"one")
    write_bytes(str(folder / "inner" / "c.txt"), b"three")
    assert [(file.name, size) for file, size in list_files(folder)] == [("a.txt", 3), ("b.txt", 3)]
    with (folder / "a.txt").open("rb") as file:
        assert file.read() == b"one"
    with (folder / "b.txt").open(newline="", encoding="utf-8") as file:
        assert file.read() == "two"
    before = (folder / "a.txt").read_mark()
    write_bytes(str(folder / "a.txt"), b"other")
    assert (folder / "a.txt").read_mark() != before
    assert (folder / "a.txt").exists()
    remove(str(folder / "a.txt"))
    remove(str(folder / "a.txt"))
    assert not (folder / "a.txt").exists()
    with pytest.raises(LociscopeError) as caught:
        read_bytes(str(folder / "a.txt"))
    assert caught.value.code == Code.NOT_FOUND


def test_large_files_and_long_lists_are_refused(folder: RemotePath, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        write_bytes(str(folder / name), b"x" * 11)
    assert read_bytes(str(folder / "a"), 11) == b"x" * 11
    with pytest.raises(LociscopeError) as caught:
        read_bytes(str(folder / "a"), 10)
    assert caught.value.code == Code.TOO_LARGE
    monkeypatch.setattr(remote, "MAX_LISTED", 2)
    with pytest.raises(LociscopeError) as caught:
        list_files(folder)
    assert caught.value.code == Code.TOO_LARGE


@pytest.mark.parametrize(
    ("url", "code"),
    [("sftp://example.org/a.png", Code.UNSUPPORTED_FORMAT), ("https://me:secret@example.org/a.png", Code.REFUSED)],
)
def test_other_urls_are_refused_and_passwords_not_repeated(url: str, code: Code) -> None:
    with pytest.raises(LociscopeError) as caught:
        as_remote(Path(url))
    assert caught.value.code == code
    assert "secret" not in str(caught.value)


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingExtraError, match="cluster"):
        as_remote(Path("s3://bucket/a.png"))


@pytest.mark.parametrize(
    ("name", "code"), [("404", Code.NOT_FOUND), ("403", Code.UNREADABLE), ("500", Code.UNAVAILABLE)]
)
def test_answers_of_a_web_server(server: str, name: str, code: Code) -> None:
    with pytest.raises(LociscopeError) as caught:
        read_bytes(f"{server}/{name}")
    assert caught.value.code == code
    assert f"{server}/{name}" in str(caught.value)


def test_a_server_that_is_busy_is_asked_again(server: str) -> None:
    assert read_bytes(f"{server}/busy") == b"x" * 100
    assert Handler.requests == 3


def test_a_web_file_without_a_length_is_limited(server: str) -> None:
    assert len(read_bytes(f"{server}/file", 100)) == 100
    with pytest.raises(LociscopeError) as caught:
        read_bytes(f"{server}/file", 99)
    assert caught.value.code == Code.TOO_LARGE


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_an_object_store_that_fails_now_and_then(s3_server: Failing) -> None:
    folder = as_remote(Path("s3://fields/plate"))
    assert isinstance(folder, RemotePath)
    for number in range(12):
        write_bytes(str(folder / f"{number}.txt"), b"%d" % number)
    assert len(list_files(folder)) == 12
    assert [read_bytes(str(folder / f"{number}.txt")) for number in range(12)] == [b"%d" % n for n in range(12)]
    assert s3_server.failed >= 3
    with pytest.raises(LociscopeError) as caught:
        read_bytes(str(folder / "none.txt"))
    assert caught.value.code == Code.NOT_FOUND
