"""Finding fields by the names of their files."""

from __future__ import annotations

import csv
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from fixtures.pixels import patches
from PIL import Image

from lociscope.artifacts.catalog import Catalog, Entry
from lociscope.channels import CHANNEL_NAMES
from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.naming import Rules
from lociscope.images.discovery.sources import Failure, FieldSource, find_fields, read_catalog_sources, write_failures
from lociscope.images.io.container import PlaneRef
from lociscope.images.io.read import read_field

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
    assert found[0] == FieldSource("a", tuple(PlaneRef(folder / name) for name in planes("a")))
    assert failures == []


@pytest.mark.parametrize(
    "name", ["a 1", "it's", 'say "a"', "a\nb", "é", "细胞", "a_b", "a.b", "-a", "a;b,c", "🧫", "\t"]
)
def test_strange_names_are_found_and_read(write_field: WriteField, name: str) -> None:
    folder = write_field(name, size=4, seed=7)
    (source,), failures = find_fields([folder])
    assert (source.id, failures) == (name, [])
    np.testing.assert_array_equal(read_field(source).pixels, patches((4, 4, 4), 7))


@pytest.mark.parametrize("name", ["a\rb", os.fsdecode(b"\xe9")])
def test_names_that_tables_cannot_contain_are_failures(tmp_path: Path, name: str) -> None:
    folder = touch(tmp_path / "fields", *planes(name), *planes("a1"))
    found, failures = find_fields([folder])
    assert [source.id for source in found] == ["a1"]
    assert len(failures) == 1
    assert "has a character that tables cannot contain. Rename its files." in failures[0].reason
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
    assert failures == [
        Failure("a", str(folder), f"Field 'a' has two green files, {names}. Keep one of them.", Code.DUPLICATE)
    ]


@pytest.mark.parametrize("channel", CHANNEL_NAMES)
def test_a_missing_channel(tmp_path: Path, channel: str) -> None:
    folder = touch(tmp_path, *planes("a", without=channel), *planes("b"))
    found, failures = find_fields([folder])
    assert [source.id for source in found] == ["b"]
    here = ", ".join(name for name in CHANNEL_NAMES if name != channel)
    do_without = ", or pass `allow_missing=yellow`" if channel == "yellow" else ""
    reason = f"Field 'a' has no _{channel} file (found {here}). Add 'a_{channel}.png'{do_without}."
    assert failures == [Failure("a", str(folder), reason, Code.MISSING_CHANNEL)]


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
        f"The id 'a' comes from two locations, '{one / 'a_red.png'}' and '{two / 'a_red.png'}'. "
        "Predict them one after the other, or rename one."
    )


def test_a_catalog_and_its_folder(tmp_path: Path) -> None:
    folder = touch(tmp_path, *planes("a"))
    red, green, blue, yellow = planes("a")
    entry = Entry("a", red=red, green=green, blue=blue, yellow=yellow, pixel_size=0.08)
    Catalog.from_entries([entry], folder).write(folder / "catalog.parquet")
    found, failures = find_fields([folder / "catalog.parquet", folder])
    assert failures == []
    assert found == read_catalog_sources(Catalog.read(folder / "catalog.parquet"))
    assert found[0].pixel_size == 0.08


def test_what_macos_leaves_beside_files_is_passed_over(tmp_path: Path) -> None:
    folder = touch(tmp_path, *planes("a"), *(f"._{name}" for name in planes("a")))
    found, failures = find_fields([folder])
    assert ([source.id for source in found], failures) == (["a"], [])


def test_sources_without_fields(tmp_path: Path) -> None:
    empty = touch(tmp_path / "empty")
    photos = touch(tmp_path / "photos", "cat.jpg", "dog.jpg", "eel.jpg", "fox.jpg")
    notes = touch(tmp_path / "notes", "notes.pdf") / "notes.pdf"
    outer = tmp_path / "outer"
    outer.mkdir()
    touch(outer / "fields", *planes("a"))
    for source, said in (
        (empty, "has no field: expected files like a1_red.png, .* it is empty. Name the folder of the images."),
        (photos, "found cat.jpg, dog.jpg, eel.jpg …"),
        (outer, f"'{outer}' has no field, but its folder 'fields' does. Name '{outer / 'fields'}'."),
        (tmp_path / "none", "does not exist. Check the path."),
        (photos / "cat.jpg", "'cat.jpg' does not name its channel: expected <id>_red.png"),
        (notes, "notes.pdf' is not an image, archive or table that lociscope reads. Expected .png, "),
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


# === Other containers, and what a user says ===


def test_a_zip_archive_is_read_without_unpacking(tmp_path: Path, write_field: WriteField) -> None:
    folder = write_field("a1", seed=3)
    with zipfile.ZipFile(tmp_path / "train.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
            archive.write(path, f"deep/down/b2_{path.name.partition('_')[2]}")
            archive.write(path, f"../../c3_{path.name.partition('_')[2]}")
        archive.writestr("inner.zip", b"PK")
        archive.writestr("train.csv", "Id,Target")
    found, failures = find_fields([tmp_path / "train.zip"])
    assert ([source.id for source in found], failures) == (["a1", "b2"], [])
    expected = read_field(find_fields([folder])[0][0]).pixels
    for source in found:
        np.testing.assert_array_equal(read_field(source).pixels, expected)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fields", "train.zip"]  # nothing was unpacked


def test_zip_archives_without_fields(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train.csv", "Id,Target")
    with pytest.raises(LociscopeError, match=r"a.zip' has no field: .* found train.csv"):
        find_fields([path])
    path.write_bytes(b"PK")
    with pytest.raises(LociscopeError, match="is not a zip archive"):
        find_fields([path])


def test_formats_may_be_mixed_and_a_channel_comes_once(tmp_path: Path) -> None:
    touch(tmp_path, "a_red.tif", "a_green.jpg", "a_blue.png.gz", "a_yellow.ome.tiff", *planes("b"), "b_DAPI.tif")
    found, failures = find_fields([tmp_path])
    assert [source.id for source in found] == ["a"]
    assert failures[0].reason == "Field 'b' has two blue files, 'b_DAPI.tif' and 'b_blue.png'. Keep one of them."


def test_stacks_and_the_names_that_a_user_gives(tmp_path: Path) -> None:
    touch(tmp_path, "a.tif")
    (plain,), _ = find_fields([tmp_path])
    assert plain == FieldSource("a", (PlaneRef(tmp_path / "a.tif"),) * 4)
    (named,), _ = find_fields([tmp_path], Rules({"red": "Ch 1"}, pixel_size=0.1, plane=3))
    assert named == FieldSource(
        "a", (PlaneRef(tmp_path / "a.tif", channel="Ch 1"), *(PlaneRef(tmp_path / "a.tif"),) * 3), 0.1, 3
    )


def test_the_users_names_are_those_of_planes_in_a_catalogs_file_too(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,red,green,blue,yellow\na,a.tif,a.tif,a.tif,a.tif\nb,r.tif,g.tif,b.tif,y.tif\n")
    (one, two), _ = find_fields([tmp_path / "t.csv"], Rules({"red": "2", "green": "1"}))
    assert one.planes == tuple(PlaneRef(tmp_path / "a.tif", channel=channel) for channel in ("2", "1", "", ""))
    assert two.planes == tuple(PlaneRef(tmp_path / f"{letter}.tif") for letter in "rgby")
    rgba = np.random.default_rng(0).integers(0, 256, (5, 4, 4), np.uint8)
    Image.fromarray(rgba).save(tmp_path / "a.png")
    (tmp_path / "t.csv").write_text("id,red,green,blue,yellow\na,a.png!2,a.png!3,a.png!0,a.png!1\n")
    (source,), _ = find_fields([tmp_path / "t.csv"])
    np.testing.assert_array_equal(read_field(source).pixels, rgba[..., [2, 3, 0, 1]])


def test_a_missing_channel_that_is_allowed(write_field: WriteField) -> None:
    folder = write_field("a1")
    (folder / "a1_yellow.png").unlink()
    (source,), failures = find_fields([folder], Rules(allow_missing=("yellow",)))
    assert failures == []
    field = read_field(source)
    assert field.missing == ("yellow",)
    assert not field.pixels[..., 3].any()
    (folder / "a1_red.png").unlink()
    (failure,) = find_fields([folder], Rules(allow_missing=("yellow",)))[1]
    assert failure.reason == "Field 'a1' has no _red file (found green, blue). Add 'a1_red.png'."


def test_composites_only_where_the_er_may_be_missing(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(rgb).save(tmp_path / "a.png")
    Image.fromarray(rgb).save(tmp_path / "b.tif")
    (source,), _ = find_fields([tmp_path])
    assert source.id == "b"
    with pytest.raises(LociscopeError, match="is an RGB composite, which has no ER"):
        read_field(source)
    found, _ = find_fields([tmp_path], Rules(allow_missing=("yellow",)))
    assert [source.id for source in found] == ["a", "b"]
    for source in found:
        field = read_field(source)
        assert field.missing == ("yellow",)
        np.testing.assert_array_equal(field.pixels[..., :3], rgb)


LEICA = "image--L0000--S00--U01--V00--J08--E02--O00--X00--Y00--T0000--Z00"


@pytest.mark.parametrize("told", [True, False])
def test_leicas_matrix_names(tmp_path: Path, told: bool) -> None:
    """Their metadata say which channel is which; where they do not, the user does."""
    order, stains = (2, 1, 3, 0), ("Tubulin", "GFP", "DAPI", "Calreticulin")
    pixels = np.random.default_rng(0).integers(0, 4096, (4, 6, 5), np.uint16)
    for at, channel in enumerate(order):
        metadata = {"axes": "YX", **({"Channel": {"Name": [stains[channel]]}} if told else {})}
        path = tmp_path / f"{LEICA}--C{at:02d}.ome.tif"
        tifffile.imwrite(path, pixels[channel], ome=True, photometric="minisblack", metadata=metadata)
    (source,), failures = find_fields([tmp_path])
    assert (source.id, failures) == (LEICA, [])
    if told:
        np.testing.assert_array_equal(read_field(source).pixels, np.moveaxis(pixels, 0, -1))
        assert {path.name[-11:-8] for path in source.refs} == {"C00", "C01", "C02", "C03"}
        (tmp_path / f"{LEICA}--C03.ome.tif").unlink()
        with pytest.raises(LociscopeError, match=r"has no red file \(found blue, green, yellow\)"):
            read_field(find_fields([tmp_path])[0][0])
        return
    with pytest.raises(LociscopeError, match=r"C00.ome.tif' names its channel ''. Pass `channels=red=C00,green=C01"):
        read_field(source)
    rules = Rules({"blue": "C00", "green": "C01", "yellow": "C02", "red": "C03"})
    (source,), _ = find_fields([tmp_path], rules)
    np.testing.assert_array_equal(read_field(source).pixels, np.moveaxis(pixels, 0, -1))
    (failure,) = find_fields([tmp_path], Rules({"blue": "C00"}))[1]
    assert "has files with and without a known channel" in failure.reason


def test_names_by_a_pattern(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{name}-P1-B02.tif" for name in ("DAPI", "GFP", "ER", "TRITC")), "a.tif", "notes.csv")
    (source,), failures = find_fields([tmp_path], Rules(pattern="{channel}-{plate}-{well}"))
    assert (source.id, failures) == ("P1_B02", [])
    assert [path.name.partition("-")[0] for path in source.refs] == ["TRITC", "GFP", "DAPI", "ER"]
    with pytest.raises(LociscopeError, match=r"has no file like '{plate}_{channel}', found DAPI-P1-B02.tif"):
        find_fields([tmp_path], Rules(pattern="{plate}_{channel}"))


def test_real_pictures_of_other_kinds(real_data: Path) -> None:
    for name, number, kind in (("hpa_website", 1, (2048, 2048, 4)), ("cm4ai", 5, (2048, 2048, 4))):
        found, failures = find_fields([real_data / name])
        assert (len(found), failures) == (number, [])
        assert read_field(found[0]).pixels.shape == kind
    found, failures = find_fields([real_data / "hpa_dictionary"], Rules(allow_missing=("yellow",), pixel_size=0.085))
    assert (len(found), failures) == (35, [])
    assert {read_field(source).missing for source in found[::7]} == {("yellow",)}
