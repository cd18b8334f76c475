"""Finding fields by the names of their files."""

import csv
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lociscope.catalog import Catalog, Entry
from lociscope.channels import CHANNEL_NAMES
from lociscope.errors import LociscopeError
from lociscope.images.read import read_field
from lociscope.images.sources import Failure, FieldSource, find_fields, of_catalog, write_failures

WriteField = Callable[..., Path]


def touch(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def planes(identifier: str, without: str = "") -> list[str]:
    return [f"{identifier}_{name}.png" for name in CHANNEL_NAMES if name != without]


def test_the_fields_of_a_folder_in_the_order_of_their_names(tmp_path: Path) -> None:
    folder = touch(
        tmp_path, *planes("b"), *planes("a_red"), *planes("a"), "train.csv", ".DS_Store", "notes.txt", "red.png"
    )
    found, failures = find_fields([folder])
    assert [source.id for source in found] == ["a", "a_red", "b"]
    assert found[0] == FieldSource("a", tuple(folder / name for name in planes("a")))
    assert failures == []


@pytest.mark.parametrize(
    "name", ["a 1", "it's", 'say "a"', "a\nb", "é", "细胞", "a_b", "a.b", "-a", "a;b,c", "🧫", "\t"]
)
def test_strange_names_are_found_and_read(write_field: WriteField, name: str) -> None:
    folder = write_field(name, size=4, seed=7)
    (source,), failures = find_fields([folder])
    assert (source.id, failures) == (name, [])
    expected = np.random.default_rng(7).integers(0, 256, (4, 4, 4), np.uint8)
    np.testing.assert_array_equal(read_field(source).pixels, expected)


@pytest.mark.parametrize("name", ["a\rb", os.fsdecode(b"\xe9")])
def test_names_that_no_table_can_hold_are_failures(tmp_path: Path, name: str) -> None:
    folder = touch(tmp_path / "fields", *planes(name), *planes("a1"))
    found, failures = find_fields([folder])
    assert [source.id for source in found] == ["a1"]
    assert len(failures) == 1
    assert "holds a character that no table can hold. Rename its files." in failures[0].reason
    write_failures(failures, tmp_path / "failures.csv")
    assert "Rename" in (tmp_path / "failures.csv").read_text(encoding="utf-8")


def test_files_may_be_named_one_by_one_in_any_order_and_more_than_once(tmp_path: Path) -> None:
    folder = touch(tmp_path, *planes("a"), *planes("b"))
    files = [folder / name for name in reversed(planes("a"))]
    assert [source.id for source in find_fields([*files, *files])[0]] == ["a"]
    found, failures = find_fields([folder, *files, Path(os.path.relpath(folder))])
    assert ([source.id for source in found], failures) == (["a", "b"], [])


def test_capital_letters_in_channel_and_suffix(tmp_path: Path) -> None:
    folder = touch(tmp_path, "a_RED.PNG", "a_Green.png", "a_blue.Png", "a_yellow.png")
    (source,), _ = find_fields([folder])
    assert [path.name for path in source.planes if path] == ["a_RED.PNG", "a_Green.png", "a_blue.Png", "a_yellow.png"]


@pytest.mark.parametrize("second", ["a_GREEN.png", "a_green.PNG"])
def test_two_green_files(tmp_path: Path, second: str) -> None:
    folder = touch(tmp_path, *planes("a"), second, *planes("b"))
    found, failures = find_fields([folder])
    assert [source.id for source in found] == ["b"]
    names = " and ".join(f"'{name}'" for name in sorted(["a_green.png", second]))
    assert failures == [Failure("a", str(folder), f"Field 'a' has two green files, {names}. Keep one of them.")]


@pytest.mark.parametrize("channel", CHANNEL_NAMES)
def test_a_missing_channel(tmp_path: Path, channel: str) -> None:
    folder = touch(tmp_path, *planes("a", without=channel), *planes("b"))
    found, failures = find_fields([folder])
    assert [source.id for source in found] == ["b"]
    here = ", ".join(name for name in CHANNEL_NAMES if name != channel)
    reason = f"Field 'a' has no _{channel} file (found {here}). Add 'a_{channel}.png'."
    assert failures == [Failure("a", str(folder), reason)]


def test_planes_of_two_folders_are_not_mixed(tmp_path: Path) -> None:
    one = touch(tmp_path / "one", *planes("a", without="green"))
    two = touch(tmp_path / "two", "a_green.png")
    found, failures = find_fields([one, two])
    assert found == []
    assert [(failure.id, failure.path) for failure in failures] == [("a", str(one)), ("a", str(two))]


def test_an_id_that_comes_from_two_folders(tmp_path: Path) -> None:
    one = touch(tmp_path / "one", *planes("a"), *planes("b"))
    two = touch(tmp_path / "two", *planes("a"))
    found, failures = find_fields([one, two])
    assert [source.id for source in found] == ["b"]
    assert len(failures) == 1
    assert failures[0].id == "a"
    assert failures[0].reason == (
        f"The id 'a' comes from two places, '{one / 'a_red.png'}' and '{two / 'a_red.png'}'. "
        "Predict them one after the other, or rename one."
    )


def test_a_catalog_and_the_folder_that_it_tells_of(tmp_path: Path) -> None:
    folder = touch(tmp_path, *planes("a"))
    red, green, blue, yellow = planes("a")
    entry = Entry("a", red=red, green=green, blue=blue, yellow=yellow, pixel_size=0.08)
    Catalog.of([entry], folder).write(folder / "catalog.parquet")
    found, failures = find_fields([folder / "catalog.parquet", folder])
    assert failures == []
    assert found == of_catalog(Catalog.read(folder / "catalog.parquet"))
    assert found[0].pixel_size == 0.08


def test_what_macos_leaves_beside_files_is_passed_over(tmp_path: Path) -> None:
    folder = touch(tmp_path, *planes("a"), *(f"._{name}" for name in planes("a")))
    found, failures = find_fields([folder])
    assert ([source.id for source in found], failures) == (["a"], [])


def test_sources_that_hold_nothing(tmp_path: Path) -> None:
    empty = touch(tmp_path / "empty")
    photos = touch(tmp_path / "photos", "cat.jpg", "dog.jpg", "eel.jpg", "fox.jpg")
    outer = tmp_path / "outer"
    outer.mkdir()
    touch(outer / "fields", *planes("a"))
    for source, said in (
        (empty, "holds no field: expected files like a1_red.png, .* it is empty. Name the folder of the pictures."),
        (photos, "found cat.jpg, dog.jpg, eel.jpg …"),
        (outer, f"'{outer}' holds no field, its folder 'fields' does. Name '{outer / 'fields'}'."),
        (tmp_path / "none", "does not exist. Check the path."),
        (photos / "cat.jpg", "'cat.jpg' does not say which channel it is: expected <id>_red.png"),
        (tmp_path / "none.parquet", "Cannot read Catalog"),
        (tmp_path / ("n" * 300), "File name too long"),
    ):
        with pytest.raises(LociscopeError, match=said):
            find_fields([source])


def test_failures_are_listed_and_an_old_list_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "out.failures.csv"
    failures = [Failure('a "1"', "here, there", "line one\nline two"), Failure("b", "c", "d")]
    write_failures(failures, path)
    with path.open(newline="", encoding="utf-8") as file:
        assert [Failure(**row) for row in csv.DictReader(file)] == failures
    write_failures([], path)
    write_failures([], path)
    assert list(tmp_path.iterdir()) == []
    touch(tmp_path, "file")
    for each in (failures, []):
        with pytest.raises(LociscopeError, match=r"Cannot write .*Not a directory|Cannot write .*File exists"):
            write_failures(each, tmp_path / "file" / "out.csv")


def test_real_fields(real_data: Path) -> None:
    found, failures = find_fields([real_data / "hpa2018" / "train"])
    assert (len(found), failures) == (56, [])
    with pytest.raises(LociscopeError, match="its folder 'train' does"):
        find_fields([real_data / "hpa2018"])
