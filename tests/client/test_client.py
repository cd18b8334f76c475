"""The client, against a real service."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest

from lociscope.client import Client, ServiceError
from lociscope.errors import Code, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Scripted(BaseHTTPRequestHandler):
    """Answers requests with a script of (status, headers, body), and records them."""

    script: ClassVar[list[tuple[int, dict[str, str], bytes]]] = []
    seen: ClassVar[list[tuple[str, str, dict[str, str], bytes]]] = []

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.seen.append((self.command, self.path, dict(self.headers), body))
        status, headers, data = self.script.pop(0)
        self.send_response(status)
        for name, value in (headers | {"content-length": str(len(data))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = _answer

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def service() -> Iterator[tuple[str, type[Scripted]]]:
    Scripted.script, Scripted.seen = [], []
    with HTTPServer(("127.0.0.1", 0), Scripted) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", Scripted
        server.shutdown()
        thread.join()


JOB = b'{"id": "x", "name": "n", "state": "%s", "total": 2, "done": 1, "failed": 0, "expires": "e"}'


def test_a_busy_service_is_asked_again(service: Any, tmp_path: Path) -> None:
    address, script = service
    (tmp_path / "plate" / "a").mkdir(parents=True)
    (tmp_path / "plate" / "a" / "x_red.png").write_bytes(b"pixels")
    script.script += [(503, {"retry-after": "0"}, b"{}"), (202, {}, JOB % b"running")]
    client = Client(f"{address}/under/", key="secret")
    assert client.send([tmp_path / "plate"], name="mine").id == "x"
    assert [(method, path) for method, path, _, _ in script.seen] == [("POST", "/under/jobs")] * 2
    _, _, headers, body = script.seen[1]
    assert headers["authorization"] == "Bearer secret"
    for text in (b'filename="plate/a/x_red.png"', b"pixels", b'name="name"\r\n\r\nmine'):
        assert text in body
    assert "secret" not in repr(client)


def test_errors_have_their_code_and_status(service: Any) -> None:
    address, script = service
    script.script += [(410, {}, b'{"error": "It has expired.", "code": "not-found"}'), (500, {}, b"<html>")]
    with pytest.raises(ServiceError) as caught:
        Client(address).job("x")
    assert (caught.value.status, caught.value.code, str(caught.value)) == (410, Code.NOT_FOUND, "It has expired.")
    with pytest.raises(ServiceError) as caught:
        Client(address).delete("x")
    assert (caught.value.status, caught.value.code) == (500, Code.UNAVAILABLE)
    with pytest.raises(ServiceError) as caught:
        Client("http://127.0.0.1:9").jobs()
    assert (caught.value.status, caught.value.code) == (0, Code.UNAVAILABLE)
    for wrong in ("127.0.0.1:8000", "ftp://a", ""):
        with pytest.raises(UsageError):
            Client(wrong)
    with pytest.raises(UsageError):
        Client(address).send([])


def test_waiting_ends(service: Any) -> None:
    address, script = service
    script.script += [(200, {}, JOB % b"running"), (200, {}, JOB % b"done")]
    assert Client(address).wait("x", poll=0).state == "done"
    script.script += [(200, {}, JOB % b"running")] * 2
    with pytest.raises(ServiceError) as caught:
        Client(address).wait("x", seconds=-1, poll=0)
    assert caught.value.code is Code.INCOMPLETE


@pytest.mark.slow
def test_a_real_service(tiny_bundle: Path, write_field: Any, tmp_path: Path) -> None:
    import os
    import subprocess
    import sys

    from lociscope.predict.predictor import open_bundle

    folder = write_field("a1", seed=1)
    write_field("a2", folder, seed=2)
    expected = open_bundle(tiny_bundle).predict(folder)
    words = [sys.executable, "-m", "lociscope", "-q", "serve", "--port", "0", "--bundle", str(tiny_bundle)]
    words += ["--store", str(tmp_path / "store"), "--keep-days", "7"]
    environment = os.environ | {"LOCISCOPE_API_KEY": "k" * 20}
    with subprocess.Popen(words, stdout=subprocess.PIPE, env=environment, text=True) as process:
        assert process.stdout is not None
        try:
            client = Client(process.stdout.readline().strip(), key="k" * 20)
            answer = client.predict(folder.glob("a1_*.png"), pixel_size=5.0)
            assert (answer.id, len(answer.probabilities)) == ("a1", 28)
            job = client.send([folder], name="both")
            assert client.wait(job.id, poll=0.2).done == 2
            results = client.results(job.id)
            assert results.ids == expected.ids
            np.testing.assert_allclose(results.probability, expected.probability, atol=1e-6)
            assert [each.name for each in client.jobs()] == ["both"]
            client.delete(job.id)
            with pytest.raises(ServiceError) as caught:
                client.job(job.id)
            assert caught.value.status == 410
        finally:
            process.terminate()
            process.wait()
