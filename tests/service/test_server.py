"""The process: signals, the bound, promotions and sixteen clients at once, over real sockets."""

from __future__ import annotations

import http.client
import json
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from lociscope.errors import Exit, LociscopeError
from lociscope.images.field import Field
from lociscope.predict.predictor import open_bundle
from lociscope.prediction_log.log import open_log
from lociscope.registry.model_registry import Registry
from lociscope.service.connections import DRAIN_SECONDS
from lociscope.service.server import _bind_socket

MakeBundle = Callable[..., Path]
WAIT = 60


def body_of(files: dict[str, bytes]) -> bytes:
    parts = []
    for name, data in files.items():
        head = f'--edge\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
        parts += [head.encode(), data, b"\r\n"]
    return b"".join([*parts, b"--edge--\r\n"])


KIND = {"content-type": "multipart/form-data; boundary=edge"}


OPEN: list[http.client.HTTPConnection] = []


@pytest.fixture(autouse=True)
def hang_up() -> Iterator[None]:
    """Closes every connection of a test."""
    yield
    while OPEN:
        OPEN.pop().close()


class Client:
    """One connection."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self.connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=WAIT)
        OPEN.append(self.connection)

    def ask(self, path: str, body: bytes | None = None) -> tuple[int, Any]:
        self.connection.request("POST" if body else "GET", path, body, KIND if body else {})
        answer = self.connection.getresponse()
        return answer.status, json.loads(answer.read())

    def begin(self, body: bytes) -> None:
        """Sends all of an upload but its last byte."""
        self.connection.putrequest("POST", "/predict")
        for name, value in {**KIND, "content-length": str(len(body))}.items():
            self.connection.putheader(name, value)
        self.connection.endheaders(body[:-1])

    def end(self, body: bytes) -> tuple[int, Any]:
        """Sends the last byte, and takes the answer."""
        self.connection.send(body[-1:])
        answer = self.connection.getresponse()
        return answer.status, json.loads(answer.read())


def until(true: Callable[[], bool]) -> None:
    """Waits for something to come true."""
    ends = time.monotonic() + WAIT
    while not true():
        assert time.monotonic() < ends, "it did not come true"
        time.sleep(0.02)


def test_sigterm_finishes_what_is_in_flight_and_takes_no_more(served: Any, make: Any, tiny_bundle: Path) -> None:
    body = body_of(make.planes())
    with served("--bundle", tiny_bundle) as (process, address):
        slow, asking = Client(address), Client(address)
        status, said = asking.ask("/readyz")
        assert (status, said["ready"]) == (200, True)
        slow.begin(body)
        until(lambda: b"lociscope_in_flight 1.0" in metrics(address))
        process.send_signal(signal.SIGTERM)
        until(lambda: asking.ask("/readyz")[0] == 503)
        status, said = asking.ask("/predict", body)
        assert (status, said["error"]) == (503, "This service is stopping. Try again in a moment.")
        assert process.poll() is None
        status, said = slow.end(body)
        assert (status, said["id"]) == (200, "a1")
        assert process.wait(WAIT) == Exit.DONE
        assert process.stderr.read() == ""


def metrics(address: str) -> bytes:
    client = Client(address).connection
    client.request("GET", "/metrics")
    return client.getresponse().read()


@pytest.mark.slow
def test_sighup_ends_it_as_sigterm_does(served: Any, tiny_bundle: Path) -> None:
    with served("--bundle", tiny_bundle) as (process, _):
        process.send_signal(signal.SIGHUP)
        assert process.wait(WAIT) == Exit.DONE
        assert process.stderr.read() == ""


@pytest.mark.slow
def test_ctrl_c_is_130_and_a_second_signal_does_not_wait(served: Any, make: Any, tiny_bundle: Path) -> None:
    with served("--bundle", tiny_bundle) as (process, _):
        process.send_signal(signal.SIGINT)
        assert process.wait(WAIT) == Exit.INTERRUPTED
    body = body_of(make.planes())
    with served("--bundle", tiny_bundle) as (process, address):
        Client(address).begin(body)
        until(lambda: b"lociscope_in_flight 1.0" in metrics(address))
        process.send_signal(signal.SIGTERM)
        until(lambda: Client(address).ask("/readyz")[0] == 503)
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT) == Exit.INTERRUPTED
        assert "Traceback" not in process.stderr.read()


def test_uploads_that_dawdle_count_and_the_rest_is_503(served: Any, make: Any, tiny_bundle: Path) -> None:
    body = body_of(make.planes())
    with served("--bundle", tiny_bundle, "--max-in-flight", 2) as (_, address):
        slow = [Client(address), Client(address)]
        for each in slow:
            each.begin(body)
        until(lambda: b"lociscope_in_flight 2.0" in metrics(address))
        asking = Client(address)
        asking.connection.request("POST", "/predict", body, KIND)
        answer = asking.connection.getresponse()
        assert answer.status == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert "Busy" in json.loads(answer.read())["error"]
        assert asking.ask("/healthz") == (200, {"status": "ok"})
        assert [each.end(body)[0] for each in slow] == [200, 200]
        assert asking.ask("/predict", body)[0] == 200


@pytest.mark.slow
def test_a_cancelled_upload_frees_its_slot(served: Any, make: Any, tiny_bundle: Path) -> None:
    body = body_of(make.planes())
    with served("--bundle", tiny_bundle, "--max-in-flight", 1) as (_, address):
        gone = Client(address)
        gone.begin(body)
        until(lambda: b"lociscope_in_flight 1.0" in metrics(address))
        gone.connection.close()
        until(lambda: b"lociscope_in_flight 0.0" in metrics(address))
        assert Client(address).ask("/predict", body)[0] == 200
        assert b'route="/predict",status="499"} 1.0' in metrics(address)
        assert b'status="5' not in metrics(address)


@pytest.mark.slow
def test_a_trickling_upload_does_not_delay_the_end(served: Any, make: Any, tiny_bundle: Path) -> None:
    body = body_of(make.planes())
    with served("--bundle", tiny_bundle) as (process, address):
        slow = Client(address)
        slow.begin(body)
        until(lambda: b"lociscope_in_flight 1.0" in metrics(address))
        process.send_signal(signal.SIGTERM)
        answer = slow.connection.getresponse()
        assert (answer.status, json.loads(answer.read())["error"]) == (
            503,
            "This service is stopping. Try again in a moment.",
        )
        assert process.wait(DRAIN_SECONDS) == Exit.DONE
        assert process.stderr.read() == ""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows limits no files")
def test_more_idle_connections_than_files_keep_nobody_out(tiny_bundle: Path) -> None:
    words = [sys.executable, "-m", "lociscope", "-q", "serve", "--port", "0", "--bundle", str(tiny_bundle)]
    script = "ulimit -n 100; exec " + shlex.join(words)
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        parts = urlsplit(process.stdout.readline().strip())
        idle = [socket.create_connection((parts.hostname, parts.port), timeout=WAIT) for _ in range(120)]
        try:
            for number, each in enumerate(idle[-30:]):
                each.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: " if number % 2 else b"")
            assert Client(parts.geturl()).ask("/healthz") == (200, {"status": "ok"})
            process.send_signal(signal.SIGTERM)
            assert process.wait(DRAIN_SECONDS) == Exit.DONE
            assert process.stderr.read() == ""
        finally:
            process.kill()
            for each in idle:
                each.close()


@pytest.mark.slow
def test_sixteen_clients_each_get_their_own_field_and_the_log_all(
    served: Any, make: Any, tiny_bundle: Path, tmp_path: Path
) -> None:
    fields = {f"f{number}": make.planes(f"f{number}", number) for number in range(16)}
    predictor = open_bundle(tiny_bundle)
    expected = {name: _predicted(predictor, files) for name, files in fields.items()}

    def ask(name: str) -> list[tuple[int, Any]]:
        client, body = Client(address), body_of(fields[name])
        return [client.ask("/predict", body) for _ in range(6)]

    with (
        served("--bundle", tiny_bundle, "--log", tmp_path / "log.sqlite") as (process, address),
        ThreadPoolExecutor(16) as pool,
    ):
        for name, answers in zip(fields, pool.map(ask, fields), strict=True):
            for status, said in answers:
                assert (status, said["id"]) == (200, name)
                np.testing.assert_allclose(said["probabilities"], expected[name], atol=1e-5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT) == Exit.DONE
    with open_log(str(tmp_path / "log.sqlite")) as log:
        assert sorted(log.read().predictions.ids) == sorted(6 * list(fields))
    assert len({tuple(np.round(values, 4)) for values in expected.values()}) == 16


def _predicted(predictor: Any, files: dict[str, bytes]) -> np.ndarray:
    import io

    from PIL import Image

    pixels = np.stack([np.asarray(Image.open(io.BytesIO(data))) for data in files.values()], -1)
    probability: np.ndarray = predictor.predict(Field("a", pixels)).probability[0]
    return probability


@pytest.mark.slow
def test_a_promotion_is_taken_up_without_dropping_a_request(
    served: Any, make: Any, make_bundle: MakeBundle, tmp_path: Path
) -> None:
    registry = Registry(tmp_path / "registry")
    versions = [registry.add(make_bundle(tmp_path / str(seed), seed), who="me", why="try").version for seed in (1, 2)]
    registry.promote(versions[0], who="me", why="first")
    body = body_of(make.planes())
    seen: list[tuple[int, str]] = []
    stop = threading.Event()

    def ask() -> None:
        client = Client(address)
        while not stop.is_set():
            status, said = client.ask("/predict", body)
            seen.append((status, said["bundle"]["name"] if status == 200 else said["error"]))

    with served("--registry", registry.folder) as (_, address), ThreadPoolExecutor(4) as pool:
        running = [pool.submit(ask) for _ in range(4)]
        try:
            until(lambda: (200, "tiny1") in seen)
            registry.promote(versions[1], who="me", why="better")
            until(lambda: (200, "tiny2") in seen)
        finally:
            stop.set()
        for each in running:
            each.result()
        assert Client(address).ask("/")[1]["bundle"]["name"] == "tiny2"
    assert {status for status, _ in seen} == {200}


@pytest.mark.slow
def test_an_upload_far_too_large_is_refused_over_the_wire(served: Any, tiny_bundle: Path) -> None:
    with served("--bundle", tiny_bundle, "--max-mb", 1) as (_, address):
        client = Client(address)
        status, said = client.ask("/predict", body_of({"a1_red.png": bytes(200 << 20)}))
        assert (status, said["error"].startswith("This upload is larger than the 1 MB")) == (413, True)
        assert client.ask("/healthz")[0] == 200


def test_a_port_in_use_is_one_message() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(LociscopeError, match=f"127.0.0.1, port {port}: address already in use"):
            _bind_socket("127.0.0.1", port)
    _bind_socket("127.0.0.1", port).close()


def test_an_address_that_is_not_ours() -> None:
    with pytest.raises(LociscopeError, match=r"Cannot listen at no\.such\.host\.invalid, port 80: "):
        _bind_socket("no.such.host.invalid", 80)
