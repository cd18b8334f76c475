"""`lociscope predict --cells`: files, messages, exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.artifacts.cell_table import read_cells
from lociscope.simulate import simulate_field

if TYPE_CHECKING:
    from pathlib import Path

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def fields(write_field: Callable[..., Path], tmp_path: Path) -> Path:
    """A field with cells, and an empty one; a label image for the first."""
    simulated = simulate_field(3, size=192)
    folder = write_field("a1", pixels=simulated.pixels)
    write_field("b1", pixels=np.zeros((192, 192, 4), np.uint8))
    np.save(tmp_path / "a1_masks.npy", simulated.cells)
    return folder


def test_cells_are_added_to_a_finished_table(lociscope: Command, fields: Path, tmp_path: Path) -> None:
    assert lociscope("predict", fields, "-o", "out.csv")[0] == 0
    code, out, err = lociscope("predict", fields, "-o", "out.csv", "--masks", "tiff", "--masks", "geojson")
    cells = read_cells(tmp_path / "out.cells.parquet")
    assert (code, out) == (0, f"2 fields in out.csv, complete already\n{len(cells)} cells in out.cells.parquet\n")
    assert "1 field without cells" in err
    assert "out.variation.csv" in err
    assert len(cells) > 3
    assert {path.name for path in (tmp_path / "out.masks").iterdir()} == {
        f"{name}.{kind}" for name in ("a1", "b1") for kind in ("cells.ome.tif", "nuclei.ome.tif", "geojson")
    }


def test_a_field_without_label_image_is_listed(lociscope: Command, fields: Path, tmp_path: Path) -> None:
    code, out, err = lociscope("predict", fields, "-o", "out.csv", "--cell-labels", "{id}_masks.npy", "--json")
    said = json.loads(out)
    assert (code, said["rows"], said["cells_failed"]) == (3, 2, 1)
    assert said["cells"] == len(read_cells(tmp_path / "out.cells.parquet"))
    assert "1 field failed, listed in out.cells.failures.csv" in err
    assert "--cell-labels" in err


def test_options_that_cannot_be_right_end_before_the_work(lociscope: Command, fields: Path, tmp_path: Path) -> None:
    for words in (["--masks", "png"], ["--cell-labels", "masks.png"], ["--cells", "--kaggle"]):
        code, _, err = lociscope("predict", fields, "-o", "out.csv", *words)
        assert (code, err.count("\n")) == (2, 1)
    assert not (tmp_path / "out.csv").exists()
