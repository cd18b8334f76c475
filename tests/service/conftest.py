"""Applications over tiny bundles, forms of files, and a real process that serves."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
from fastapi.testclient import TestClient
from fixtures.pixels import patches

from lociscope.channels import CHANNEL_NAMES
from lociscope.service.app import create_app
from lociscope.service.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

Files = list[tuple[str, tuple[str, bytes, str]]]


def png(plane: np.ndarray) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(plane).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def form(files: dict[str, bytes]) -> Files:
    """Files as a multipart form has them."""
    return [("files", (name, data, "application/octet-stream")) for name, data in files.items()]


def planes(identifier: str = "a1", seed: int = 0, size: int = 32) -> dict[str, bytes]:
    """One field as four PNGs by name, each channel of another brightness, so that fields are told apart."""
    noise = patches((size, size, 4), seed) * np.random.default_rng(seed).random(4)
    return {f"{identifier}_{name}.png": png(noise[..., c].astype(np.uint8)) for c, name in enumerate(CHANNEL_NAMES)}


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


class Make(NamedTuple):
    """What tests send: functions, since a conftest cannot be imported."""

    png: Callable[[np.ndarray], bytes] = png
    form: Callable[[dict[str, bytes]], Files] = form
    planes: Callable[..., dict[str, bytes]] = planes
    zipped: Callable[[dict[str, bytes]], bytes] = zipped


@pytest.fixture
def make() -> Make:
    """`make.form(make.planes("a1"))` is a field as a form."""
    return Make()


Serve = Callable[..., TestClient]


@pytest.fixture
def serve(tiny_bundle: Path) -> Iterator[Serve]:
    """`serve(max_in_flight=1, …)` gives a client of an application of these settings, over the tiny bundle."""
    clients: list[TestClient] = []

    def start(base_url: str = "http://localhost:8000", **settings: Any) -> TestClient:
        if "registry" not in settings:
            settings = {"bundle": tiny_bundle, **settings}
        client = TestClient(create_app(Settings(**settings)), base_url=base_url, raise_server_exceptions=False)
        clients.append(client.__enter__())
        return clients[-1]

    yield start
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture(scope="module")
def start_process() -> Callable[..., Any]:
    """The same as `served`, for what a module shares."""
    return process


@pytest.fixture
def served() -> Callable[..., Any]:
    """`with served("--workers", 1) as (process, address)`: a separate process that serves."""
    return process


@contextmanager
def process(*words: object, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`lociscope serve` as a separate process, and its address once it answers; it has jobs only with `--store`."""
    kept = {"LOCISCOPE_KEEP_DAYS": "7" if "--store" in words else "0"}
    started = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "lociscope", "-q", "serve", "--port", "0", *map(str, words)],
        env=os.environ | {"OMP_NUM_THREADS": "1"} | kept | environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert started.stdout is not None
        address = started.stdout.readline().strip()
        if not address:
            assert started.stderr is not None
            pytest.fail(started.stderr.read())
        yield started, address
    finally:
        if started.poll() is None:
            started.kill()
            started.wait()
        for pipe in (started.stdout, started.stderr):
            assert pipe is not None
            pipe.close()
