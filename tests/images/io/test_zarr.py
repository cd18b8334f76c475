"""OME-Zarr of both versions: fields and plates, by name."""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fixtures.zarrs import PIXELS, RGBY, STAINS, series, write

from lociscope.errors import LociscopeError, MissingExtraError
from lociscope.images.discovery.naming import Rules
from lociscope.images.discovery.sources import find_fields
from lociscope.images.io.container import parse_plane_ref
from lociscope.images.io.read import read_field
from lociscope.images.io.zarr import read_zarr as read_place
from lociscope.warnings import parse_warnings

if TYPE_CHECKING:
    from pathlib import Path

    from lociscope.images.io.picture import Picture


def read_zarr(folder: Path, plane: int | None = None) -> Picture:
    return read_place(parse_plane_ref(folder), plane)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize(
    ("axes", "shape"), [("cyx", (4, 12, 10)), ("tczyx", (1, 4, 1, 12, 10)), ("czyx", (4, 1, 12, 10))]
)
def test_an_image_comes_back(tmp_path: Path, version: str, axes: str, shape: tuple[int, ...]) -> None:
    picture = read_zarr(write(tmp_path / "a.zarr", version, PIXELS.reshape(shape), axes))
    assert (picture.names, picture.colour) == (STAINS, False)
    assert picture.pixel_size == pytest.approx(0.08)
    assert picture.pixels.dtype == np.uint16
    np.testing.assert_array_equal(picture.pixels, RGBY)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_field_by_name_in_any_order(tmp_path: Path, version: str) -> None:
    write(tmp_path / "a.ome.zarr", version, PIXELS[::-1], names=STAINS[::-1])
    for source in (tmp_path, tmp_path / "a.ome.zarr"):
        (found,), failures = find_fields([source])
        assert (found.id, failures) == ("a", [])
        field = read_field(found)
        np.testing.assert_array_equal(field.pixels, RGBY)
        assert field.pixel_size == pytest.approx(0.08)


def test_names_that_the_user_gives(tmp_path: Path) -> None:
    write(tmp_path / "a.zarr", names=())
    (found,), _ = find_fields([tmp_path])
    with pytest.raises(LociscopeError, match=r"found '0', '1', '2', '3'"):
        read_field(found)
    rules = Rules({"red": "0", "green": "1", "blue": "2", "yellow": "3"})
    np.testing.assert_array_equal(read_field(find_fields([tmp_path], rules)[0][0]).pixels, RGBY)


@pytest.mark.parametrize(("um", "unit", "expected"), [(80, "nanometer", 0.08), (8e-5, "millimeter", 0.08)])
def test_sizes_in_other_units(tmp_path: Path, um: float, unit: str, expected: float) -> None:
    picture = read_zarr(write(tmp_path / "a.zarr", um=um, unit=unit))
    assert picture.pixel_size == pytest.approx(expected)
    assert picture.warnings == ()


@pytest.mark.parametrize(
    ("um", "unit", "side", "expected", "note"),
    [
        (0.32, "", 512, 0.32, "pixel_size_unit_assumed"),
        (0.32, "", 20, None, "pixel_size_ignored: 0.32 without a unit"),  # 6 µm are no field
        (65.0, "", 512, None, "pixel_size_ignored: 65 without a unit"),
        (1e-7, "", 512, None, "pixel_size_ignored: 1e-07 without a unit"),
        (9.0, "", 1024, None, "pixel_size_ignored: 9 without a unit"),  # 9 mm are more than a field
        (0.08, "furlong", 512, None, "pixel_size_ignored: 0.08 furlong"),
        (None, "", 512, None, None),  # the 1 that the specification demands
    ],
)
def test_a_scale_without_a_unit_is_flagged(
    tmp_path: Path, um: float | None, unit: str, side: int, expected: float | None, note: str | None
) -> None:
    write(tmp_path / "a.zarr", pixels=np.ones((4, side, side), np.uint8), chunks=(1, side, side), um=um, unit=unit)
    (source,), _ = find_fields([tmp_path])
    field = read_field(source)
    assert (field.pixel_size, field.warnings) == (expected, parse_warnings([note] if note else []))
    (source,), _ = find_fields([tmp_path], Rules(pixel_size=0.5))
    assert (read_field(source).pixel_size, read_field(source).warnings) == (0.5, ())


def test_names_that_only_the_ome_xml_has(tmp_path: Path) -> None:
    """Its older versions name the channels in the OME-XML only."""
    folder = series(tmp_path / "a.zarr", "0.4")
    about = json.loads((folder / "1" / ".zattrs").read_text())
    del about["omero"]
    (folder / "1" / ".zattrs").write_text(json.dumps(about))
    channels = "".join(f'<Channel ID="Channel:1:{n}" Name="{name}"/>' for n, name in enumerate(STAINS))
    sizes = 'SizeX="10" SizeY="12" SizeC="4" SizeZ="1" SizeT="1" DimensionOrder="XYCZT"'
    xml = f'<OME xmlns="x"><Image ID="Image:0"/><Image><Pixels {sizes}>{channels}</Pixels></Image></OME>'
    (folder / "OME").mkdir()
    (folder / "OME" / "METADATA.ome.xml").write_text(xml)
    picture = read_zarr(folder / "1")
    assert picture.names == STAINS
    assert picture.pixel_size == pytest.approx(0.08)


def test_ome_xml_that_is_too_long_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = series(tmp_path / "a.zarr", "0.4", 1)
    (folder / "OME").mkdir()
    (folder / "OME" / "METADATA.ome.xml").write_text("<OME>" + " " * 9999 + "</OME>")
    monkeypatch.setattr("lociscope.images.io.zarr_layout._MOST_TEXT", 9999)
    assert read_zarr(folder / "0").names == STAINS
    assert [field.id for field in find_fields([folder])[0]] == ["a"]


def test_metadata_of_version_04_in_a_group_of_version_3(tmp_path: Path) -> None:
    folder = write(tmp_path / "a.zarr")
    about = json.loads((folder / "zarr.json").read_text())
    about["attributes"] = about["attributes"]["ome"]
    (folder / "zarr.json").write_text(json.dumps(about))
    np.testing.assert_array_equal(read_zarr(folder).pixels, RGBY)


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.int32, np.float64])
def test_signed_and_large_numbers_are_read_without_loss(tmp_path: Path, kind: type[np.generic]) -> None:
    pixels = (PIXELS % 128).astype(kind) - kind(100)
    picture = read_zarr(write(tmp_path / "a.zarr", pixels=pixels))
    assert picture.pixels.dtype == kind
    np.testing.assert_array_equal(picture.pixels, np.moveaxis(pixels, 0, -1))


def test_the_error_for_a_stack_names_the_option(tmp_path: Path) -> None:
    stack = np.stack([PIXELS, PIXELS[::-1]], axis=1)
    folder = write(tmp_path / "a.zarr", pixels=stack, axes="czyx")
    with pytest.raises(LociscopeError, match=r"\(2 along Z\). Pass `plane=N`"):
        read_zarr(folder)
    np.testing.assert_array_equal(read_zarr(folder, plane=1).pixels, RGBY[..., ::-1])
    with pytest.raises(LociscopeError, match="has no plane 2; it has 2, from 0"):
        read_zarr(folder, plane=2)
    both = write(tmp_path / "b.zarr", pixels=np.stack([stack, stack]), axes="tczyx")
    with pytest.raises(LociscopeError, match="2 along T and 2 along Z"):
        read_zarr(both, plane=0)


# === Refused ===


def test_no_metadata(tmp_path: Path) -> None:
    folder = write(tmp_path / "a.zarr")
    (folder / "zarr.json").unlink()
    with pytest.raises(LociscopeError, match=r"has no metadata of an OME-Zarr image. Copy the whole folder"):
        read_zarr(folder)
    (tmp_path / "b.zarr").write_text("a file")
    with pytest.raises(LociscopeError, match="has no metadata of an OME-Zarr image"):
        read_zarr(tmp_path / "b.zarr")


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_missing_chunk_and_missing_pixels(tmp_path: Path, version: str) -> None:
    folder = write(tmp_path / "a.zarr", version)
    chunk = next(path for path in sorted((folder / "0").rglob("*")) if path.is_file() and path.name[0].isdigit())
    chunk.unlink()
    with pytest.raises(LociscopeError, match=r"lacks 1 of its 16 chunks. Copy it again, or write empty chunks too"):
        read_zarr(folder)
    shutil.rmtree(folder / "0")
    with pytest.raises(LociscopeError, match=r"has no pixels at '0'. Copy the whole folder"):
        read_zarr(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"multiscales": []}, "has no metadata of an OME-Zarr image"),
        ({"multiscales": [{"axes": [], "datasets": [{"path": "../b.zarr/0"}]}]}, "which is not inside it"),
        ({"multiscales": [{"axes": [], "datasets": [{"path": "/etc"}]}]}, "which is not inside it"),
        ({"multiscales": [{"axes": [], "datasets": [{"path": "0"}]}]}, "is damaged"),
        ({"multiscales": [{"datasets": [{"path": "0"}]}]}, "is damaged"),
        ({"multiscales": [{"axes": ["c", "x", "y"], "datasets": [{"path": "0"}]}]}, "is damaged"),
        ({"multiscales": "all"}, "has no metadata"),
    ],
)
def test_odd_metadata(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    folder = write(tmp_path / "a.zarr", "0.4")
    (folder / ".zattrs").write_text(json.dumps(change))
    with pytest.raises(LociscopeError, match=said):
        read_zarr(folder)


def test_metadata_that_are_not_json_fail_one_field_only(tmp_path: Path) -> None:
    write(tmp_path / "a.zarr")
    folder = write(tmp_path / "b.zarr", "0.4")
    (folder / ".zattrs").write_text("{")
    found, failures = find_fields([tmp_path])
    assert ([field.id for field in found], [failure.id for failure in failures]) == (["a"], ["b"])
    assert "b.zarr/.zattrs' is damaged" in failures[0].reason


def test_several_images_in_one_group(tmp_path: Path) -> None:
    """As pymmcore-plus before 0.13 wrote positions: the first one must not stand for all."""
    folder = write(tmp_path / "a.zarr", "0.4")
    about = json.loads((folder / ".zattrs").read_text())
    about["multiscales"] += [{**about["multiscales"][0], "datasets": [{"path": "p1"}]}]
    (folder / ".zattrs").write_text(json.dumps(about))
    with pytest.raises(LociscopeError, match=r"is a group of 2 images. Save each field as a separate Zarr"):
        read_zarr(folder)


def test_a_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "a.zarr")
    about = json.loads((folder / "0" / "zarr.json").read_text())
    about["shape"] = [4, 60_000, 60_000]
    (folder / "0" / "zarr.json").write_text(json.dumps(about))
    with pytest.raises(LociscopeError, match="claims 60000 × 60000 pixels"):
        read_zarr(folder)
    about["chunk_grid"]["configuration"]["chunk_shape"] = [1, 60_000, 60_000]
    (folder / "0" / "zarr.json").write_text(json.dumps(about))
    with pytest.raises(LociscopeError, match="has more than"):
        read_zarr(folder)


def test_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "a.zarr")
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(MissingExtraError, match=r"needs the extra 'zarr'. Install it: pip install 'lociscope\[zarr\]'"):
        read_zarr(folder)
