"""Positions and sizes of cells in a label image."""

from __future__ import annotations

import numpy as np

from lociscope.images.segmentation.geometry import measure_geometry


def test_centres_boxes_areas_and_edges() -> None:
    labels = np.zeros((10, 12), np.int32)
    labels[2:5, 3:7] = 7
    labels[8:10, 0:2] = 2
    nuclei = np.zeros_like(labels)
    nuclei[3, 4:6] = 7
    found = measure_geometry(labels, 0.5, nuclei)
    assert found.number.tolist() == [2, 7]
    assert found.centre.tolist() == [[8.5, 0.5], [3.0, 4.5]]
    assert found.box.tolist() == [[8, 0, 10, 2], [2, 3, 5, 7]]
    assert found.area.tolist() == [1.0, 3.0]
    assert found.nucleus_area.tolist() == [0.0, 0.5]
    assert found.at_edge.tolist() == [True, False]


def test_nuclei_may_be_unknown_and_cells_absent() -> None:
    labels = np.zeros((4, 5), np.uint16)
    assert len(measure_geometry(labels, 1.0)) == 0
    labels[1, 1] = 3
    assert np.isnan(measure_geometry(labels, 1.0).nucleus_area).tolist() == [True]
