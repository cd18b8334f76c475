"""Clusters of the same picture, and what is known of it elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lociscope.artifacts.catalog import Catalog, Entry
from lociscope.data.duplicates import DUPLICATES, copy_columns, mark_duplicates, name_clusters
from lociscope.data.scan import scan_catalog
from lociscope.data.similarity import Pair
from lociscope.images.scale import resize

WriteField = Callable[..., Path]


def picture(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).random((12, 12, 4)).astype(np.float32) ** 3
    return np.asarray(resize(coarse, 96, 96) * 255).astype(np.uint8)


def catalog_of(write_field: WriteField, folder: Path, fields: dict[str, np.ndarray], **about: object) -> Catalog:
    names = ("red", "green", "blue", "yellow")
    for name, pixels in fields.items():
        write_field(name, folder, pixels)
    entries = [Entry(name, (0,), *(f"{name}_{c}.png" for c in names), **about) for name in fields]  # type: ignore[arg-type]
    return Catalog.from_entries(entries, folder)


def test_the_same_cells_share_a_name(write_field: WriteField, tmp_path: Path) -> None:
    fields = {"z": picture(1), "b": picture(2), "a": picture(1)[::-1], "c": np.rot90(picture(1)), "d": picture(3)}
    catalog = catalog_of(write_field, tmp_path, fields)
    made = mark_duplicates(catalog, scan_catalog(catalog))
    assert made.table[DUPLICATES].to_pylist() == ["a", None, "a", "a", None]
    made.write(tmp_path / "c.parquet")
    again = mark_duplicates(Catalog.read(tmp_path / "c.parquet"), scan_catalog(made))
    assert again.table.column_names == made.table.column_names
    assert again.table[DUPLICATES].to_pylist() == ["a", None, "a", "a", None]


def test_what_cannot_be_read_is_like_nothing(write_field: WriteField, tmp_path: Path) -> None:
    catalog = catalog_of(write_field, tmp_path, {name: picture(1) for name in "abc"})
    (tmp_path / "b_blue.png").write_text("no picture")
    seen = scan_catalog(catalog)
    assert seen.rows.tolist() == [0, 2]
    assert [failure.id for failure in seen.failures] == ["b"]
    assert mark_duplicates(catalog, seen).table[DUPLICATES].to_pylist() == ["a", None, "a"]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12))
def test_clusters_are_what_pairs_lead_to(links: list[tuple[int, int]]) -> None:
    ids = [f"f{number}" for number in range(10)]
    named = name_clusters(ids, [Pair(*link, 1.0) for link in links])
    for one, other in links:
        assert named[one] == named[other]
        assert (named[one] is None) == (one == other and not any({one} != {*link} and one in link for link in links))
    linked = {number for one, other in links if one != other for number in (one, other)}
    assert {number for number, name in enumerate(named) if name} == linked
    assert all(name in ids and named[ids.index(name)] == name for name in named if name)


def test_what_the_atlas_says_is_taken_over(write_field: WriteField, tmp_path: Path) -> None:
    known = catalog_of(
        write_field,
        tmp_path / "atlas",
        {f"atlas{number}": picture(number) for number in range(6)},
        antibody="HPA1",
        gene="TP53",
        well="A1",
    )
    fields = {"x": picture(4)[:, ::-1], "y": picture(40), "z": picture(2)[4:, 4:]}
    mine = catalog_of(write_field, tmp_path / "mine", fields, well="C3")
    made, found = copy_columns(mine, scan_catalog(mine), known, scan_catalog(known))
    assert found == 2
    assert [(entry.antibody, entry.gene, entry.well) for entry in made] == [
        ("HPA1", "TP53", "C3"), (None, None, "C3"), ("HPA1", "TP53", "C3"),
    ]  # fmt: skip


def ids_of(entries: Iterable[Entry]) -> list[str]:
    return [entry.id for entry in entries]


def test_rows_stay_in_order(write_field: WriteField, tmp_path: Path) -> None:
    catalog = catalog_of(write_field, tmp_path, {name: picture(1) for name in "cab"})
    assert ids_of(mark_duplicates(catalog, scan_catalog(catalog))) == list("cab")
