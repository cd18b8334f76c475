"""The temporary folder: full, read-only, gone, or another one than was named."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from lociscope.service.temporary_folder import describe_storage_error, find_shortage, use_named_folder

if TYPE_CHECKING:
    from pathlib import Path

HTML = {"accept": "text/html"}
Serve = Callable[..., Any]


def failing(number: int) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), "/secret/folder")

    return fail


def test_there_is_room_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert find_shortage() == ""
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serve: Serve, make: Any) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    assert find_shortage() == "no such file or directory"
    client = serve()
    said = client.get("/readyz")
    assert (said.status_code, said.json()["ready"], said.json()["degraded"]) == (503, False, False)
    assert said.json()["reasons"] == ["The temporary folder cannot be written: no such file or directory."]
    assert client.get("/healthz").status_code == 200
    answer = client.post("/predict", files=make.form(make.planes()))
    assert (answer.status_code, answer.json()["error"]) == (
        507,
        "This upload cannot be stored: the temporary folder of the service reports 'no such file or directory'. Tell "
        "its operator.",
    )
    (tmp_path / "gone").mkdir()
    assert client.get("/readyz").status_code == 200
    assert client.post("/predict", files=make.form(make.planes())).status_code == 200


@pytest.mark.parametrize(
    ("number", "status"),
    [(errno.ENOSPC, 507), (errno.EROFS, 507), (errno.EDQUOT, 507), (errno.EMFILE, 503)],
)
def test_what_cannot_be_stored_is_reported_without_a_traceback(
    serve: Serve, make: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int, status: int
) -> None:
    monkeypatch.setattr(shutil, "copyfileobj", failing(number))
    monkeypatch.setattr(tempfile, "TemporaryFile", failing(number))
    client = serve()
    for headers in ({}, HTML):
        answer = client.post("/predict", files=make.form(make.planes()), headers=headers)
        assert (answer.status_code, answer.headers["retry-after"]) == (status, "10")
        assert "This upload cannot be stored" in answer.text
        assert "secret" not in answer.text
    assert client.get("/readyz").json()["reasons"] == [
        f"The temporary folder cannot be written: {os.strerror(number).lower()}."
    ]
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [(record.name.partition(".")[0], record.exc_info) for record in errors] == [("lociscope", None)] * 2
    assert client.app.state.service.pool.in_flight == 0


def test_another_mistake_remains_one() -> None:
    assert describe_storage_error(TimeoutError()) is None
    assert describe_storage_error(OSError(errno.EPIPE, "broken pipe")) is None


def test_the_named_folder_is_used_even_where_it_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "none"))
    use_named_folder()
    assert (tempfile.gettempdir(), find_shortage()) == (str(tmp_path / "none"), "no such file or directory")
    monkeypatch.setattr(tempfile, "tempdir", None)
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.delenv(name, raising=False)
    use_named_folder()
    assert tempfile.tempdir is None
