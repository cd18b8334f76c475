"""What every test may use."""

import os
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real fields; the test is skipped where there is none."""
    folder = Path(os.environ.get("LOCISCOPE_REAL_DATA", CHECKOUT / ".." / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real fields at {folder}; set LOCISCOPE_REAL_DATA to run this test")
    return folder.resolve()
