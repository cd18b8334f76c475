"""Plates, series of images, parts of them, and archives of them: every image by its name, the absent ones listed."""

from __future__ import annotations

import json
import os
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from fixtures.zarrs import PIXELS, RGBY, STAINS, group, plate, series, write, zipped

from lociscope.errors import LociscopeError
from lociscope.images.discovery.naming import Rules
from lociscope.images.discovery.sources import FieldSource, find_fields
from lociscope.images.io.container import PlaneRef, parse_plane_ref
from lociscope.images.io.read import read_field
from lociscope.images.io.zarr_layout import find_groups

pytest.importorskip("zarr")
VERSIONS = pytest.mark.parametrize("version", ["0.4", "0.5"])


def ids(found: list[FieldSource]) -> list[str]:
    return [field.id for field in found]


def assert_numbered(found: list[FieldSource]) -> None:
    for number, field in enumerate(found):
        np.testing.assert_array_equal(read_field(field).pixels, RGBY + number)


@VERSIONS
def test_a_plate(tmp_path: Path, version: str) -> None:
    folder = plate(tmp_path / "P7.zarr", version)
    found, failures = find_fields([folder])
    assert (ids(found), failures) == (["P7_B03_0", "P7_B03_1", "P7_B04_0", "P7_B04_1"], [])
    assert_numbered(found)
    assert found[2].about == (("plate", "P7"), ("well", "B04"), ("site", "0"))
    named = Rules({"red": "GFP", "green": "Tubulin"})
    assert read_field(find_fields([folder], named)[0][0]).pixels[0, 0].tolist() == RGBY[0, 0, [1, 0, 2, 3]].tolist()


@VERSIONS
@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("B/04/1", ["P7_B04_1"]),
        ("B/04", ["P7_B04_0", "P7_B04_1"]),
        ("B", ["P7_B03_0", "P7_B03_1", "P7_B04_0", "P7_B04_1"]),
    ],
)
def test_a_part_of_a_plate_is_named_as_in_the_plate(
    tmp_path: Path, version: str, part: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = plate(tmp_path / "P7.zarr", version)
    if version == "0.5":
        group(folder / "B", version, {})
    whole = {field.id: field for field in find_fields([folder])[0]}
    if version == "0.5" or part != "B":
        found, failures = find_fields([folder / part])
        assert (ids(found), failures) == (expected, [])
        assert found == [whole[name] for name in expected]
    monkeypatch.chdir(folder / "B" / "04")
    (found, _) = find_fields([Path("1")])
    assert ids(found) == ["P7_B04_1"]
    np.testing.assert_array_equal(read_field(found[0]).pixels, RGBY + 3)


@VERSIONS
def test_missing_wells_and_fields_are_listed_and_the_others_read(tmp_path: Path, version: str) -> None:
    folder = plate(tmp_path / "P7.zarr", version, ("A/1", "A/2", "A/3", "A/4"))
    shutil.rmtree(folder / "A" / "1" / "1")
    shutil.rmtree(folder / "A" / "2")
    shutil.rmtree(folder / "A" / "3")
    (folder / "A" / "3").mkdir()
    (folder / "A" / "4" / ("zarr.json" if version == "0.5" else ".zattrs")).write_text("{")
    found, failures = find_fields([tmp_path])
    assert ids(found) == ["P7_A1_0"]
    np.testing.assert_array_equal(read_field(found[0]).pixels, RGBY)
    assert [(failure.id, failure.path) for failure in failures] == [
        (name, str(folder)) for name in ("P7_A1_1", "P7_A2", "P7_A3", "P7_A4")
    ]
    reasons = [failure.reason for failure in failures]
    assert reasons[0] == (
        f"'{folder}' lists the image 'A/1/1', which is missing. Copy the folder again, or take it off the list."
    )
    for reason, well in zip(reasons[1:3], ("A/2", "A/3"), strict=True):
        assert f"lists the well '{well}', which has no field. Copy the folder again" in reason
    assert "is damaged or truncated" in reasons[3]


@VERSIONS
@pytest.mark.parametrize("named", [True, False])
def test_series_of_bioformats2raw(tmp_path: Path, version: str, named: bool) -> None:
    folder = series(tmp_path / "run.ome.zarr", version, 3, named)
    found, failures = find_fields([tmp_path])
    assert (ids(found), failures) == (["run_0", "run_1", "run_2"], [])
    assert found[1].about == (("site", "1"),)
    assert_numbered(found)
    assert find_fields([folder])[0] == found
    assert find_fields([folder / "1"])[0] == [found[1]]
    shutil.rmtree(folder / "2")
    found, failures = find_fields([folder])
    assert ids(found) == ["run_0", "run_1"]
    assert [failure.id for failure in failures] == (["run_2"] if named else [])


@VERSIONS
def test_one_image_of_bioformats2raw_is_called_after_its_folder(tmp_path: Path, version: str) -> None:
    folder = series(tmp_path / "a.zarr", version, 1)
    (folder / "OME").mkdir()
    (folder / "OME" / "METADATA.ome.xml").write_text("<OME/>")
    for source in (tmp_path, folder, folder / "0"):
        found, failures = find_fields([source])
        assert (ids(found), failures) == (["a"], [])
        np.testing.assert_array_equal(read_field(found[0]).pixels, RGBY)


def test_images_that_only_the_ome_xml_lists(tmp_path: Path) -> None:
    folder = series(tmp_path / "a.zarr", "0.4", 1)
    (folder / "OME").mkdir()
    (folder / "OME" / "METADATA.ome.xml").write_text('<OME><Image ID="Image:0"/><Image ID="Image:1"></Image></OME>')
    found, failures = find_fields([folder])
    assert (ids(found), [failure.id for failure in failures]) == (["a_0"], ["a_1"])
    assert "lists the image '1', which is missing" in failures[0].reason


def test_a_group_of_any_name(tmp_path: Path) -> None:
    folder = write(tmp_path / "experiment")
    (found,), _ = find_fields([folder])
    assert found.id == "experiment"
    np.testing.assert_array_equal(read_field(found).pixels, RGBY)
    rules = Rules({"red": "GFP", "green": "Tubulin"})
    assert read_field(find_fields([folder], rules)[0][0]).pixels[0, 0, 0] == RGBY[0, 0, 1]


@pytest.mark.parametrize(
    "about",
    [{"plate": "all"}, {"plate": {"wells": 3}}, {"plate": {"wells": [3]}}, {"plate": {"wells": [{"path": "../b"}]}}],
)
def test_a_damaged_list_fails_one_field_only(tmp_path: Path, about: dict[str, object]) -> None:
    write(tmp_path / "a.zarr")
    group(tmp_path / "b.zarr", "0.5", about)
    found, failures = find_fields([tmp_path])
    assert (ids(found), [failure.id for failure in failures]) == (["a"], ["b"])
    assert re.search(
        r"b.zarr' (is damaged or truncated|names the path '../b', which is not inside it)", failures[0].reason
    )


# === Archives ===


@VERSIONS
@pytest.mark.parametrize("root", ["", "a.zarr", "x/other"])
@pytest.mark.parametrize("name", ["a.zarr.zip", "a.ome.zarr.zip", "a.ozx"])
def test_an_archive_of_one_zarr(tmp_path: Path, version: str, root: str, name: str) -> None:
    path = zipped(write(tmp_path / "w", version), tmp_path / name, root)
    for source in (tmp_path, path):
        found, failures = find_fields([source])
        assert (ids(found), failures) == (["a"], [])
        field = read_field(found[0])
        np.testing.assert_array_equal(field.pixels, RGBY)
        assert field.pixel_size == pytest.approx(0.08)
    rules = Rules({"red": "GFP", "green": "Tubulin"})
    (named,), _ = find_fields([path], rules)
    assert named.planes[0] is not None
    assert named.planes[0].channel == "GFP"
    np.testing.assert_array_equal(read_field(named).pixels, RGBY[..., [1, 0, 2, 3]])


def test_shards_in_an_archive(tmp_path: Path) -> None:
    folder = write(tmp_path / "w", chunks=(1, 4, 4), shards=(1, 8, 8))
    path = zipped(folder, tmp_path / "a.zarr.zip")
    np.testing.assert_array_equal(read_field(find_fields([path])[0][0]).pixels, RGBY)
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(tmp_path / "b.zarr.zip", "w") as part:
        for member in whole.namelist():
            if member != "0/c/2/0/0":
                part.writestr(member, whole.read(member))
    (found,), _ = find_fields([tmp_path / "b.zarr.zip"])
    with pytest.raises(LociscopeError, match="lacks 4 of its 36 chunks"):
        read_field(found)


def test_plates_and_series_in_an_archive(tmp_path: Path) -> None:
    path = zipped(plate(tmp_path / "w", "0.4"), tmp_path / "P7.zarr.zip")
    found, failures = find_fields([path])
    assert (ids(found), failures) == (["P7_B03_0", "P7_B03_1", "P7_B04_0", "P7_B04_1"], [])
    assert_numbered(found)
    path = zipped(series(tmp_path / "w"), tmp_path / "run.ozx")
    assert_numbered(find_fields([path])[0])


def test_several_zarrs_and_pictures_in_an_archive(tmp_path: Path) -> None:
    work = tmp_path / "w"
    write(work / "x" / "a.zarr")
    write(work / "b.zarr", pixels=PIXELS + np.uint16(1))
    (work / "c_red.png").write_bytes(b"")
    path = zipped(work, tmp_path / "all.zip")
    found, failures = find_fields([path])
    assert (ids(found), [failure.id for failure in failures]) == (["a", "b"], ["c"])
    assert_numbered(found)
    assert find_groups(["0/zarr.json", "zarr.json", "b/x"]) == [""]
    assert find_groups(["a/.zgroup", "a/0/.zattrs", "ab/zarr.json", "b"]) == ["a", "ab"]


@pytest.mark.parametrize("flag", ["cut", "text", "bomb"])
def test_damaged_archives(tmp_path: Path, flag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "b.zarr")
    path = zipped(write(tmp_path / "w"), tmp_path / "a.zarr.zip")
    if flag == "cut":
        path.write_bytes(path.read_bytes()[:-30])
    elif flag == "text":
        path.write_text("no archive")
    else:
        monkeypatch.setattr("lociscope.images.io.picture.MAX_BYTES", 100)
    found, failures = find_fields([tmp_path])
    reasons = {failure.id: failure.reason for failure in failures}
    if flag == "bomb":
        with pytest.raises(LociscopeError) as caught:
            read_field(found[0])
        reasons["a"] = str(caught.value)
    assert ids(found)[-1] == "b"
    assert re.search(r"a.zarr.zip.*(is not a zip archive, or is truncated|has more than the)", reasons["a"])


def test_an_archive_without_the_pixels(tmp_path: Path) -> None:
    work = write(tmp_path / "w")
    shutil.rmtree(work / "0")
    (found,), _ = find_fields([zipped(work, tmp_path / "a.zarr.zip")])
    with pytest.raises(LociscopeError, match=r"a.zarr.zip!.' has no pixels at '0'"):
        read_field(found)


def test_names_that_lead_out_of_an_archive(tmp_path: Path) -> None:
    write(tmp_path / "secret")
    path = tmp_path / "a.zarr.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../secret/zarr.json", "{}")
        archive.writestr(
            "zarr.json", json.dumps({"attributes": {"ome": {"plate": {"wells": [{"path": "../secret"}]}}}})
        )
    found, failures = find_fields([path])
    assert found == []
    assert "names the path '../secret', which is not inside it" in failures[0].reason


def test_a_catalog_of_zarrs(tmp_path: Path) -> None:
    """What `import` writes is found again."""
    from lociscope.artifacts.catalog import Catalog
    from lociscope.data.importing import import_folder, import_plate

    work = tmp_path / "w"
    work.mkdir()
    plate(work / "P7.zarr")
    shutil.rmtree(work / "P7.zarr" / "B" / "04")
    zipped(series(work / "s"), work / "run.zarr.zip")
    catalog, failures = import_folder(work, None, tmp_path, Rules({"red": STAINS[0]}))
    catalog.write(tmp_path / "c.parquet")
    assert (catalog.ids, [failure.id for failure in failures]) == (
        ["P7_B03_0", "P7_B03_1", "run_0", "run_1"],
        ["P7_B04"],
    )
    again, _ = find_fields([tmp_path / "c.parquet"])
    assert_numbered(again[:2])
    assert_numbered(again[2:])
    rows, _ = import_plate(work / "P7.zarr", None, tmp_path)
    assert [(row.plate, row.well, row.site) for row in rows] == [("P7", "B03", "0"), ("P7", "B03", "1")]
    assert isinstance(rows, Catalog)


def test_locations_in_archives() -> None:
    assert parse_plane_ref(Path("a.zarr.zip!.!DAPI")) == PlaneRef(Path("a.zarr.zip"), ".", "DAPI")
    assert parse_plane_ref(Path("x/a.ozx!./A/1/0")) == PlaneRef(Path("x/a.ozx"), "./A/1/0")
    assert parse_plane_ref(Path("x/a.zip!./b/c!ER (x)")) == PlaneRef(Path("x/a.zip"), "./b/c", "ER (x)")
    assert parse_plane_ref(Path(os.path.relpath("/x/a.zip!./b"))).member == "./b"
