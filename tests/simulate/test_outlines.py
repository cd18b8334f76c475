from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lociscope.simulate import outlines
from lociscope.simulate.canvas import Canvas
from lociscope.simulate.layout import lay_out
from lociscope.simulate.outlines import Potentials, shape_cells
from lociscope.simulate.specimen import sample_specimen
from lociscope.simulate.structures import TOUCHING

CANVAS = Canvas(192, 0.8)


def shape(seed: int) -> Potentials:
    line = sample_specimen(np.random.default_rng([seed, 1]), None, None).line
    rng = np.random.default_rng(seed)
    return shape_cells(rng, CANVAS, line, lay_out(rng, line, CANVAS.extent))


def whole(*arguments: Any) -> tuple[slice, slice]:
    bends = arguments[-1]
    return slice(0, len(bends.grid)), slice(0, len(bends.grid))


@pytest.mark.parametrize("seed", range(12))
def test_no_cell_is_clipped_by_its_window(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    found = shape(seed)
    monkeypatch.setattr(outlines, "_window", whole)
    wanted = shape(seed)
    inside = wanted.best < 1
    np.testing.assert_array_equal(np.where(found.best < 1, found.owner, 0), np.where(inside, wanted.owner, 0))
    near, all_of_it = (np.minimum(each.second, TOUCHING)[inside] for each in (found, wanted))
    np.testing.assert_array_equal(near, all_of_it)


@pytest.mark.parametrize("seed", range(4))
def test_a_nucleus_is_all_of_its_cell(seed: int) -> None:
    found = shape(seed)
    middle = found.rim < 0.8
    assert middle.any()
    assert (found.best[middle] < 1).all()
