"""Atomic writes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lociscope.errors import LociscopeError
from lociscope.storage.atomic import atomic_write


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# === atomic_write ===


def test_a_file_is_created_with_its_folders_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "out.txt"
    for text in ("one", "two"):
        with atomic_write(path) as part:
            assert part.parent == path.parent
            part.write_text(text)
        assert path.read_text() == text
    assert names_in(path.parent) == ["out.txt"]


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "out"
    for name in ("old", "new"):
        with atomic_write(path) as part:
            part.mkdir()
            (part / name).write_text(name)
    assert names_in(path) == ["new"]
    assert names_in(tmp_path) == ["out"]


@pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt(), LociscopeError("It failed.")], ids=repr)
@pytest.mark.parametrize("folder", [False, True])
def test_an_exception_leaves_what_was_there_and_nothing_else(
    tmp_path: Path, error: BaseException, folder: bool
) -> None:
    kept = tmp_path / "out"
    kept.write_text("kept")
    with pytest.raises(type(error)), atomic_write(kept) as part:
        if folder:
            part.mkdir()
            (part / "half").write_text("…")
        else:
            part.write_text("half")
        raise error
    assert names_in(tmp_path) == ["out"]
    assert kept.read_text() == "kept"


def test_what_a_killed_process_left_is_written_over(tmp_path: Path) -> None:
    left = tmp_path / f".out.{os.getpid()}.part"
    left.mkdir()
    (left / "junk").touch()
    with atomic_write(tmp_path / "out") as part:
        part.write_text("whole")
    assert names_in(tmp_path) == ["out"]


def test_a_link_that_was_left_is_removed_and_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").touch()
    (tmp_path / f".out.{os.getpid()}.part").symlink_to(elsewhere)
    with atomic_write(tmp_path / "out") as part:
        part.write_text("whole")
    assert names_in(elsewhere) == ["precious"]


@pytest.mark.parametrize("name", [".", "/"])
def test_a_path_that_cannot_be_replaced(name: str) -> None:
    with pytest.raises(LociscopeError, match="is a folder that cannot be replaced"), atomic_write(Path(name)):
        raise AssertionError("must not get here")


def test_a_file_for_a_folder_a_folder_for_a_file_and_a_name_too_long(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "full").touch()
    for path, reason in (
        (tmp_path / "file" / "out", "Not a directory|File exists"),
        (tmp_path / "folder", "Is a directory"),
        (tmp_path / ("n" * 300), "File name too long"),
    ):
        with pytest.raises(LociscopeError, match=f"Cannot write .*({reason})"), atomic_write(path) as part:
            part.write_text("x")
    with pytest.raises(LociscopeError, match="Not a directory"), atomic_write(tmp_path / "file") as part:
        part.mkdir()
    assert names_in(tmp_path) == ["file", "folder"]


WRITE = """
import sys
from pathlib import Path
from lociscope.errors import LociscopeError
from lociscope.storage.atomic import atomic_write
try:
    with atomic_write(Path(sys.argv[1])) as part, part.open("wb") as file:
        file.write(bytes(int(sys.argv[2])))
except LociscopeError as error:
    sys.exit(str(error))
"""
AS_ORDINARY_USER = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]
"""Root writes anywhere; without these two capabilities it does not."""


def write_as_user(path: Path, size: int = 1) -> subprocess.CompletedProcess[str]:
    prefix = AS_ORDINARY_USER if os.geteuid() == 0 else []
    try:
        return subprocess.run(
            [*prefix, sys.executable, "-c", WRITE, str(path), str(size)], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("root may write anywhere, and there is no setpriv to take that from it")


@pytest.mark.parametrize("mode", [0o555, 0o444, 0o000])
def test_no_permission(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=mode)
    done = write_as_user(folder / "out.csv")
    folder.chmod(0o755)
    if "setpriv" in done.stderr:
        pytest.skip(f"setpriv is not allowed here: {done.stderr.strip()}")
    assert done.stderr == (
        f"Cannot write '{folder / 'out.csv'}': Permission denied. "
        "Correct that, or choose another location with `output`.\n"
    )
    assert names_in(folder) == []


def test_a_full_disk(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small disk may be mounted here: {mounted.stderr.strip()}")
    try:
        (disk / "out").write_text("kept")
        with pytest.raises(LociscopeError, match="No space left on device"), atomic_write(disk / "out") as part:
            part.write_bytes(bytes(2 << 20))
        big = pa.table({"x": pa.array(os.urandom(1 << 16) for _ in range(32))})
        with pytest.raises(LociscopeError, match="No space left on device"), atomic_write(disk / "out") as part:
            pq.write_table(big, part)
        assert names_in(disk) == ["out"]
        assert (disk / "out").read_text() == "kept"
    finally:
        subprocess.run(["umount", str(disk)], check=True)
