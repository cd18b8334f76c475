from __future__ import annotations

from lociscope.service.microscope.plate import WellProgress, make_grid


def test_a_grid_has_the_format_of_the_plate() -> None:
    wells = {name: {"planned": 4, "done": done, "again": done // 2} for name, done in (("A1", 4), ("B3", 1), ("C4", 0))}
    grid = make_grid(wells)
    assert grid is not None
    assert (grid.columns, [name for name, _ in grid.rows]) == ([1, 2, 3, 4, 5, 6], ["A", "B", "C", "D"])
    assert grid.rows[0][1][0] == WellProgress("A1", 4, 4, 2, 10)
    assert grid.rows[1][1][2] == WellProgress("B3", 4, 1, 0, 2)
    assert grid.rows[0][1][1] is None


def test_no_wells_no_grid() -> None:
    assert make_grid({}) is None
