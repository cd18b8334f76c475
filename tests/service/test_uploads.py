"""What is sent, good and bad: names, limits, and complaints that show no path and no traceback."""

from __future__ import annotations

import io
import re
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lociscope.errors import LociscopeError
from lociscope.service.uploads import (
    MAX_NAME,
    UploadedFile,
    parse_rules,
    remove_paths,
    safe_name,
    store_files,
)

HTML = {"accept": "text/html"}
Serve = Callable[..., Any]


def huge_png(width: int, height: int) -> bytes:
    """A PNG whose header claims a size."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def bomb(name: str) -> bytes:
    """A zip of a member that unpacks to 600 MB."""
    buffer = io.BytesIO()
    quick = zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with quick as archive, archive.open(name, "w") as member:
        for _ in range(600):
            member.write(bytes(1 << 20))
    return buffer.getvalue()


def crowd() -> bytes:
    """A zip of thousands of members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(20_000):
            archive.writestr(f"{number:06d}_red.png", b"")
    return buffer.getvalue()


def others(make: Any, **first: bytes) -> dict[str, bytes]:
    """A whole field, its red file replaced."""
    return {**make.planes(), "a1_red.png": first["red"]}


BAD: dict[str, tuple[Callable[[Any], dict[str, bytes]], str]] = {
    "no image": (lambda _: {"notes.txt": b"words"}, "contains no field: found 'notes.txt'. Send four pictures"),
    "words called a picture": (
        lambda make: others(make, red=b"words"), "'a1_red.png' is not a PNG, despite its name."),
    "an empty file": (lambda make: others(make, red=b""), "'a1_red.png' is empty (0 bytes)."),
    "one file of four": (
        lambda make: {"a1_red.png": make.planes()["a1_red.png"]}, "Field 'a1' has no _green file (found red)."),
    "three channels": (
        lambda make: {k: v for k, v in make.planes().items() if "yellow" not in k},
        "Field 'a1' has no _yellow file (found red, green, blue). Add 'a1_yellow.png', or pass allow_missing=yellow."),
    "two fields": (
        lambda make: make.planes("a1") | make.planes("a2"), "contains 2 fields: 'a1' and 'a2'. Send one at a time"),
    "a picture without a channel": (
        lambda make: {"a.png": make.planes()["a1_red.png"]}, "contains no field: found 'a.png'."),
    "a header of 30000 × 30000": (
        lambda make: others(make, red=huge_png(30_000, 30_000)), "'a1_red.png' claims 30000 × 30000 pixels, more than"),
    "a stack that is none": (lambda _: {"s.tif": b"II*\0words"}, "'s.tif'"),
    "a zip that is none": (lambda _: {"s.zip": b"words"}, "'s.zip' is not a zip archive, or is truncated"),
    "a zip without a field": (lambda make: {"s.zip": make.zipped({"a.txt": b""})}, "'s.zip' has no field: expected"),
    "an empty zip": (lambda make: {"s.zip": make.zipped({})}, "it is empty. Send four pictures named like a1_red.png"),
    "a zip bomb": (lambda _: {"s.zip": bomb("a1.tif")}, "'s.zip!a1.tif' has more than the 513 MiB of pixels"),
    "a crowded zip": (lambda _: {"s.zip": crowd()}, "'s.zip' contains too many files."),
    "a crowded zip of an OME-Zarr": (lambda _: {"s.ozx": crowd()}, "'s.ozx' contains too many files."),
    "an OME-Zarr in a zip": (
        lambda make: {"s.zarr.zip": make.zipped({"zarr.json": b"{}"})}, "This upload contains an OME-Zarr."),
    "a zip that leads out": (
        lambda make: {"s.zip": make.zipped({f"../../{k}": v for k, v in make.planes().items()})},
        "'s.zip' has no field"),
    "a Catalog of our files": (lambda _: {"c.parquet": b"PAR1"}, "contains no field: found 'c.parquet'."),
}  # fmt: skip


@pytest.fixture
def no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Checks that a sentence shows nothing of this machine, and that nothing is left on it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()

    def check(text: str) -> None:
        assert str(tmp_path) not in text
        assert not re.search(r"Traceback|File \"|/tmp/|lociscope-\w{8}", text)
        assert list((tmp_path / "tmp").iterdir()) == []

    return check


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_message_for_programs_and_for_people(
    serve: Serve, make: Any, no_trace: Any, name: str
) -> None:
    files, said = BAD[name]
    client = serve()
    sent = make.form(files(make))
    answer = client.post("/predict", files=sent)
    assert answer.status_code == 422
    assert said in answer.json()["error"]
    page = client.post("/predict", files=sent, headers=HTML)
    assert (page.status_code, page.headers["content-type"]) == (422, "text/html; charset=utf-8")
    assert 'role="alert"' in page.text
    for text in (answer.text, page.text):
        no_trace(text)


def test_the_page_speaks_of_its_own_options(serve: Serve, make: Any) -> None:
    page = serve().post("/predict", files=make.form(BAD["three channels"][0](make)), headers=HTML).text
    assert "pass yellow under &#39;If a channel is missing&#39;." in page
    assert "<details open>" in page


def test_nothing_at_all(serve: Serve, make: Any) -> None:
    client = serve()
    for answer, status, said in (
        (client.post("/predict"), 400, "Expected files as multipart/form-data."),
        (client.post("/predict", content=b"words", headers={"content-type": "multipart/form-data"}), 400, "boundary"),
        (
            client.post("/predict", data={"files": "words"}, files={"x": ("", b"")}),
            422,
            "This upload contains no file.",
        ),
        (client.post("/predict", files=make.form({"": b""})), 422, "This upload contains no file."),
        (client.post("/predict", files=[("files", (f"{i}_red.png", b"")) for i in range(17)]), 400, "Too many files."),
    ):
        assert (answer.status_code, said in answer.json()["error"]) == (status, True), answer.text


def test_too_many_bytes(serve: Serve, make: Any) -> None:
    client = serve(max_bytes=20_000)
    sent = make.form(others(make, red=bytes(30_000)))
    declared = client.post("/predict", files=sent)
    assert declared.status_code == 413
    assert declared.json()["error"].startswith("This upload is larger than the 0.0191 MB that this service accepts.")

    request = client.build_request("POST", "/predict", files=sent)
    body = request.read()

    def pieces() -> Any:
        yield from (body[at : at + 4096] for at in range(0, len(body), 4096))

    streamed = client.post("/predict", content=pieces(), headers={"content-type": request.headers["content-type"]})
    assert (streamed.status_code, streamed.json()) == (413, declared.json())
    assert client.app.state.service.pool.in_flight == 0
    assert client.post("/predict", files=make.form(make.planes(size=16))).status_code == 200


@pytest.mark.parametrize("prefix", ["../../../", "..\\..\\", "/etc/", "C:\\", "a\nb", "é\u0301"])  # fmt: skip
def test_a_name_stays_in_its_folder(serve: Serve, make: Any, prefix: str) -> None:
    answer = serve().post("/predict", files=make.form({f"{prefix}{k}": v for k, v in make.planes().items()}))
    assert answer.status_code == 200, answer.text
    assert not set(answer.json()["id"]) & set("/\\\n")
    assert answer.json()["id"].endswith("a1")


@given(st.one_of(st.none(), st.text(), st.binary().map(lambda raw: raw.decode("utf-8", "surrogateescape"))))
def test_any_name_becomes_a_file_s_name_or_nothing(name: str | None) -> None:
    safe = safe_name(name)
    assert safe == "" or Path("folder", safe).resolve().parent == Path("folder").resolve()
    assert len(safe.encode()) <= MAX_NAME
    assert safe_name(safe) == safe or len(safe.encode()) > MAX_NAME - 4
    assert not re.search(r'[\x00-\x1f/\\:*?"<>|]', safe)


def test_a_name_that_comes_twice() -> None:
    sent = [UploadedFile("a_red.png", io.BytesIO(b"1")), UploadedFile("x/A_red.png", io.BytesIO(b"2"))]
    with pytest.raises(LociscopeError, match="Two files of this upload are called"), store_files(sent):
        pass


def test_what_fails_in_the_folder_is_reported_without_it(tmp_path: Path) -> None:
    sent = [UploadedFile("a.tif", io.BytesIO(b"1"))]
    with pytest.raises(LociscopeError) as error, store_files(sent) as folder:
        raise LociscopeError(f"'{folder / 'a.tif'}' in '{folder}' and {folder}/deep/b.")
    assert str(error.value) == "'a.tif' in This upload and deep/b."
    assert not folder.exists()
    assert remove_paths("nothing", tmp_path) == "nothing"


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ({"pixel_size": "wide"}, "`pixel_size` is 'wide'; expected a number of µm, such as 0.08."),
        ({"pixel_size": "nan"}, "`pixel_size=nan` is not possible"),
        ({"pixel_size": "0"}, "`pixel_size=0` is not possible"),
        ({"plane": "-1"}, "`plane` is '-1'; expected a whole number from 0."),
        ({"channels": "red"}, "`channels` has 'red'"),
        ({"allow_missing": "green"}, "`allow_missing=green` would leave no protein"),
    ],
)
def test_what_a_form_says_wrongly(texts: dict[str, str], said: str) -> None:
    with pytest.raises(LociscopeError, match=re.escape(said)):
        parse_rules(**texts)


def test_what_a_form_says() -> None:
    rules = parse_rules(" 0,32 ", "red=A,green=B", "yellow, red", "2")
    assert (rules.pixel_size, rules.plane, rules.allow_missing) == (0.32, 2, ("yellow", "red"))
    assert rules.channels == {"red": "A", "green": "B"}
    assert parse_rules("", " ", "", "") == parse_rules()
