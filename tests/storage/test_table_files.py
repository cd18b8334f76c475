"""Tables of any program."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lociscope.errors import LociscopeError
from lociscope.storage.table_files import read_any, read_header, standardize_columns

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_csv_of_every_make(tmp_path: Path, mark: str, encoding: str, end: str) -> None:
    path = tmp_path / ("t.tsv" if mark == "\t" else "t.CSV")
    lines = [["id", "a,b;c", "x"], ["007", "", "1.5"], ['"q;,\t"', "z"]]
    rows = [[f'"{value}"' if value == "a,b;c" else value for value in row] for row in lines]
    path.write_bytes(end.join([*map(mark.join, rows), ""]).encode(encoding))
    table, ours = read_any(path, "Catalog", "catalog", 1)
    assert not ours
    assert table.to_pydict() == {"id": ["007", "q;,\t"], "a,b;c": [None, "z"], "x": ["1.5", None]}
    assert read_header(path) == ["id", "a,b;c", "x"]


def test_parquet_of_lociscope_and_of_others(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    table = pa.table({"id": ["a"]})
    for metadata, ours in (({}, False), ({"pandas": "{}"}, False), ({"kind": "catalog", "schema": "1"}, True)):
        pq.write_table(table.replace_schema_metadata(metadata or None), path)
        assert read_any(path, "Catalog", "catalog", 1)[1] == ours
    pq.write_table(table.replace_schema_metadata({"kind": "predictions", "schema": "1"}), path)
    with pytest.raises(LociscopeError, match=r"is not a Catalog file \(its kind is 'predictions'\)"):
        read_any(path, "Catalog", "catalog", 1)


@pytest.mark.parametrize("kind", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.large_string())])
def test_texts_of_every_store(tmp_path: Path, kind: pa.DataType) -> None:
    pq.write_table(pa.table({"id": pa.array(["a", None], pa.string()).cast(kind)}), tmp_path / "t.parquet")
    table, _ = read_any(tmp_path / "t.parquet", "Catalog", "catalog", 1)
    assert (table["id"].type, table["id"].to_pylist()) == (pa.string(), ["a", None])


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("t.csv", b"id,red\na,b,c\n", r"line 2 has 3 values for 2 columns \(id, red\). Put values that hold a ','"),
        ("t.csv", b"\xff\xfe\x00", "is not a CSV file"),
        ("t.xlsx", b"PK", "is a spreadsheet, which lociscope does not read. Save its sheet as CSV"),
        ("t.parquet", b"id,red", "is not a Catalog file: it is not Parquet"),
        ("s3://bucket/t.parquet", None, "'s3://bucket/t.parquet' is a URL, which lociscope does not read"),
        ("none/t.csv", None, "Cannot read Catalog .* No such file"),
    ],
)
def test_files_that_are_not_a_table(tmp_path: Path, name: str, data: bytes | None, message: str) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(LociscopeError, match=message):
        read_any(tmp_path / name, "Catalog", "catalog", 1)


def test_known_columns_in_any_case() -> None:
    table = standardize_columns(
        pa.table({" ID": [1], "Red": [2], "Pixel Size": [3], "Dose": [4]}), ("id", "red", "pixel_size"), "It"
    )
    assert table.column_names == ["id", "red", "pixel_size", "Dose"]
    for name in ("pixel_size_um", "Pixel size (µm)", "PixelSize [microns]"):
        assert standardize_columns(pa.table({name: [1]}), ("pixel_size",), "It").column_names == ["pixel_size"]
        assert standardize_columns(pa.table({name: [1]}), ("id",), "It").column_names == [name]
    with pytest.raises(LociscopeError, match="It has two columns called 'id'"):
        standardize_columns(pa.table({"id": [1], "ID": [2]}), ("id",), "It")


@pytest.mark.parametrize("name", ["pixel_size_nm", "PhysicalSizeX", "um_per_px", "microns per pixel"])
def test_a_column_that_seems_to_be_the_pixel_size_is_refused(name: str) -> None:
    with pytest.raises(LociscopeError, match="Call the side of a pixel 'pixel_size', and give it in µm"):
        standardize_columns(pa.table({"id": [1], name: [2]}), ("id", "pixel_size"), "It")
    assert standardize_columns(pa.table({"pixel_size": [1], name: [2]}), ("pixel_size",), "It").num_columns == 2
    assert standardize_columns(pa.table({"pixels": [1], name: [2]}), ("id",), "It").num_columns == 2


def test_blanks_behind_the_commas_of_a_csv(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('id, red, "green, blue"\na, pics/a red.png, "x, y"\n')
    table, _ = read_any(tmp_path / "t.csv", "Catalog", "catalog", 1)
    assert table.to_pylist() == [{"id": "a", "red": "pics/a red.png", "green, blue": "x, y"}]
    assert read_header(tmp_path / "t.csv") == table.column_names
    (tmp_path / "t.csv").write_text("id,red\na, b.png\n")
    assert read_any(tmp_path / "t.csv", "Catalog", "catalog", 1)[0]["red"].to_pylist() == [" b.png"]
