"""Fields as the competition stores them, and as other programs open them."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from lociscope.channels import CHANNEL_NAMES, CHANNELS
from lociscope.errors import LociscopeError, MissingExtraError
from lociscope.images.discovery.sources import find_fields
from lociscope.images.field import Field
from lociscope.images.io.read import read_field, read_plane
from lociscope.images.io.write import write_ome_tiff, write_ome_zarr, write_planes

if TYPE_CHECKING:
    from pathlib import Path

KINDS = [np.uint8, np.uint16, np.float32]


def noise(kind: type[np.generic], height: int = 30, width: int = 20) -> np.ndarray:
    return (np.random.default_rng(0).random((height, width, 4)) * 255).astype(kind)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_four_files_by_name_and_nothing_else(tmp_path: Path, kind: type[np.unsignedinteger]) -> None:
    pixels = np.random.default_rng(0).integers(0, np.iinfo(kind).max + 1, (5, 7, 4), kind)
    paths = write_planes(tmp_path / "new", "a 1", pixels)
    assert [path.name for path in paths] == [f"a 1_{name}.png" for name in CHANNEL_NAMES]
    assert sorted(paths) == sorted((tmp_path / "new").iterdir())
    np.testing.assert_array_equal(np.stack([read_plane(path) for path in paths], axis=-1), pixels)


def test_a_path_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LociscopeError, match=r"Cannot write .*a1_red.png'"):
        write_planes(tmp_path / "file", "a1", np.zeros((4, 4, 4), np.uint8))
    with pytest.raises(LociscopeError, match=r"Cannot write .*a1.ome.tif'"):
        write_ome_tiff(tmp_path / "file" / "a1.ome.tif", Field("a1", noise(np.uint8)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("um", [0.08, None])
def test_ome_tiff_comes_back(tmp_path: Path, kind: type[np.generic], um: float | None) -> None:
    pixels = noise(kind)
    write_ome_tiff(tmp_path / "é 1.ome.tif", Field("é 1", pixels, um))
    field = read_field(find_fields([tmp_path])[0][0])
    assert (field.id, field.pixel_size, field.pixels.dtype) == ("é 1", um, np.dtype(kind))
    np.testing.assert_array_equal(field.pixels, pixels)


def test_ome_tiff_metadata_for_other_programs(tmp_path: Path) -> None:
    write_ome_tiff(tmp_path / "a.ome.tif", Field("a", noise(np.uint16), 0.08))
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as tiff:
        assert tiff.ome_metadata is not None
        about = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]
        assert (tiff.series[0].axes, tiff.series[0].shape) == ("CYX", (4, 30, 20))
    assert about["Name"] == "a"
    assert (about["Pixels"]["PhysicalSizeY"], about["Pixels"]["PhysicalSizeYUnit"]) == (0.08, "µm")
    channels = about["Pixels"]["Channel"]
    assert [channel["Name"] for channel in channels] == [channel.stain for channel in CHANNELS]
    colours = [int(channel["Color"]) % (1 << 32) for channel in channels]
    assert colours == [0xFF0000FF, 0x00FF00FF, 0x0000FFFF, 0xFFFF00FF]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("um", [0.08, None])
def test_ome_zarr_comes_back(tmp_path: Path, kind: type[np.generic], um: float | None) -> None:
    pytest.importorskip("zarr")
    pixels = noise(kind)
    pixels[:20] = 0  # empty chunks are written, too
    for _ in range(2):  # the second replaces the first
        write_ome_zarr(tmp_path / "a.ome.zarr", Field("a", pixels, um))
    field = read_field(find_fields([tmp_path])[0][0])
    assert (field.id, field.pixel_size, field.pixels.dtype) == ("a", um, np.dtype(kind))
    np.testing.assert_array_equal(field.pixels, pixels)
    assert [path.name for path in tmp_path.iterdir()] == ["a.ome.zarr"]


def test_a_pyramid_of_halves_with_names_and_colours(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    write_ome_zarr(tmp_path / "a.ome.zarr", Field("a", noise(np.uint8, 1100, 1030), 0.08))
    about = json.loads((tmp_path / "a.ome.zarr" / "zarr.json").read_text())["attributes"]["ome"]
    (image,) = about["multiscales"]
    assert about["version"] == "0.5"
    assert [axis["name"] + axis.get("unit", "") for axis in image["axes"]] == ["c", "ymicrometer", "xmicrometer"]
    shapes = [zarr.open_array(str(tmp_path / "a.ome.zarr" / each["path"])).shape for each in image["datasets"]]
    assert shapes == [(4, 1100, 1030), (4, 550, 515), (4, 275, 257)]
    scales = [each["coordinateTransformations"][0]["scale"] for each in image["datasets"]]
    assert scales[1] == [1.0, pytest.approx(0.16), pytest.approx(0.16)]
    assert scales[2][2] == pytest.approx(0.08 * 1030 / 257)
    channels = about["omero"]["channels"]
    assert [channel["label"] for channel in channels] == [channel.stain for channel in CHANNELS]
    assert [channel["color"] for channel in channels] == ["FF0000", "00FF00", "0000FF", "FFFF00"]
    assert all(0 <= each["window"]["start"] < each["window"]["end"] <= 255 for each in channels)


def test_others_find_ome_zarr_and_ome_tiff_valid(tmp_path: Path) -> None:
    validate = pytest.importorskip("yaozarrs").validate_zarr_store
    from_tiff = pytest.importorskip("ome_types").from_tiff
    field = Field("a", noise(np.uint16), 0.32)
    write_ome_zarr(tmp_path / "a.ome.zarr", field)
    write_ome_tiff(tmp_path / "a.ome.tif", field)
    validate(tmp_path / "a.ome.zarr")
    pixels = from_tiff(tmp_path / "a.ome.tif").images[0].pixels
    assert [channel.name for channel in pixels.channels] == [
        "microtubules",
        "protein",
        "nucleus",
        "endoplasmic reticulum",
    ]
    assert (pixels.physical_size_x, pixels.physical_size_x_unit.value) == (0.32, "µm")
    (tmp_path / "a.ome.zarr" / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group", "attributes": {}}')
    with pytest.raises(ValueError, match="Unable to determine OME-Zarr version"):
        validate(tmp_path / "a.ome.zarr")


def test_ome_zarr_names_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(MissingExtraError, match=r"Writing OME-Zarr needs the extra 'zarr'"):
        write_ome_zarr(tmp_path / "a.zarr", Field("a", noise(np.uint8)))
