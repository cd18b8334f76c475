"""Spots of cells, on cells that are drawn by hand."""

from __future__ import annotations

import numpy as np

from lociscope.images.segmentation.compartments import Compartments, Zone
from lociscope.images.segmentation.spots import SPOT_FEATURES, measure_spots

SIDE = 64


def one_cell() -> Compartments:
    """A cell that fills the field, its left half nucleus; grid of 0.32 µm."""
    zones = np.full((SIDE, SIDE), Zone.CYTOPLASM, np.int8)
    zones[:, : SIDE // 2] = Zone.NUCLEUS
    beyond = (np.arange(SIDE, dtype=np.float32) - SIDE / 2 + 0.5)[None].repeat(SIDE, 0) * 0.32
    ones = np.ones((SIDE, SIDE), np.int32)
    area = np.array([SIDE * SIDE * 0.32**2])
    return Compartments(0.32, ones, zones, beyond, np.array([[32.0, 40.0]]), area / 2, area)


def spots(*centres: tuple[int, int], long: float = 1.5) -> dict[str, float]:
    y, x = np.indices((SIDE, SIDE))
    green = np.full((SIDE, SIDE), 0.1, np.float32)
    for cy, cx in centres:
        green += (0.5 * np.exp(-(((y - cy) / 1.5) ** 2) - ((x - cx) / long) ** 2)).astype(np.float32)
    wide = np.full((SIDE, SIDE), 0.1, np.float32)
    level = np.array([0.1])
    columns = measure_spots(green, wide, 1, 0.32, one_cell(), level, level)
    return {name: float(column[0]) for name, column in zip(SPOT_FEATURES, columns, strict=True)}


def test_spots_are_counted_where_they_lie() -> None:
    found = spots((20, 10), (40, 12), (30, 45))
    area = SIDE * SIDE / 2 * 0.32**2
    assert found["nucleus.spot_number"] == np.log2(1 + 2 * 100 / area)
    assert found["cytoplasm.spot_number"] == np.log2(1 + 100 / area)
    assert np.isclose(found["spots.beyond"], (45 - 31.5) * 0.32)
    assert np.isclose(found["spots.focus"], np.log2(1 + np.hypot(2, 5) * 0.32))


def test_round_spots_are_not_long() -> None:
    assert spots((30, 45))["cytoplasm.spot_elongation"] < 0.05
    assert spots((30, 45), long=4)["cytoplasm.spot_elongation"] > 0.4


def test_cells_without_spots_have_no_shape() -> None:
    found = spots()
    assert found["cytoplasm.spot_number"] == found["cytoplasm.spot_strongest"] == 0
    assert np.isnan([found["cytoplasm.spot_size"], found["nucleus.spot_second"], found["spots.focus"]]).all()
