"""What can be known of a file that another program may still be writing."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lociscope.images.discovery.sources import FieldSource
from lociscope.images.io.container import parse_plane_ref
from lociscope.watch import completeness
from lociscope.watch.completeness import BLOCK, TAIL, CompletenessCheck, Incomplete, find_gap, is_open_for_writing

if TYPE_CHECKING:
    from pathlib import Path

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says who writes")
NOISE = np.random.default_rng(0).integers(1, 256, 5 * BLOCK, np.uint8).tobytes()


@pytest.mark.parametrize(
    ("name", "data", "gap"),
    [
        ("a.tif", NOISE, None),
        ("a.tif", NOISE[:100], None),
        ("a.tif", b"", None),  # the reader says that it is empty
        ("a.tif", NOISE[:BLOCK] + bytes(4 * BLOCK), "zeros in a row"),
        ("a.tif", NOISE[:BLOCK] + bytes(BLOCK) + NOISE, "zeros in a row"),  # written in another order
        ("a.tif", NOISE[:-TAIL] + bytes(TAIL), "ends in zeros"),
        ("a.tif", NOISE[:-9] + bytes(8) + b"x", None),
        ("c/0/0", bytes(100), "ends in zeros"),  # a chunk of a Zarr
        ("a.jpg", NOISE + b"\xff\xd9", None),
        ("a.jpg", NOISE.replace(b"\xff\xd9", b"xx"), "lacks the end of its picture"),
        ("a.png", bytes(2 * BLOCK), None),  # its checksums say it
        ("a.tif.gz", bytes(2 * BLOCK), None),
    ],
)
def test_gaps(tmp_path: Path, name: str, data: bytes, gap: str | None) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    found = find_gap(path)
    assert found is None if gap is None else gap in str(found)


def test_a_gap_beyond_the_first_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completeness, "_READ", 2 * BLOCK)
    (tmp_path / "a.tif").write_bytes(NOISE[: 3 * BLOCK] + bytes(BLOCK) + NOISE)
    assert find_gap(tmp_path / "a.tif")
    (tmp_path / "b.tif").write_bytes(NOISE)
    assert find_gap(tmp_path / "b.tif") is None


@linux
def test_who_writes_is_seen_also_through_a_map(tmp_path: Path) -> None:
    import mmap

    path = tmp_path / "a.tif"
    path.write_bytes(NOISE)
    if is_open_for_writing(path) is None:
        pytest.skip("this file system does not say who writes")
    assert is_open_for_writing(path) is False
    with path.open("rb"):
        assert is_open_for_writing(path) is False
    file = path.open("r+b")
    assert is_open_for_writing(path) is True
    with mmap.mmap(file.fileno(), 0):
        file.close()
        assert is_open_for_writing(path) is True
    assert is_open_for_writing(path) is False
    assert is_open_for_writing(tmp_path / "none.tif") is None


@linux
@pytest.mark.parametrize(
    ("mounts", "known"),
    [
        ("1 0 8:1 / / rw - ext4 /dev/a rw\n", True),
        ("1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 0:5 / {} rw - nfs4 server:/ rw\n", None),
        ("2 1 0:5 / {} rw - nfs4 server:/ rw\n3 1 8:2 / {} rw shared:1 - xfs /dev/b rw\n", True),
        ("1 0 0:7 / / rw - cifs //server/x rw\n2 1 8:1 / {}/other rw - ext4 /dev/a rw\n", None),
    ],
)
def test_a_lease_that_a_share_refuses_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mounts: str, known: bool | None
) -> None:
    folder = tmp_path / "a b"
    folder.mkdir()
    (tmp_path / "mounts").write_text(mounts.replace("{}", str(folder).replace(" ", "\\040")))
    monkeypatch.setattr(completeness, "_MOUNTS", tmp_path / "mounts")
    with (folder / "a.tif").open("wb"):
        found = is_open_for_writing(folder / "a.tif")
    if found is None and known:
        pytest.skip("this file system does not say who writes")
    assert found is known


def test_elsewhere_nobody_says_who_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert is_open_for_writing(tmp_path) is None


@pytest.fixture
def writing(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of files that a program has open for writing."""
    names: set[str] = set()
    monkeypatch.setattr(completeness, "is_open_for_writing", lambda path: path.name in names)
    return names


def source_of(*paths: Path) -> FieldSource:
    return FieldSource("a", tuple(map(parse_plane_ref, paths)))


@pytest.fixture
def planes(tmp_path: Path) -> list[Path]:
    made = [tmp_path / f"a_{name}.tif" for name in ("red", "green", "blue", "yellow")]
    for path in made:
        path.write_bytes(NOISE)
    return made


def reason(doubt: Incomplete | None) -> str:
    assert doubt is not None
    return doubt.reason


def test_a_program_that_closes_the_file_ends_the_doubt(planes: list[Path], writing: set[str]) -> None:
    writing.add(planes[2].name)
    mine, source = CompletenessCheck(60), source_of(*planes)
    assert mine.check(source, 0.0, 2.0) == Incomplete(
        f"A program has '{planes[2]}' open for writing. It is read when it is closed, or no longer changes.",
        changed=True,
    )
    assert mine.check(source, 0.0, 3.0) == mine.check(source, 0.0, 4.0)
    writing.clear()
    assert mine.check(source, 0.0, 5.0) is None


def test_without_a_sign_a_field_is_read_at_once(planes: list[Path], writing: set[str]) -> None:
    assert CompletenessCheck(60).check(source_of(*planes), 0.0, 2.0) is None
    assert writing == set()


@pytest.mark.parametrize("sign", ["gap", "written"])
def test_with_one_sign_it_is_read_once_it_has_rested(planes: list[Path], writing: set[str], sign: str) -> None:
    if sign == "gap":
        planes[2].write_bytes(NOISE + bytes(BLOCK))
    else:
        writing.add(planes[2].name)
    mine, source = CompletenessCheck(60), source_of(*planes)
    for now in (2.0, 30.0, 59.9):
        assert str(planes[2]) in reason(mine.check(source, 0.0, now))
        assert mine.is_undecided(now)
    assert mine.check(source, 0.0, 60.0) is None
    mine.forget("a")
    assert not mine.is_undecided(60.0)


def test_with_both_signs_it_is_not_read_however_long_it_rests(planes: list[Path], writing: set[str]) -> None:
    planes[2].write_bytes(NOISE + bytes(BLOCK))
    writing.add(planes[2].name)
    mine, source = CompletenessCheck(60), source_of(*planes)
    assert "a program has it open for writing" in reason(mine.check(source, 0.0, 1e6))
    assert not mine.is_undecided(1e6)  # so that --until-idle ends
    planes[2].write_bytes(NOISE)
    writing.clear()
    assert "a moment ago" in reason(mine.check(source, 0.0, 1e6 + 1))
    assert mine.check(source, 0.0, 1e6 + 2) is None


def test_a_change_that_the_time_of_change_hides_is_seen(planes: list[Path], writing: set[str]) -> None:
    planes[2].write_bytes(NOISE + bytes(BLOCK))
    mine, source = CompletenessCheck(60), source_of(*planes)
    stat = planes[2].stat()
    assert mine.check(source, 0.0, 2.0)
    with planes[2].open("r+b") as file:
        file.write(b"other")
    time.sleep(0.02)  # longer than the clock of file systems takes for a step
    os.utime(planes[2], ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert mine.check(source, 0.0, 59.0)
    assert mine.check(source, 0.0, 61.0)  # since it changed it has rested for two seconds
    assert mine.check(source, 0.0, 119.0) is None


def test_an_old_file_is_complete_whatever_it_looks_like(
    planes: list[Path], writing: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    planes[2].write_bytes(bytes(BLOCK))
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + completeness.OLD_S + 1)
    assert CompletenessCheck(60).check(source_of(*planes), 0.0, 2.0) is None


def test_all_that_is_in_a_zarr_is_looked_at(tmp_path: Path, writing: set[str]) -> None:
    chunk = tmp_path / "a.zarr" / "0" / "c" / "0"
    chunk.parent.mkdir(parents=True)
    (tmp_path / "a.zarr" / "zarr.json").write_text("{}")
    chunk.write_bytes(NOISE + bytes(BLOCK))
    source: Any = source_of(*[tmp_path / "a.zarr!red"] * 4)
    mine = CompletenessCheck(60)
    assert str(chunk) in reason(mine.check(source, 0.0, 2.0))
    chunk.write_bytes(NOISE)
    mine.forget("a")
    assert mine.check(source, 0.0, 3.0) is None
