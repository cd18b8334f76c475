"""A database that falls silent, or restarts, under commands: no prediction is lost, and each ends when asked."""

from __future__ import annotations

import csv
import http.client
import io
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.channels import CHANNEL_NAMES
from lociscope.prediction_log.log import open_log

if TYPE_CHECKING:
    from fixtures.postgres import Postgres

pytestmark = pytest.mark.slow
WriteField = Callable[..., Path]
WAIT, MOST = 60, 10
"""Seconds that anything may take here, and from SIGTERM to the end."""


class Started:
    """A command in a process of its own."""

    def __init__(self, environment: dict[str, str], folder: Path, *words: str) -> None:
        self.folder = folder
        (folder / "fields").mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "lociscope", *words],
            cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def until(self, true: Callable[[], bool]) -> None:
        ends = time.monotonic() + WAIT
        while not true():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < ends
            time.sleep(0.02)

    def end(self) -> tuple[int, str]:
        """Asks it to end, once; gives its exit code and what it said on stderr."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        _, said = self.process.communicate(timeout=WAIT)
        assert time.monotonic() - began < MOST
        return self.process.returncode, said


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Started]]:
    """`start("watch", …)` starts a command in `tmp_path`."""
    started: list[Started] = []

    def begin(*words: str) -> Started:
        started.append(Started(environment, tmp_path, *words))
        return started[-1]

    yield begin
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
        each.process.communicate()


def ids_of(path: Path) -> list[str]:
    with path.open(newline="", encoding="utf-8") as lines:
        return [row["id"] for row in csv.DictReader(lines)]


def logged(url: str) -> list[str]:
    with open_log(url, create=False) as log:
        return log.read().predictions.ids


WATCH = ("watch", "fields", "-o", "out.csv", "--settle", "0.05", "--every", "0.05")


def test_a_watch_continues_and_ends_beside_a_silent_database(
    start: Callable[..., Started], postgres: Postgres, write_field: WriteField, tmp_path: Path
) -> None:
    url = postgres.new_database()
    watch = start(*WATCH, "--log", url)
    write_field("a1")
    watch.until(lambda: (tmp_path / "out.csv").exists() and logged(url) == ["a1"])
    postgres.freeze()
    for number in range(5):
        write_field(f"b{number}", seed=number)
    watch.until(lambda: len(ids_of(tmp_path / "out.csv")) == 6)
    code, said = watch.end()
    assert code == 3
    assert "5 fields predicted but not in the log; Log 'postgresql+psycopg://" in said
    assert ids_of(tmp_path / "out.csv") == ["a1", *(f"b{number}" for number in range(5))]


def test_a_watch_logs_everything_once_where_the_database_restarts(
    start: Callable[..., Started], postgres: Postgres, write_field: WriteField, tmp_path: Path
) -> None:
    url = postgres.new_database()
    watch = start(*WATCH, "--log", url)
    for number, between in enumerate((postgres.stop, postgres.start, postgres.freeze, postgres.thaw, postgres.kill)):
        write_field(f"f{number}", seed=number)
        wanted = number + 1
        watch.until(lambda: (tmp_path / "out.csv").exists() and len(ids_of(tmp_path / "out.csv")) == wanted)  # noqa: B023
        between()
    postgres.start()
    watch.until(lambda: len(logged(url)) == 5)
    code, said = watch.end()
    assert (code, "is available again" in said) == (0, True)
    assert logged(url) == [f"f{number}" for number in range(5)]


def test_a_service_answers_and_ends_beside_a_silent_database(
    start: Callable[..., Started], postgres: Postgres, tmp_path: Path
) -> None:
    from PIL import Image

    def ask() -> int:
        body = b""
        for number, name in enumerate(CHANNEL_NAMES):
            picture = io.BytesIO()
            plane = np.random.default_rng(number).integers(0, 256, (32, 32), np.uint8)
            Image.fromarray(plane).save(picture, format="PNG")
            head = f'--edge\r\nContent-Disposition: form-data; name="files"; filename="a_{name}.png"\r\n\r\n'
            body += head.encode() + picture.getvalue() + b"\r\n"
        kind = {"content-type": "multipart/form-data; boundary=edge"}
        client = http.client.HTTPConnection(address, timeout=WAIT)
        client.request("POST", "/predict", body + b"--edge--\r\n", kind)
        answer = client.getresponse()
        answer.read()
        client.close()
        return answer.status

    url = postgres.new_database()
    service = start("-q", "serve", "--port", "0", "--log", url)
    assert service.process.stdout is not None
    address = service.process.stdout.readline().strip().removeprefix("http://")
    assert ask() == 200
    service.until(lambda: logged(url) == ["a"])
    postgres.freeze()
    began = time.monotonic()
    assert [ask() for _ in range(5)] == [200] * 5
    assert time.monotonic() - began < MOST
    assert service.end()[0] == 0


def test_a_database_that_is_silent_from_the_start_is_an_error_in_bounded_time(
    start: Callable[..., Started], postgres: Postgres, write_field: WriteField
) -> None:
    url = postgres.new_database()
    write_field("a1")
    postgres.freeze()
    began = time.monotonic()
    predict = start("predict", "fields", "-o", "out.csv", "--log", url)
    _, said = predict.process.communicate(timeout=WAIT)
    assert predict.process.returncode == 1
    assert "cannot be opened (connection timeout expired). Check the URL, and that it is up." in said
    assert time.monotonic() - began < 30
