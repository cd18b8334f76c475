"""The fields of an upload: pictures, folders, archives; and what is refused."""

from __future__ import annotations

import struct
import time
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.source_json import source_from_json, source_to_json
from lociscope.images.io.read import read_field
from lociscope.service import archives
from lociscope.service.jobs import sources
from lociscope.service.jobs.sources import find_job_fields, parse_job_rules

if TYPE_CHECKING:
    from pathlib import Path

RULES = parse_job_rules({})


def write(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


def test_pictures_folders_and_archives_are_found(make: Any, tmp_path: Path) -> None:
    write(tmp_path / "plate" / "one", make.planes("a1"))
    write(tmp_path / "plate" / "two", make.planes("a2"))
    found = find_job_fields(tmp_path, RULES, 9)
    assert sorted(source.id for source in found.sources) == ["one", "two"]
    write(tmp_path / "more", {"b.zip": make.zipped(make.planes("b1") | make.planes("b2"))})
    write(tmp_path / "more", make.planes("c1"))
    found = find_job_fields(tmp_path / "more", RULES, 9)
    assert [source.id for source in found.sources] == ["b1", "b2", "c1"]
    for source in found.sources:
        again = source_from_json(source_to_json(source, tmp_path / "more"), tmp_path / "more")
        assert again == source
        assert read_field(again).pixels.shape == (32, 32, 4)


def test_a_folder_in_a_folder_is_entered(make: Any, tmp_path: Path) -> None:
    write(tmp_path / "a" / "b", make.planes("a1") | make.planes("a2"))
    assert [source.id for source in find_job_fields(tmp_path, RULES, 9).sources] == ["a1", "a2"]


def test_a_plate_is_read_by_its_pattern(make: Any, tmp_path: Path) -> None:
    write(tmp_path, make.planes("P1_B03_2"))
    rules = parse_job_rules({"pattern": "{plate}_{well}_{site}_{channel}"})
    (source,) = find_job_fields(tmp_path, rules, 9).sources
    assert source.origin == {"plate": "P1", "well": "B03", "site": "2"}


def test_incomplete_fields_are_failures(make: Any, tmp_path: Path) -> None:
    files = make.planes("a1") | make.planes("a2")
    del files["a2_blue.png"]
    write(tmp_path, files)
    found = find_job_fields(tmp_path, RULES, 9)
    assert ([source.id for source in found.sources], [each.id for each in found.failures]) == (["a1"], ["a2"])


def protect(archive: bytes) -> bytes:
    """An archive whose files claim to be encrypted."""
    data = bytearray(archive)
    at = data.find(b"PK\x01\x02")
    while at >= 0:
        struct.pack_into("<H", data, at + 8, 1)
        at = data.find(b"PK\x01\x02", at + 4)
    return bytes(data)


def test_bombs_passwords_and_damage_are_refused(make: Any, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a1_red.png", bytes(300 << 20))
    cases = {
        Code.TOO_LARGE: (tmp_path / "bomb.zip").read_bytes(),
        Code.UNREADABLE: protect(make.zipped(make.planes())),
        Code.CORRUPT: b"PK\x03\x04 this is no archive",
    }
    (tmp_path / "bomb.zip").unlink()
    for code, data in cases.items():
        (tmp_path / "a.zip").write_bytes(data)
        with pytest.raises(LociscopeError) as caught:
            find_job_fields(tmp_path, RULES, 9)
        assert caught.value.code is code


def test_limits_of_archives_hold_for_the_upload(make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many small archives are refused as one large archive is."""
    for k in range(4):
        write(tmp_path, {f"{k}.zip": make.zipped(make.planes(f"f{k}"))})
    assert len(find_job_fields(tmp_path, RULES, 9).sources) == 4
    expanded = sum(map(len, make.planes("f0").values()))
    directory = archives._measure_directory(tmp_path / "0.zip", 1 << 20)
    for name, limit in (("MAX_DIRECTORY", 3 * directory), ("MAX_ARCHIVE_BYTES", 3 * expanded)):
        with monkeypatch.context() as patch:
            patch.setattr(sources, name, limit)
            with pytest.raises(LociscopeError) as caught:
                find_job_fields(tmp_path, RULES, 9)
            assert caught.value.code is Code.TOO_LARGE


@pytest.mark.parametrize("packed", [False, True])
def test_a_pattern_that_would_occupy_the_service(make: Any, tmp_path: Path, packed: bool) -> None:
    """Each of these names would take the expression minutes."""
    names = {f"{'_' * length}.png": b"x" for length in (150, 160)}
    write(tmp_path, {"a.zip": make.zipped(names)} if packed else names)
    rules = parse_job_rules({"pattern": "{plate}_{well}_{site}_{gene}_{channel}X"})
    began = time.monotonic()
    with pytest.raises(LociscopeError) as caught:
        find_job_fields(tmp_path, rules, 9)
    assert caught.value.code is Code.INVALID_VALUE
    assert time.monotonic() - began < 5


def test_a_pattern_of_many_parts_is_fine_where_names_are_usual(make: Any, tmp_path: Path) -> None:
    write(tmp_path, make.planes("f_P1_B03_2_TP53"))
    rules = parse_job_rules({"pattern": "{id}_{plate}_{well}_{site}_{gene}_{channel}"})
    (source,) = find_job_fields(tmp_path, rules, 9).sources
    assert source.origin["gene"] == "TP53"


def test_tables_are_not_followed(make: Any, tmp_path: Path) -> None:
    """A table of paths would let a client read files of the server."""
    write(tmp_path / "secret", make.planes("s1"))
    paths = ",".join(f"{tmp_path}/secret/s1_{name}.png" for name in ("red", "green", "blue", "yellow"))
    write(tmp_path / "upload", {"fields.csv": f"id,red,green,blue,yellow\nx,{paths}\n".encode()})
    with pytest.raises(LociscopeError) as caught:
        find_job_fields(tmp_path / "upload", RULES, 9)
    assert caught.value.code in (Code.NOTHING_FOUND, Code.UNSUPPORTED_FORMAT)


def test_too_many_fields(make: Any, tmp_path: Path) -> None:
    write(tmp_path, make.planes("a1") | make.planes("a2"))
    with pytest.raises(LociscopeError) as caught:
        find_job_fields(tmp_path, RULES, 1)
    assert caught.value.code is Code.TOO_LARGE


def test_rules_that_are_wrong() -> None:
    for texts in ({"pixel_size": "x"}, {"channels": "red"}, {"pattern": "{nothing}"}, {"preset": "none"}):
        with pytest.raises(LociscopeError):
            _ = parse_job_rules(texts)
