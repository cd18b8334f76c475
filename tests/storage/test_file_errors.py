"""Errors of the file system."""

from __future__ import annotations

from pathlib import Path

import pytest

from lociscope.errors import Code
from lociscope.storage.file_errors import unreadable_error, unwritable_error


@pytest.mark.parametrize(
    ("error", "code", "remedy"),
    [
        (FileNotFoundError(2, "No such file"), Code.NOT_FOUND, "Check the path."),
        (IsADirectoryError(21, "Is a directory"), Code.NOT_FOUND, "Check the path."),
        (PermissionError(13, "Permission denied"), Code.UNREADABLE, "Check the path and its permissions."),
        (OSError(5, "Input/output error"), Code.UNREADABLE, "Check the path and its permissions."),
    ],
)
def test_a_file_that_cannot_be_read(error: OSError, code: Code, remedy: str) -> None:
    made = unreadable_error(Path("a.csv"), error, "Catalog")
    assert made.code == code
    assert str(made) == f"Cannot read Catalog 'a.csv': {error.strerror}. {remedy}"


@pytest.mark.parametrize("error", [PermissionError(13, "Denied"), OSError("Denied")])
def test_a_file_that_cannot_be_written(error: OSError) -> None:
    made = unwritable_error(Path("a.csv"), error, "store")
    assert made.code == Code.UNWRITABLE
    assert str(made) == "Cannot write 'a.csv': Denied. Correct that, or choose another location with `store`."
