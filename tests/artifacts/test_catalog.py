"""The Catalog and label tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lociscope.artifacts.catalog import COLUMNS, Catalog, Entry, is_catalog, read_labels
from lociscope.errors import LociscopeError

TEXT = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SMALL = st.none() | st.integers(0, 2**40)
IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
ENTRIES = st.builds(
    Entry,
    IDS,
    st.none() | st.lists(st.integers(0, 27), max_size=4).map(tuple),
    *[TEXT] * 4,
    SMALL,
    *[TEXT] * 7,
    st.none() | st.floats(0, 10),
    *[TEXT] * 3,
    SMALL,
)


@given(st.lists(ENTRIES, min_size=1, max_size=5, unique_by=lambda entry: entry.id))
def test_what_is_written_comes_back(tmp_path_factory: pytest.TempPathFactory, entries: list[Entry]) -> None:
    path = tmp_path_factory.mktemp("catalog") / "catalog.parquet"
    made = Catalog.from_entries(entries, path.parent)
    made.write(path)
    read = Catalog.read(path)
    assert list(read) == list(made) == entries
    assert len(read) == len(entries)
    assert read.ids == [entry.id for entry in entries]
    assert read.folder == path.parent


def test_rows_are_picked_by_a_column() -> None:
    entries = [Entry("a", (0,), split="train"), Entry("b", split="valid"), Entry("c", ())]
    catalog = Catalog.from_entries(entries, Path())
    assert catalog.filter("split", "train").ids == ["a"]
    assert catalog.exclude("split", "train").ids == ["b", "c"]
    assert catalog.select_labelled().ids == ["a", "c"]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([], "holds no field"),
        (["a", "b", "a"], "names the id 'a' twice"),
        (["a", ""], "holds a row without an id"),
    ],
)
def test_rows_that_are_not_a_catalog(ids: list[str], message: str) -> None:
    with pytest.raises(LociscopeError, match=message):
        Catalog.from_entries([Entry(name) for name in ids], Path("here"))


def write(path: Path, schema: str = "1", **columns: Any) -> Path:
    columns = {"id": ["a"], **{name: [None] for name in ("red", "green", "blue", "yellow")}, **columns}
    table = pa.table({name: values for name, values in columns.items() if values is not ...})
    pq.write_table(table.replace_schema_metadata({"kind": "catalog", "schema": schema}), path)
    return path


def test_columns_that_are_absent_are_empty_and_further_ones_stay(tmp_path: Path) -> None:
    catalog = Catalog.read(write(tmp_path / "c.parquet", dose=[3.5], fold=pa.array([2], pa.int8())))
    assert list(catalog) == [replace(Entry("a"), fold=2)]
    assert catalog.table["dose"].to_pylist() == [3.5]
    assert set(COLUMNS) < set(catalog.table.column_names)
    assert catalog.select_labelled().ids == []
    assert catalog.exclude("split", "train").ids == ["a"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"yellow": ...}, "has no column 'yellow'"),
        ({"id": ...}, "has no column 'id'"),
        ({"id": pa.array([None], pa.string())}, "holds a row without an id"),
        ({"target": [[28]]}, "holds the label 28; expected class numbers 0–27"),
        ({"target": [[-1]]}, "holds the label -1"),
        ({"target": [[None]]}, "holds the label None"),
        ({"target": ["16 0"]}, "column 'target' holds string, expected list"),
        ({"fold": ["one"]}, "column 'fold' holds 'one', expected int64"),
        ({"schema": "2"}, "newer than 1, the newest this lociscope reads. Update lociscope."),
    ],
)
def test_tables_that_are_not_a_catalog(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    with pytest.raises(LociscopeError, match=message):
        Catalog.read(write(tmp_path / "c.parquet", **columns))


# === Tables of paths that others wrote ===

PATHS = {name: [f"{name}/a.png", f"{name}/b.png"] for name in ("red", "green", "blue", "yellow")}


def table_of(path: Path, **columns: Any) -> Path:
    table = pa.table({"id": ["a", "b"], **PATHS, **columns})
    if path.suffix == ".parquet":
        pq.write_table(table, path)
        return path
    rows = [table.column_names, *zip(*table.to_pydict().values(), strict=True)]
    path.write_text("\n".join(",".join("" if value is None else str(value) for value in row) for row in rows) + "\n")
    return path


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_a_table_of_paths_is_a_catalog(tmp_path: Path, name: str) -> None:
    columns = {
        "Pixel_Size": [0.08, None],
        "Target": ["16 0", None],
        "PLATE": ["P1", None],
        "plane": [2, None],
        "dose": [1, 2],
    }
    catalog = Catalog.read(table_of(tmp_path / name, **columns))
    one, other = catalog
    assert (one.id, one.red, one.yellow) == ("a", "red/a.png", "yellow/a.png")
    assert (one.pixel_size, one.target, one.plate, one.plane) == (0.08, (0, 16), "P1", 2)
    assert (other.pixel_size, other.target, other.plate, other.plane) == (None, None, None, None)
    assert [str(value) for value in catalog.table["dose"].to_pylist()] == ["1", "2"]
    assert catalog.folder == tmp_path
    catalog.write(tmp_path / "made.parquet")
    assert list(Catalog.read(tmp_path / "made.parquet")) == [one, other]


def test_numbers_and_blanks_as_others_write_them(tmp_path: Path) -> None:
    nan = float("nan")
    path = table_of(tmp_path / "t.parquet", pixel_size=[nan, 0.1], fold=[nan, 1.0], well=["", "A1"], site=[7, 8])
    one, other = Catalog.read(path)
    assert (one.pixel_size, one.fold, one.well, one.site) == (None, None, None, "7")
    assert (other.pixel_size, other.fold, other.well, other.site) == (0.1, 1, "A1", "8")
    (tmp_path / "t.csv").write_text("ID;RED;Green;blue;yellow;pixel_size\n007;r.png;g.png;b.png; ;0,08\n")
    (entry,) = Catalog.read(tmp_path / "t.csv")
    assert (entry.id, entry.yellow, entry.pixel_size) == ("007", None, 0.08)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"pixel_size": ["x", "0.1"]}, "column 'pixel_size' holds 'x', expected double. Correct that column"),
        ({"pixel_size": ["0", "0.1"]}, "holds the pixel_size 0.0; expected µm above 0"),
        ({"pixel_size": ["-1", "0.1"]}, "holds the pixel_size -1.0"),
        ({"target": ["28", "0"]}, "row 1: Label '28' is not a class number"),
        ({"fold": ["1.5", "0"]}, "column 'fold' holds '1.5', expected int64"),
        ({"ID": ["a", "b"]}, "has two columns called 'id'"),
    ],
)
def test_tables_of_paths_that_are_wrong(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    with pytest.raises(LociscopeError, match=message):
        Catalog.read(table_of(tmp_path / "t.csv", **columns))


def test_a_column_that_a_table_of_paths_lacks(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,red,green,blue,DAPI\na,r.png,g.png,b.png,d.png\n")
    with pytest.raises(
        LociscopeError, match=r"has no column 'yellow' \(columns: id, red, green, blue, DAPI\). A table of"
    ):
        Catalog.read(tmp_path / "t.csv")
    (entry,) = Catalog.read(tmp_path / "t.csv", may_lack=("yellow",))
    assert (entry.blue, entry.yellow) == ("b.png", None)


def test_tables_of_fields_and_label_tables(tmp_path: Path) -> None:
    for text, is_one in (
        ("id,red,green,blue,yellow\n", True), ("Id;Red;Green;Blue\n", True), ("Id,Target\n", False), ("", False),
    ):  # fmt: skip
        (tmp_path / "t.csv").write_text(text)
        assert is_catalog(tmp_path / "t.csv") == is_one
    assert is_catalog(tmp_path / "t.parquet")
    assert not is_catalog(tmp_path / "none.csv")


# === Label tables ===


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), min_size=1),
        st.lists(st.integers(0, 27), unique=True).map(lambda numbers: tuple(sorted(numbers))),
    ),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_label_tables_of_every_make(
    tmp_path_factory: pytest.TempPathFactory, labels: dict[str, tuple[int, ...]], end: str, mark: bool
) -> None:
    path = tmp_path_factory.mktemp("labels") / "train.csv"
    quoted = ((name.replace('"', '""'), " ".join(map(str, numbers))) for name, numbers in labels.items())
    lines = ["note,Id,Target", *(f'x,"{name}",{target}' for name, target in quoted)]
    path.write_bytes(end.join([*lines, ""]).encode("utf-8-sig" if mark else "utf-8"))
    assert read_labels(path) == labels
    assert list(read_labels(path)) == list(labels)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected the columns Id,Target, found nothing"),
        ("Id;Target\na;0\n", "expected the columns Id,Target, found Id;Target"),
        ("name,target\na,0\n", "found name,target. Write the header line 'Id,Target'"),
        ("Id,Predicted\na,0\n", "expected the columns Id,Target, found Id,Predicted"),
        ("Id,Target\na,28\n", "line 2: Label '28' is not a class number"),
        ("Id,Target\na,0\nb,abc\n", "line 3: Label 'abc' is not a class number"),
        ("Id,Target\na,-1\n", "line 2: Label '-1'"),
        ("Id,Target\na,²\n", "line 2: Label '²'"),
        ("Id,Target\na,0\nb,1\na,0\n", "names the id 'a' twice, again in line 4"),
        ("Id,Target\n,0\n", "line 2 has no id"),
        ("Id,Target\na,0\nb", "line 3 has no Target. Check whether the file is complete"),
        ("Id,Target\na," + "1" * 200_000, "is not a CSV file"),
    ],
)
def test_tables_that_are_not_labels(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "train.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(LociscopeError, match=message) as caught:
        read_labels(path)
    assert f"'{path}'" in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_other_encodings_are_refused(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "train.csv"
    path.write_bytes("Id,Target\né,0\n".encode(encoding))
    with pytest.raises(LociscopeError, match=r"is not a CSV file .* Save it as UTF-8 with commas"):
        read_labels(path)


def test_label_tables_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(LociscopeError, match=r"No such file or directory. Check the path."):
        read_labels(tmp_path / "none.csv")
    with pytest.raises(LociscopeError, match="Is a directory"):
        read_labels(tmp_path)


@given(st.binary())
def test_any_bytes_are_labels_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(b"Id,Target\n" + data)
    try:
        labels = read_labels(path)
    except LociscopeError as error:
        assert "any.csv" in str(error)
    else:
        assert {number for numbers in labels.values() for number in numbers} <= set(range(28))


def test_the_labels_of_the_real_fields(real_data: Path) -> None:
    labels = read_labels(real_data / "hpa2018" / "fields.csv")
    assert len(labels) == 56
    assert all(labels.values())
