"""Cells for other programs: label images, and outlines that show in QuPath what was found."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile

from lociscope.artifacts.card import InputSpec
from lociscope.errors import Code, LociscopeError, UsageError
from lociscope.images.field import Field
from lociscope.images.segmentation.geometry import measure_geometry
from lociscope.labels import LABELS
from lociscope.predict.cell_masks import check_formats, make_file_stem, make_geojson, trace_outline, write_masks
from lociscope.predict.cell_source import SegmentedField
from lociscope.predict.cells import CellPredictions

if TYPE_CHECKING:
    from pathlib import Path

SPEC = InputSpec(height=16, width=16, low=0.5, high=99.9)


def segmented(name: str = "a1", *, nuclei: bool = True) -> SegmentedField:
    """A field of 60 px with a disc, a cell in two parts, and a square with a hole at the edge."""
    y, x = np.indices((60, 70))
    labels = np.where(np.hypot(y - 20, x - 20) < 12, 3, 0).astype(np.int32)
    labels[40:50, 5:15], labels[40:50, 20:30] = 4, 4
    labels[30:60, 50:70] = 9
    labels[40:45, 55:60] = 0
    inner = np.where(np.hypot(y - 20, x - 20) < 5, 3, 0).astype(np.int32) if nuclei else None
    field = Field(name, np.full((60, 70, 4), 7, np.uint8), 0.5)
    return SegmentedField(field, field.pixels, labels, inner, measure_geometry(labels, 0.5, inner), field.pixels)


def predictions() -> CellPredictions:
    probability = np.full((3, 28), 0.125, np.float32)
    probability[0, [2, 25]] = 0.75, 0.875
    return CellPredictions(
        probability, [(2, 25), (), (7,)], ["ok", "unsure", "ok"], np.zeros(3, np.float32), np.ones(3, np.float32)
    )


def fill(geometry: dict[str, Any], shape: tuple[int, int]) -> np.ndarray:
    """Pixels whose centre is inside a geometry, as another program reads it."""
    from skimage.draw import polygon2mask

    polygons = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
    rings = [np.asarray(ring)[:, ::-1] - 0.5 for polygon in polygons for ring in polygon]
    mask: np.ndarray = np.any([polygon2mask(shape, ring) for ring in rings], axis=0)
    return mask


@pytest.mark.parametrize(("number", "kind"), [(3, "Polygon"), (4, "MultiPolygon"), (9, "Polygon")])
def test_an_outline_holds_the_pixels_of_its_cell(number: int, kind: str) -> None:
    each = segmented()
    row = each.geometry.number.tolist().index(number)
    outline = trace_outline(each.labels, number, each.geometry.box[row].tolist())
    assert outline is not None
    assert outline["type"] == kind
    found, cell = fill(outline, each.labels.shape), each.labels == number
    assert (found & cell).sum() >= 0.97 * cell.sum()
    assert (found & ~cell).sum() == (25 if number == 9 else 0)  # the hole is filled


def test_geojson_is_what_qupath_reads() -> None:
    collection = json.loads(json.dumps(make_geojson(segmented(), predictions())))
    assert collection["type"] == "FeatureCollection"
    first, second, third = collection["features"]
    assert len({each["id"] for each in collection["features"]}) == 3
    assert first["properties"]["objectType"] == "cell"
    assert first["properties"]["classification"]["name"] == "Cytosol"
    assert all(0 <= share <= 255 for share in first["properties"]["classification"]["color"])
    assert first["properties"]["measurements"]["Nucleoli"] == 0.75
    assert set(first["properties"]["measurements"]) >= set(LABELS)
    assert fill(first["nucleusGeometry"], (60, 70)).sum() == pytest.approx(69, abs=5)
    assert "classification" not in second["properties"]
    assert "nucleusGeometry" not in third
    for each in collection["features"]:
        for ring in each["geometry"]["coordinates"] if each["geometry"]["type"] == "Polygon" else ():
            assert ring[0] == ring[-1]
            assert len(ring) >= 4


def test_outlines_are_valid_polygons() -> None:
    shapely = pytest.importorskip("shapely.geometry")
    for each in make_geojson(segmented(), predictions())["features"]:
        outline = shapely.shape(each["geometry"])
        assert outline.is_valid
        if "nucleusGeometry" in each:
            assert outline.contains(shapely.shape(each["nucleusGeometry"]))


def test_the_formats_that_were_asked_for_are_written(tmp_path: Path) -> None:
    write_masks(segmented("a/1"), predictions(), tmp_path / "tiff", ("tiff",))
    write_masks(segmented(nuclei=False), predictions(), tmp_path / "more", ("tiff", "geojson"))
    write_masks(segmented(), predictions(), tmp_path / "none", ())
    assert {path.name for path in (tmp_path / "tiff").iterdir()} == {"a%2F1.cells.ome.tif", "a%2F1.nuclei.ome.tif"}
    assert {path.name for path in (tmp_path / "more").iterdir()} == {"a1.cells.ome.tif", "a1.geojson"}
    assert not (tmp_path / "none").exists()
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "more" / "a1.cells.ome.tif"), segmented().labels)


def test_zarr_has_the_field_and_its_labels(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    write_masks(segmented(), predictions(), tmp_path, ("zarr",))
    group = zarr.open_group(str(tmp_path / "a1.ome.zarr"), mode="r")
    np.testing.assert_array_equal(group["labels/cells/0"][:], segmented().labels)
    values = group["labels/cells"].attrs["ome"]["image-label"]["properties"]
    assert values[0] == {"label-value": 3, "locations": "Nucleoli; Cytosol"}


@pytest.mark.parametrize(
    ("name", "stem"), [("a1", "a1"), ("..", "%2E."), ("a/b:c", "a%2Fb%3Ac"), ("50%", "50%25"), ("é ü", "é ü")]
)
def test_file_names_stay_in_their_folder(name: str, stem: str) -> None:
    assert make_file_stem(name) == stem


def test_formats_are_checked_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError) as caught:
        check_formats(["tif"])
    assert caught.value.code is Code.UNKNOWN_NAME
    monkeypatch.setitem(sys.modules, "zarr", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for name in ("zarr", "geojson"):
        with pytest.raises(LociscopeError) as missing:
            check_formats([name])
        assert missing.value.code is Code.MISSING_EXTRA
