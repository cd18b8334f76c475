"""Zip archives of an upload: the limits of their tables of contents and of their names."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest

from lociscope.errors import Code, LociscopeError
from lociscope.service import archives
from lociscope.service.archives import MAX_NAME_LENGTH, check_directories, check_names, list_members

if TYPE_CHECKING:
    from pathlib import Path


def pack(path: Path, n: int) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(n):
            archive.writestr(f"{number}_red.png", b"")
    return path


def test_tables_of_all_archives_count_together(tmp_path: Path) -> None:
    paths = [pack(tmp_path / f"{k}.zip", 100) for k in range(3)]
    for path in paths:
        check_directories([path], 8000)
    with pytest.raises(LociscopeError) as refused:
        check_directories(paths, 8000)
    assert refused.value.code is Code.TOO_LARGE


def test_a_table_of_contents_is_measured_where_zipfile_looks(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", 200)
    data = bytearray(path.read_bytes())
    path.write_bytes(data[:-6] + archives._END_OF_ZIP + data[-2:])  # another signature where the offset is
    with pytest.raises(LociscopeError) as refused:
        check_directories([path], 1000)
    assert refused.value.code is Code.TOO_LARGE
    path.write_bytes(bytes(data) + archives._END_OF_ZIP)  # cut off
    with pytest.raises(LociscopeError) as refused:
        check_directories([path], 1000)
    assert refused.value.code is Code.CORRUPT


def test_a_zip64_archive_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    path = pack(tmp_path / "a.zip", 3)
    assert archives._END_OF_ZIP64 in path.read_bytes()
    with pytest.raises(LociscopeError) as refused:
        check_directories([path], 1 << 20)
    assert refused.value.code is Code.TOO_LARGE


def test_names_that_no_file_system_has(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{'d' * MAX_NAME_LENGTH}/{'x' * MAX_NAME_LENGTH}", b"")
    check_names(list_members(path))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("x" * (MAX_NAME_LENGTH + 1), b"")
    with pytest.raises(LociscopeError) as refused:
        check_names(list_members(path))
    assert refused.value.code is Code.TOO_LARGE
