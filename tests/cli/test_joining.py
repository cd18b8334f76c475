"""Several Catalogs become one: every row and column, paths that still lead to their files, no id twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from lociscope.artifacts.catalog import Catalog, Entry
from lociscope.data.joining import join_catalogs
from lociscope.errors import LociscopeError
from lociscope.images.discovery.sources import read_catalog_sources
from lociscope.images.io.read import read_field

WriteField = Callable[..., Path]


def catalog(folder: Path, *ids: str, **columns: list[str]) -> Catalog:
    made = Catalog.from_entries((Entry(name, (0,), f"{name}_red.png") for name in ids), folder)
    table = made.table
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    return Catalog(table, folder)


def test_rows_columns_and_paths(tmp_path: Path) -> None:
    one = catalog(tmp_path / "one", "a", note=["x"])
    two = catalog(tmp_path / "deep" / "two", "b", "c")
    made = join_catalogs([one, two], ["one", "two"], tmp_path / "all")
    assert [(entry.id, entry.red) for entry in made] == [
        ("a", "../one/a_red.png"), ("b", "../deep/two/b_red.png"), ("c", "../deep/two/c_red.png"),
    ]  # fmt: skip
    assert made.table["note"].to_pylist() == ["x", None, None]
    assert made.table["green"].null_count == 3
    absolute = Catalog.from_entries([Entry("d", None, "/far/d_red.png")], tmp_path)
    assert next(iter(join_catalogs([absolute], ["d"], tmp_path / "all"))).red == "/far/d_red.png"
    assert join_catalogs([one], ["one"], tmp_path / "one").table is not None
    assert next(iter(join_catalogs([one], ["one"], tmp_path / "one"))).red == "a_red.png"


def test_ids_in_two_catalogs_are_listed(tmp_path: Path) -> None:
    names = [f"f{number}" for number in range(7)]
    with pytest.raises(LociscopeError) as error:
        join_catalogs([catalog(tmp_path, *names), catalog(tmp_path, "x", *names)], ["a.parquet", "b.parquet"], tmp_path)
    assert str(error.value) == (
        "7 ids come from two sources: "
        + ", ".join(f"'f{number}' ('a.parquet' and 'b.parquet')" for number in range(5))
        + " and 2 more. Rename them, or leave one of the two out."
    )


def test_columns_of_unlike_types(tmp_path: Path) -> None:
    other = catalog(tmp_path, "b")
    other = Catalog(other.table.append_column("note", pa.array([[1]])), tmp_path)
    with pytest.raises(LociscopeError, match="a column has different types in two of them"):
        join_catalogs([catalog(tmp_path, "a", note=["x"]), other], ["a", "b"], tmp_path)


def test_members_of_archives(tmp_path: Path) -> None:
    made = Catalog.from_entries([Entry("a", None, "x.zip!in/a_red.png")], tmp_path / "one")
    assert next(iter(join_catalogs([made], ["one"], tmp_path))).red == "one/x.zip!in/a_red.png"


def test_several_sources_and_catalogs_at_the_command_line(
    lociscope: Callable[..., tuple[int, str, str]], write_field: WriteField, tmp_path: Path
) -> None:
    for number in range(8):
        write_field(f"f{number}", tmp_path / ("one" if number < 5 else "two"), seed=number, size=16)
    (tmp_path / "labels.csv").write_text("Id,Target\n" + "".join(f"f{number},{number % 2}\n" for number in range(9)))
    code, out, err = lociscope("import", "folder", "one", "two", "--labels", "labels.csv", "-o", "c/both.parquet")
    assert (code, out) == (3, "8 fields, 8 labelled, in c/both.parquet\n")
    assert "1 field failed" in err
    assert "The id 'f8' has labels but no files in 'one', 'two'" in err
    for name in ("one", "two"):
        words = ("import", "folder", name, "--labels", "labels.csv", "-o", f"{name}/{name}.parquet")
        assert lociscope(*words)[0] == 3
    both = ("one/one.parquet", "two/two.parquet")
    assert lociscope("split", *both, "--folds", 2)[2] == (
        "lociscope: 2 Catalogs are joined into a new one. Name it with --output.\n"
    )
    assert lociscope("split", *both, "--folds", 2, "-o", "far/c.parquet")[0] == 0
    made = Catalog.read(tmp_path / "far" / "c.parquet")
    assert sorted(made.ids) == [f"f{number}" for number in range(8)]
    assert [read_field(source).pixels.shape for source in read_catalog_sources(made)] == [(16, 16, 4)] * 8
    assert {entry.fold for entry in made} == {0, 1}
    assert "8 ids come from two sources" in lociscope("split", *both, "c/both.parquet", "-o", "x.parquet")[2]

    write_field("f0", tmp_path / "three", size=16)
    code, out, err = lociscope("import", "folder", "one", "three", "-o", "x.parquet")
    assert (code, out) == (1, "")
    assert err == (
        "lociscope: 1 id comes from two sources: 'f0' ('one' and 'three'). Rename them, or leave one of the two out.\n"
    )
    assert not (tmp_path / "x.parquet").exists()


def test_competitions_and_plates_are_joined(
    lociscope: Callable[..., tuple[int, str, str]], write_field: WriteField, tmp_path: Path
) -> None:
    for name in ("2018", "2019"):
        write_field(f"k{name}", tmp_path / name / "train", size=16)
        (tmp_path / name / "train.csv").write_text(f"Id,Target\nk{name},3\n")
        write_field(f"{name}_A01_1", tmp_path / f"P{name}", size=16)
    assert lociscope("import", "kaggle", "2018", "2019", "-o", "k.parquet")[1].startswith("2 fields, 2 labelled")
    words = ("import", "plate", "P2018", "P2019", "--pattern", "{specimen}_{well}_{site}_{channel}", "-o", "p.parquet")
    assert lociscope(*words)[0] == 0
    assert [entry.plate for entry in Catalog.read(tmp_path / "p.parquet")] == ["P2018", "P2019"]
    assert lociscope(*words, "--labels", "2018/train.csv")[0] == 2
