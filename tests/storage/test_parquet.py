"""Parquet files of lociscope, of others, and damaged ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lociscope.errors import LociscopeError
from lociscope.storage.parquet import cast_column, read_parquet

if TYPE_CHECKING:
    from pathlib import Path


def write_table(path: Path, **metadata: str) -> Path:
    table = pa.table({"id": [f"a{i}" for i in range(50)], "x": list(range(50))})
    pq.write_table(table.replace_schema_metadata(metadata or None), path)
    return path


def test_a_table_comes_back(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a=1.parquet", kind="thing", schema="1")
    assert read_parquet(path, "Thing", "thing", 1)["x"].to_pylist() == list(range(50))


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, "is not a Thing file (its kind is '')"),
        ({"kind": "other", "schema": "1"}, "is not a Thing file (its kind is 'other')"),
        ({"kind": "thing"}, "states no schema"),
        ({"kind": "thing", "schema": "2"}, "newer than 1, the newest this lociscope reads. Update lociscope."),
    ],
)
def test_tables_of_another_kind_or_schema(tmp_path: Path, metadata: dict[str, str], message: str) -> None:
    with pytest.raises(LociscopeError) as caught:
        read_parquet(write_table(tmp_path / "t.parquet", **metadata), "Thing", "thing", 1)
    assert message in str(caught.value)


def test_missing_empty_and_foreign_files(tmp_path: Path) -> None:
    (tmp_path / "empty.parquet").touch()
    (tmp_path / "text.parquet").write_text("Id,Target\na1,0\n")
    for name, message in (
        ("none", "Cannot read Thing .*No such file"),
        (".", "Cannot read Thing .*Is a directory"),
        ("empty", "is not a Thing file: it is not Parquet"),
        ("text", "is not a Thing file: it is not Parquet"),
    ):
        path = tmp_path if name == "." else tmp_path / f"{name}.parquet"
        with pytest.raises(LociscopeError, match=message):
            read_parquet(path, "Thing", "thing", 1)


@pytest.mark.parametrize("text", [b"a17", b"name"])
def test_bytes_that_are_not_text(tmp_path: Path, text: bytes) -> None:
    """Found by fuzzing: a value, or the name of a column, that is not UTF-8."""
    path = tmp_path / "t.parquet"
    table = pa.table({"name": [f"a{i}" for i in range(50)]})
    pq.write_table(
        table.replace_schema_metadata({"kind": "thing", "schema": "1"}), path,
        compression="none", use_dictionary=False, store_schema=False, write_statistics=False,
    )  # fmt: skip
    path.write_bytes(path.read_bytes().replace(text, b"\xff" * len(text)))
    with pytest.raises(LociscopeError, match=r"is not a Thing file"):
        read_parquet(path, "Thing", "thing", 1)


def test_a_table_truncated_anywhere(tmp_path: Path) -> None:
    whole = write_table(tmp_path / "whole.parquet", kind="thing", schema="1").read_bytes()
    cut = tmp_path / "cut.parquet"
    for length in range(0, len(whole), 7):
        cut.write_bytes(whole[:length])
        with pytest.raises(LociscopeError, match=r"is not a Thing file|is damaged"):
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
