"""What every test may use."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fixtures.pixels import patches
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Callable

pytest_plugins = [
    "fixtures.browser",
    "fixtures.bundles",
    "fixtures.catalogs",
    "fixtures.file_server",
    "fixtures.postgres",
    "fixtures.runs",
    "fixtures.s3",
    "fixtures.scripts",
]

CHECKOUT = Path(__file__).parents[1]

# A property is about answers, not about seconds, which a busy machine has fewer of.
settings.register_profile("lociscope", deadline=None)
settings.load_profile("lociscope")

# A shell's background jobs are born deaf to Ctrl-C, and so would be the commands that the tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):  # and those of nohup to the end of a session
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


os.environ.setdefault("LOCISCOPE_KEEP_DAYS", "0")  # a service keeps files only where a test asks for it


SERVERS = {"browser", "shared_postgres"}
"""Fixtures that start a program besides Python: tests that use one are slow."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the tests that start a browser or a database server to `make test-all`."""
    for item in items:
        if SERVERS & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real fields; the test is skipped where there is none."""
    folder = Path(os.environ.get("LOCISCOPE_REAL_DATA", CHECKOUT / ".." / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real fields at {folder}; set LOCISCOPE_REAL_DATA to run this test")
    return folder.resolve()


@pytest.fixture
def write_field(tmp_path: Path) -> Callable[..., Path]:
    """Writes a field's four PNG files, each channel unlike the others, and gives their folder.

    `write_field(identifier="a1", folder=tmp_path / "fields", pixels=None, size=32, kind=np.uint8, seed=0)`:
    `pixels` (y, x, 4), or patches of `kind` over its whole range.
    """
    from lociscope.images.io.write import write_planes

    def write(
        identifier: str = "a1",
        folder: Path = tmp_path / "fields",
        pixels: np.ndarray | None = None,
        size: int = 32,
        kind: type[np.unsignedinteger] = np.uint8,
        seed: int = 0,
    ) -> Path:
        if pixels is None:
            pixels = patches((size, size, 4), seed).astype(kind) * kind(np.iinfo(kind).max // 255)
        write_planes(folder, identifier, pixels)
        return folder

    return write
