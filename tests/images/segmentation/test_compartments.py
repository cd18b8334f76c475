"""Zones of cells."""

from __future__ import annotations

import numpy as np

from lociscope.images.segmentation.compartments import NUCLEAR, Zone, compute_quantiles, find_compartments, find_highest
from lociscope.simulate import simulate_field


def test_zones_lie_where_their_names_say() -> None:
    field = simulate_field(2, size=256, pixel_size=0.64)
    found = find_compartments(field.pixels, 0.64)
    nuclear = np.isin(found.zones, NUCLEAR)
    assert (field.nuclei[nuclear] > 0).mean() > 0.95
    assert (found.beyond[nuclear] < 0).all()
    assert ((found.zones == Zone.NONE) == (found.cells == 0)).all()
    rim = found.beyond[found.zones == Zone.RIM]
    assert rim.min() >= -1.0
    assert rim.max() <= 0.7


def test_contacts_lie_between_cells_only() -> None:
    found = find_compartments(simulate_field(2, size=256, pixel_size=0.64).pixels, 0.64)
    y, x = np.nonzero(found.zones == Zone.CONTACT)
    inner = (y > 3) & (y < 252) & (x > 3) & (x < 252)
    for row, column in list(zip(y[inner], x[inner], strict=True))[::97]:
        around = found.cells[row - 2 : row + 3, column - 2 : column + 3]
        assert len(set(around[around > 0].tolist())) > 1


def test_a_field_without_cells_has_no_zone() -> None:
    found = find_compartments(np.zeros((40, 50, 4), np.uint8), 0.64)
    assert len(found) == 0
    assert (found.zones == Zone.NONE).all()


def test_quantiles_equal_numpys_nearest() -> None:
    rng = np.random.default_rng(0)
    group, values = rng.integers(0, 5, 300), rng.random(300)
    found = compute_quantiles(values, group, 6, (0.05, 0.5, 0.95))
    for number in range(5):
        own = np.sort(values[group == number])
        ranks = np.rint(np.array([0.05, 0.5, 0.95]) * (len(own) - 1)).astype(int)
        np.testing.assert_allclose(found[:, number], own[ranks], rtol=1e-12)
    assert np.isnan(found[:, 5]).all()


def test_highest_of_each_group() -> None:
    values, group = np.array([3.0, 9, 1, 5, 5]), np.array([0, -1, 0, 2, 2])
    np.testing.assert_array_equal(find_highest(values, group, 4), [0, -1, 4, -1])
