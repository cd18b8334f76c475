"""Groups: connected components over columns, named after specimen, antibody or id."""

from __future__ import annotations

from pathlib import Path

from lociscope.artifacts.catalog import Catalog, Entry
from lociscope.splits.groups import connected_components, find_group_columns, group_ids, number_groups


def catalog(*rows: tuple[str | None, str | None]) -> Catalog:
    """Fields f0, f1, … of (specimen, antibody)."""
    entries = [
        Entry(f"f{number}", (0,), specimen=specimen, antibody=antibody)
        for number, (specimen, antibody) in enumerate(rows)
    ]
    return Catalog.from_entries(entries, Path())


def test_fields_that_share_a_specimen_or_an_antibody_are_one_group() -> None:
    fields = catalog(("s1", "a1"), ("s2", "a1"), ("s2", None), (None, "a2"), (None, None))
    assert group_ids(fields) == ["s1", "s1", "s1", "a2", "f4"]
    assert group_ids(fields, ["specimen"]) == ["s1", "s2", "s2", "f3", "f4"]
    assert group_ids(fields, []) == ["f0", "f1", "f2", "f3", "f4"]


def test_with_one_column_the_group_is_its_value() -> None:
    assert group_ids(catalog(("s1", None), ("s2", None), ("s1", None))) == ["s1", "s2", "s1"]
    assert group_ids(catalog((None, "a1"), (None, None), (None, "a1"))) == ["a1", "f1", "a1"]


def test_a_specimen_and_an_antibody_of_one_name_are_two_groups() -> None:
    assert len({*group_ids(catalog(("x", "a1"), (None, "x")))}) == 2


def test_columns_without_values_are_not_used() -> None:
    fields = catalog(("s1", None), (None, None))
    assert find_group_columns(fields) == ("specimen",)
    assert find_group_columns(fields.with_column("specimen", [None, None])) == ()


def test_values_need_not_be_text() -> None:
    fields = catalog((None, None), (None, None), (None, None)).with_column("fold", [1, 2, 1])
    assert group_ids(fields, ["fold"]) == ["f0", "f1", "f0"]


def test_numbers_of_groups() -> None:
    assert number_groups(["b", "a", "b", "c"]) == ["0", "1", "0", "3"]


def test_components_by_hand() -> None:
    assert connected_components(5, [(3, 1), (1, 0)]) == [0, 0, 2, 0, 4]
