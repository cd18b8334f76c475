"""How much the cells of a field differ from each other and from its answer."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from lociscope.artifacts.cell_table import COLUMNS as CELL_COLUMNS
from lociscope.artifacts.cell_table import cell_schema
from lociscope.predict.variation import COLUMNS, measure_variation, to_line, write_variation

if TYPE_CHECKING:
    from pathlib import Path


def table(*rows: dict[str, object]) -> pa.Table:
    blank = dict.fromkeys(CELL_COLUMNS)
    return pa.Table.from_pylist([blank | row for row in rows], cell_schema())


def cell(
    name: str, predicted: list[int], intensity: float, distance: float, nucleus: float = 90.0
) -> dict[str, object]:
    return {
        "id": name, "predicted": predicted, "intensity": intensity, "distance": distance, "nucleus_area_um2": nucleus,
    }  # fmt: skip


def test_rows_of_fields_with_and_without_cells(tmp_path: Path) -> None:
    cells = table(
        cell("a", [2, 21], 0.2, 1.0),
        cell("a", [2], 0.4, 0.0),
        cell("a", [7], 0.9, 5.0, nucleus=0.0),
        cell("b", [25], 0.5, 0.5, nucleus=float("nan")),
    )
    a, b, none = measure_variation(cells, {"a": (2, 21), "b": (25,), "c": ()})
    assert (a["cells"], a["whole_cells"], a["locations"]) == (3, 2, "Nucleoli; Plasma membrane")
    assert (a["differing"], a["s02"], a["s21"], a["s07"]) == (0.5, 1.0, 0.5, 0.0)
    assert a["distance"] == pytest.approx(0.5)
    assert a["intensity_cv"] == pytest.approx(np.std([0.2, 0.4]) / 0.3, rel=1e-5)
    assert (b["cells"], b["whole_cells"], b["differing"], b["intensity_cv"]) == (1, 1, 0.0, 0.0)
    assert (none["id"], none["cells"], none["whole_cells"], none["distance"]) == ("c", 0, 0, None)
    write_variation(map(to_line, (a, b, none)), tmp_path / "v.csv")
    with (tmp_path / "v.csv").open(newline="", encoding="utf-8") as file:
        written = list(csv.DictReader(file))
    assert tuple(written[0]) == COLUMNS
    assert (written[0]["differing"], written[2]["cells"], written[2]["differing"]) == ("0.5000", "0", "")
