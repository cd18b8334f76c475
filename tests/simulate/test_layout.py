from __future__ import annotations

import numpy as np
import pytest

from lociscope.simulate.cell_lines import CELL_LINES
from lociscope.simulate.layout import ROOM, State, lay_out


@pytest.mark.parametrize("name", CELL_LINES)
def test_nuclei_are_apart_and_of_the_lines_size(name: str) -> None:
    line = CELL_LINES[name]
    cells = lay_out(np.random.default_rng(1), line, 164.0)
    interphase = cells.state == State.INTERPHASE
    assert np.median(2 * cells.nucleus_radius[interphase]) == pytest.approx(line.nucleus, rel=0.15)
    gap = np.hypot(
        np.subtract.outer(cells.nucleus_y, cells.nucleus_y), np.subtract.outer(cells.nucleus_x, cells.nucleus_x)
    )
    touching = gap < ROOM[0] * np.add.outer(cells.nucleus_radius, cells.nucleus_radius)
    sisters = cells.partner[:, None] == np.arange(len(cells))
    assert not (touching & ~sisters & ~np.eye(len(cells), dtype=bool)).any()


def test_divisions_asked_for_are_there() -> None:
    for seed in range(20):
        cells = lay_out(np.random.default_rng(seed), CELL_LINES["U-2 OS"], 164.0, mitoses=2, bridges=1)
        assert cells.mitotic.sum() >= 2
        daughters = np.flatnonzero(cells.state == State.DAUGHTER)
        assert len(daughters) >= 2
        pairs = daughters[cells.partner[daughters] >= 0]
        assert (cells.partner[cells.partner[pairs]] == pairs).all()


def test_cells_divide_everywhere_at_a_natural_rate() -> None:
    layouts = [lay_out(np.random.default_rng(seed), CELL_LINES["A-431"], 164.0) for seed in range(60)]
    cells = sum(len(cells) for cells in layouts)
    assert 0.003 < sum(cells.mitotic.sum() for cells in layouts) / cells < 0.04
    assert 0.003 < sum((cells.state == State.DAUGHTER).sum() for cells in layouts) / cells < 0.06


def test_even_a_small_field_has_a_cell() -> None:
    for seed in range(30):
        assert len(lay_out(np.random.default_rng(seed), CELL_LINES["SH-SY5Y"], 20.0))
