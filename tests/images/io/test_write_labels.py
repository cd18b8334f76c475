"""Label images as OME-TIFF and as labels of OME-Zarr, opened by their own readers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from lociscope.images.field import Field
from lociscope.images.io.write_labels import write_label_tiff, write_labelled_zarr
from lociscope.images.segmentation.label_images import read_labels

if TYPE_CHECKING:
    from pathlib import Path

SIDE = 640


def labels(largest: int = 9) -> np.ndarray:
    image = np.zeros((SIDE, SIDE + 2), np.int32)
    image[10:300, 20:200], image[320:600, 300:500] = 4, largest
    return image


def field() -> Field:
    pixels = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE + 2, 4), np.uint8)
    return Field("a1", pixels, 0.25)


@pytest.mark.parametrize(("largest", "kind"), [(9, np.uint16), (70_000, np.uint32)])
def test_tiff_has_every_number_and_the_pixel_size(largest: int, kind: type, tmp_path: Path) -> None:
    write_label_tiff(tmp_path / "a1.cells.ome.tif", labels(largest), 0.25)
    with tifffile.TiffFile(tmp_path / "a1.cells.ome.tif") as file:
        assert file.pages.first.dtype == kind
        np.testing.assert_array_equal(file.asarray(), labels(largest))
        assert 'PhysicalSizeX="0.25"' in str(file.ome_metadata)
    again = read_labels(tmp_path / "a1.cells.ome.tif", (SIDE, SIDE + 2), "a1")
    np.testing.assert_array_equal(again, labels(largest))


def write_zarr(folder: Path) -> Path:
    path = folder / "a1.ome.zarr"
    values = {"cells": [{"label-value": 4, "locations": "Cytosol"}, {"label-value": 9, "locations": ""}]}
    write_labelled_zarr(path, field(), {"cells": labels(), "nuclei": labels() // 2}, values)
    return path


def test_zarr_labels_are_read_as_label_images(tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    found = read_labels(write_zarr(tmp_path) / "labels" / "cells", (SIDE, SIDE + 2), "a1")
    np.testing.assert_array_equal(found, labels())


def test_zarr_labels_open_in_the_reader_of_napari(tmp_path: Path) -> None:
    reader = pytest.importorskip("ome_zarr.reader")
    from ome_zarr.io import parse_url

    nodes = list(reader.Reader(parse_url(str(write_zarr(tmp_path))))())
    images = {node.metadata.get("name") or node.zarr.basename(): node for node in nodes if node.data}
    shown = [node for node in nodes if node.data and any(isinstance(spec, reader.Label) for spec in node.specs)]
    assert len(shown) == 2
    assert images
    cells = next(node for node in shown if node.zarr.basename() == "cells")
    assert [level.shape for level in cells.data] == [(SIDE, SIDE + 2), (SIDE // 2, SIDE // 2 + 1)]
    np.testing.assert_array_equal(np.asarray(cells.data[0]), labels())
    assert set(np.unique(np.asarray(cells.data[1]))) == {0, 4, 9}
    assert cells.metadata["properties"][4]["locations"] == "Cytosol"
