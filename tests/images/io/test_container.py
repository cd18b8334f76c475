"""Files on disk, compressed, and in archives."""

from __future__ import annotations

import gzip
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lociscope.errors import LociscopeError
from lociscope.images.io import container
from lociscope.images.io.container import PlaneRef, open_archive, open_member, parse_plane_ref
from lociscope.images.io.read import read_plane


def bytes_of(path: Path) -> bytes:
    with open_member(parse_plane_ref(path)) as file:
        return file.read()


@pytest.mark.parametrize(
    ("path", "ref"),
    [
        ("a1_red.png", PlaneRef(Path("a1_red.png"))),
        ("d/train.zip!a1_red.png", PlaneRef(Path("d/train.zip"), "a1_red.png")),
        ("train.ZIP!d/a!1.tif", PlaneRef(Path("train.ZIP"), "d/a!1.tif")),
        ("a.ome.tif!DAPI", PlaneRef(Path("a.ome.tif"), "", "DAPI")),
        ("a.tiff.gz!em 488/10", PlaneRef(Path("a.tiff.gz"), "", "em 488/10")),
        ("t.zip!a.tif!ER", PlaneRef(Path("t.zip"), "a.tif", "ER")),
        ("wow!.png", PlaneRef(Path("wow!.png"))),
    ],
)
def test_plane_refs(path: str, ref: PlaneRef) -> None:
    assert parse_plane_ref(Path(path)) == ref
    assert ref.name.rpartition(".")[2].lower() in ("png", "zip", "tif", "gz", "tiff")


def test_a_file_whose_name_looks_like_a_plane_ref(tmp_path: Path) -> None:
    path = tmp_path / "t.zip!a_red.png"
    path.write_bytes(b"mine")
    assert bytes_of(path) == b"mine"


def test_gzip_and_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png.gz"
    path.write_bytes(gzip.compress(b"x" * 1000))
    assert bytes_of(path) == b"x" * 1000
    monkeypatch.setattr(container, "MAX_BYTES", 999)
    monkeypatch.setattr("lociscope.images.io.picture.MAX_BYTES", 999)
    with pytest.raises(LociscopeError, match=r"'.*a.png.gz' has more than the 0 MiB"):
        bytes_of(path)
    monkeypatch.undo()
    for spoiled in (b"", b"\x89PNG", gzip.compress(b"x" * 1000)[:20], gzip.compress(b"x")[:-5] + b"spoil"):
        path.write_bytes(spoiled)
        with pytest.raises(LociscopeError, match=r"is damaged or truncated|is empty"):
            bytes_of(path)


def test_a_plane_of_each_container(tmp_path: Path) -> None:
    plane = np.random.default_rng(0).integers(0, 65536, (6, 5), np.uint16)
    Image.fromarray(plane).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "b.png.GZ").write_bytes(gzip.compress(data))
    with zipfile.ZipFile(tmp_path / "c.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("in/a.png", data)
        archive.writestr("b.png.gz", gzip.compress(data))
    for name in ("a.png", "b.png.GZ", "c.zip!in/a.png", "c.zip!b.png.gz"):
        np.testing.assert_array_equal(read_plane(tmp_path / name), plane)


def test_an_archive_is_opened_anew_when_it_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    for number, text in enumerate((b"one", b"two!")):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a", text)
        os.utime(path, ns=(number, number))
        with open_member(PlaneRef(path, "a")) as file:
            assert file.read() == text
    assert open_archive(path) is open_archive(path)


def test_unreadable_archives(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with pytest.raises(LociscopeError, match=r"Cannot read .*No such file"):
        open_archive(path)
    path.write_bytes(b"PK no archive")
    with pytest.raises(LociscopeError, match="is not a zip archive, or is truncated"):
        open_archive(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(5000))
    with (
        pytest.raises(LociscopeError, match=r"has no member 'b.png'. Check that it is the right archive."),
        open_member(PlaneRef(path, "b.png")),
    ):
        pass
    whole = bytearray(path.read_bytes())
    whole[45:55] = bytes(10)
    path.write_bytes(whole)
    os.utime(path, ns=(7, 7))
    with (
        pytest.raises(LociscopeError, match=r"a.zip!a.png' is damaged or truncated"),
        open_member(PlaneRef(path, "a.png")),
    ):
        pass


def test_a_bomb_and_an_encrypted_member(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(5000))
    monkeypatch.setattr("lociscope.images.io.picture.MAX_BYTES", 4999)
    with pytest.raises(LociscopeError, match="has more than"), open_member(PlaneRef(path, "a.png")):
        pass
    monkeypatch.undo()
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    os.utime(path, ns=(7, 7))
    with pytest.raises(LociscopeError, match=r"is encrypted. Unpack the archive"), open_member(PlaneRef(path, "a.png")):
        pass


def test_a_member_whose_own_header_contradicts_the_directory(tmp_path: Path) -> None:
    """Found by fuzzing: bytes of a name that are no UTF-8, and a header cut short."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("é_red.png", b"x")
    whole = path.read_bytes()
    for damage in (whole.replace("é_red".encode(), b"\x8a\xff_red", 1), whole[len(whole) - 60 :]):
        path.write_bytes(damage)
        with pytest.raises(LociscopeError, match=r"damaged or truncated|not a zip archive"):
            bytes_of(Path(f"{path}!é_red.png"))
