from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.images.field import Field
from lociscope.images.io.container import PlaneRef
from lociscope.images.io.write import write_ome_zarr
from lociscope.images.io.zarr_layout import list_images, read_attributes
from lociscope.images.io.zarr_plate import find_well_path, write_plate, write_well

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("zarr")


@pytest.fixture
def plate(tmp_path: Path) -> Path:
    root = tmp_path / "plate.ome.zarr"
    for number, path in enumerate(("A/2/1", "A/2/2", "AB/10/1")):
        write_ome_zarr(root / path, Field(path, np.full((16, 16, 4), number, np.uint16), 0.3))
    write_well(root, "A2", {"1": 0, "2": 1})
    write_well(root, "AB10", {"1": 0})
    write_plate(root, "tiny", ["A2", "A10", "B2", "AB2"], ["A2", "AB10"], ["10x", "20x"])
    return root


def test_the_plate_is_valid(plate: Path) -> None:
    validate = pytest.importorskip("yaozarrs").validate_zarr_store
    validate(str(plate))


def test_rows_and_columns_are_those_of_the_grid(plate: Path) -> None:
    about = read_attributes(plate)["plate"]
    assert [row["name"] for row in about["rows"]] == ["A", "B", "AB"]
    assert [column["name"] for column in about["columns"]] == ["2", "10"]
    assert about["wells"] == [
        {"path": "A/2", "rowIndex": 0, "columnIndex": 0},
        {"path": "AB/10", "rowIndex": 2, "columnIndex": 1},
    ]
    assert about["acquisitions"] == [{"id": 0, "name": "10x"}, {"id": 1, "name": "20x"}]


def test_its_images_are_listed(plate: Path) -> None:
    images = list_images(PlaneRef(plate))
    assert [(each.about, each.reason) for each in images] == [
        ({"well": "A2", "site": "1"}, None),
        ({"well": "A2", "site": "2"}, None),
        ({"well": "AB10", "site": "1"}, None),
    ]


def test_no_well() -> None:
    with pytest.raises(ValueError, match="well"):
        find_well_path("1A")
