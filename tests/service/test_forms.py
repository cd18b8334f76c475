"""Names of uploaded files, whichever way a client writes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from lociscope.service.forms import parse_extended_name

Serve = Callable[..., Any]
KIND = {"content-type": "multipart/form-data; boundary=edge"}


def body_of(files: dict[str, bytes]) -> bytes:
    """A form of files by the end of their `Content-Disposition`."""
    parts = []
    for names, data in files.items():
        parts += [f"--edge\r\nContent-Disposition: form-data; name=files; {names}\r\n\r\n".encode(), data, b"\r\n"]
    return b"".join([*parts, b"--edge--\r\n"])


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ("form-data; name=files; filename*=UTF-8''na%C3%AFve.png", "naïve.png"),
        ("form-data; filename*=utf-8'en'%E7%BA%A2.png; filename=plain.png", "红.png"),
        ('form-data; name="files"; filename="plain.png"; filename*=iso-8859-1\'\'%E9.png', "é.png"),
        ("form-data; FILENAME*=\"UTF-8''a%20b.png\"", "a b.png"),
        ("form-data; filename*=UTF-8''..%2F..%5Ca.png", "../..\\a.png"),
        ("form-data; filename*=UTF-8''%FF.png", "\N{REPLACEMENT CHARACTER}.png"),
        ("form-data; filename=plain.png", None),
        ('form-data; filename="a*b.png"', None),
        ("form-data; name*=UTF-8''files", None),
        ("", None),
    ],
)
def test_the_name_that_outranks_the_plain_one(disposition: str, name: str | None) -> None:
    assert parse_extended_name(disposition) == name


@pytest.mark.parametrize("plain", ["", 'filename="=?utf-8?B?emVsbGU=?="; ', "filename=x.png; "])
def test_an_upload_has_the_name_that_was_meant(serve: Serve, make: Any, plain: str) -> None:
    files = {f"{plain}filename*=UTF-8''{quote(name)}": data for name, data in make.planes("zëlle 细胞").items()}
    answer = serve().post("/predict", content=body_of(files), headers=KIND)
    assert (answer.status_code, answer.json().get("id")) == (200, "zëlle 细胞"), answer.text


def test_it_stays_in_its_folder(serve: Serve, make: Any) -> None:
    bad = {f"filename*=UTF-8''..%2F..%2Fetc%2F%22%0D%0A{name}": data for name, data in make.planes().items()}
    answer = serve().post("/predict", content=body_of(bad), headers=KIND)
    assert (answer.status_code, answer.json().get("id")) == (200, "___a1"), answer.text


def test_files_by_that_name_count_as_files(serve: Serve) -> None:
    crowd = {f"filename*=UTF-8''{number}_red.png": b"" for number in range(17)}
    answer = serve().post("/predict", content=body_of(crowd), headers=KIND)
    assert (answer.status_code, answer.json()["error"][:15]) == (400, "Too many files.")
