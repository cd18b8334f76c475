"""Writing whole or not at all, and refusing what nobody here wrote."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from lociscope.errors import LociscopeError
from lociscope.storage import locks
from lociscope.storage.atomic import atomic_write
from lociscope.storage.parquet import cast_column, read_parquet
from lociscope.storage.schema import check_ids, check_schema, parse_model


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# === atomic_write ===


def test_a_file_is_made_with_its_folders_and_replaced(tmp_path: Path) -> None:
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
def test_a_place_that_cannot_be_replaced(name: str) -> None:
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
        f"Cannot write '{folder / 'out.csv'}': Permission denied. Mend that, or name another place with -o.\n"
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


# === check_schema ===


@pytest.mark.parametrize("found", [1, 2, "2", b"1"])
def test_known_schemas(found: object) -> None:
    check_schema(found, 2, "It")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (3, "It has schema 3, newer than 2, the newest this lociscope reads. Update lociscope."),
        (0, "It has schema 0; expected 1 to 2."),
        (-1, "It has schema -1; expected 1 to 2."),
        (None, "It states no schema (received None)."),
        ("x", "It states no schema (received 'x')."),
        (float("inf"), "It states no schema (received inf)."),
        ([1], "It states no schema (received [1])."),
    ],
)
def test_other_schemas(found: object, said: str) -> None:
    with pytest.raises(LociscopeError) as caught:
        check_schema(found, 2, "It")
    assert str(caught.value).startswith(said)


# === Parquet ===


def write_table(path: Path, **metadata: str) -> Path:
    table = pa.table({"id": [f"a{i}" for i in range(50)], "x": list(range(50))})
    pq.write_table(table.replace_schema_metadata(metadata or None), path)
    return path


def test_a_table_comes_back(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a=1.parquet", kind="thing", schema="1")
    assert read_parquet(path, "Thing", "thing", 1)["x"].to_pylist() == list(range(50))


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({}, "is no Thing (its kind is '')"),
        ({"kind": "other", "schema": "1"}, "is no Thing (its kind is 'other')"),
        ({"kind": "thing"}, "states no schema"),
        ({"kind": "thing", "schema": "2"}, "newer than 1, the newest this lociscope reads. Update lociscope."),
    ],
)
def test_tables_of_another_kind_or_schema(tmp_path: Path, metadata: dict[str, str], said: str) -> None:
    with pytest.raises(LociscopeError) as caught:
        read_parquet(write_table(tmp_path / "t.parquet", **metadata), "Thing", "thing", 1)
    assert said in str(caught.value)


def test_missing_empty_and_foreign_files(tmp_path: Path) -> None:
    (tmp_path / "empty.parquet").touch()
    (tmp_path / "text.parquet").write_text("Id,Target\na1,0\n")
    for name, said in (
        ("none", "Cannot read Thing .*No such file"),
        (".", "Cannot read Thing .*Is a directory"),
        ("empty", "is no Thing: it is no Parquet file"),
        ("text", "is no Thing: it is no Parquet file"),
    ):
        path = tmp_path if name == "." else tmp_path / f"{name}.parquet"
        with pytest.raises(LociscopeError, match=said):
            read_parquet(path, "Thing", "thing", 1)


@pytest.mark.parametrize("text", [b"a17", b"name"])
def test_bytes_that_are_no_text(tmp_path: Path, text: bytes) -> None:
    """Found by fuzzing: a value, or the name of a column, that is no UTF-8."""
    path = tmp_path / "t.parquet"
    table = pa.table({"name": [f"a{i}" for i in range(50)]})
    pq.write_table(
        table.replace_schema_metadata({"kind": "thing", "schema": "1"}), path,
        compression="none", use_dictionary=False, store_schema=False, write_statistics=False,
    )  # fmt: skip
    path.write_bytes(path.read_bytes().replace(text, b"\xff" * len(text)))
    with pytest.raises(LociscopeError, match=r"is no Thing"):
        read_parquet(path, "Thing", "thing", 1)


def test_a_table_cut_short_anywhere(tmp_path: Path) -> None:
    whole = write_table(tmp_path / "whole.parquet", kind="thing", schema="1").read_bytes()
    cut = tmp_path / "cut.parquet"
    for length in range(0, len(whole), 7):
        cut.write_bytes(whole[:length])
        with pytest.raises(LociscopeError, match=r"is no Thing|is damaged"):
            read_parquet(cut, "Thing", "thing", 1)


def test_a_table_with_damaged_pages(tmp_path: Path) -> None:
    path = write_table(tmp_path / "t.parquet", kind="thing", schema="1")
    damaged = bytearray(path.read_bytes())
    damaged[4:60] = b"\xff" * 56
    path.write_bytes(damaged)
    with pytest.raises(LociscopeError, match="is damaged or cut short"):
        read_parquet(path, "Thing", "thing", 1)


def test_columns_of_other_layouts_are_taken_and_others_refused() -> None:
    table = pa.table({"x": pa.array(["1"], pa.large_string()), "y": pa.array([[1, 2]], pa.list_(pa.float64(), 2))})
    assert cast_column(table, "x", pa.string(), "It").to_pylist() == ["1"]
    assert cast_column(table, "y", pa.list_(pa.float32()), "It").to_pylist() == [[1, 2]]
    with pytest.raises(LociscopeError, match=r"It: column 'y' holds .*, expected int64"):
        cast_column(table, "y", pa.int64(), "It")


# === JSON ===


class Thing(BaseModel):
    schema_: int = Field(alias="schema")
    size: int = Field(ge=1)


def test_an_object_comes_back() -> None:
    assert parse_model(b'{"schema": 1, "size": 2}', Thing, 1, "It").size == 2


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "It is damaged"),
        (b"[]", "It is damaged (a JSON list where an object should be)"),
        (b"\xff\xfe\xfa", "It is damaged"),
        (b'{"schema": 1, "size": 0}', "It is damaged (size: Input should be greater than or equal to 1)"),
        (b'{"schema": 1}', "It is damaged (size: Field required)"),
        (b'{"schema": 9, "size": 0}', "It has schema 9, newer than 1"),
        (b'{"schema": Infinity}', "It states no schema"),
        (b'{"size": 1}', "It states no schema"),
        (b'{"schema": ' + b"[" * 200_000, "It is damaged"),
        (b'{"schema": ' + b"9" * 5000 + b"}", "It is damaged"),
    ],
)
def test_objects_that_are_none(data: bytes, said: str) -> None:
    with pytest.raises(LociscopeError) as caught:
        parse_model(data, Thing, 1, "It")
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_refused_with_a_sentence(data: bytes) -> None:
    with pytest.raises(LociscopeError, match=r"^It "):
        parse_model(data, Thing, 1, "It")


# === Ids ===


@given(st.lists(st.sampled_from(["a", "b", "c", "", None])))
def test_ids_are_taken_only_when_each_is_there_once(ids: list[Any]) -> None:
    if len(set(ids)) == len(ids) and not {"", None} & set(ids):
        check_ids(iter(ids), "It")
    else:
        with pytest.raises(LociscopeError, match=r"It (names the id '.' twice|holds a row without an id)"):
            check_ids(iter(ids), "It")


def test_a_place_that_knows_no_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(file: object, *, wait: bool) -> bool:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(locks, "lock_file", unknown)
    with (
        pytest.raises(LociscopeError, match=r"Cannot write .*Function not implemented"),
        locks.exclusive_lock(tmp_path, "no"),
    ):
        pass
    with locks.exclusive_lock(tmp_path / "run", "no", needed=False):
        assert (tmp_path / "run").is_dir()
    assert not (tmp_path / "run").exists()


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with locks.exclusive_lock(tmp_path / "run", "no"):
        with pytest.raises(LociscopeError, match="it is taken"), locks.exclusive_lock(tmp_path / "run", "it is taken"):
            pass
        assert (tmp_path / "run" / locks.LOCK).exists()
    with locks.exclusive_lock(tmp_path / "run", "no"):
        pass
    assert not (tmp_path / "run").exists()


def test_a_lock_whose_file_its_holder_has_just_removed_is_taken_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between our opening of the file and our locking it: the lock would be on a file that nobody else sees."""
    take, tries = locks.lock_file, []

    def late(file: Any, *, wait: bool) -> bool:
        tries.append(1)
        if len(tries) == 1:
            (tmp_path / locks.LOCK).unlink()
        return take(file, wait=wait)

    monkeypatch.setattr(locks, "lock_file", late)
    with locks.exclusive_lock(tmp_path, "no"):
        assert len(tries) == 2
        monkeypatch.undo()
        with pytest.raises(LociscopeError, match="taken"), locks.exclusive_lock(tmp_path, "taken"):
            pass
