"""Tables for `omero metadata populate`, read by its rules (omero-metadata 0.14, `populate.py`)."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np

from lociscope.artifacts.predictions import Position, Predictions
from lociscope.predict.omero import LOCATION_COLUMNS, write_omero_images, write_omero_wells

if TYPE_CHECKING:
    from pathlib import Path

TYPES = {
    "plate": str, "well": str, "image": int, "dataset": int, "roi": int, "d": float, "l": int, "s": str, "b": bool,
}  # fmt: skip
"""The types of columns that omero-metadata knows."""


def read_as_omero(path: Path) -> list[dict[str, object]]:
    """Read a CSV as `ParsingContext.preprocess_from_handle` and `HeaderResolver` do."""
    with path.open(newline="", encoding="utf-8") as file:
        types, names, *rows = csv.reader(file)
    assert types[0].startswith("# header ")
    types[0] = types[0].removeprefix("# header ")
    assert len(types) == len(names) <= 512
    assert all(names)
    assert not ("well" in types and "image" in types)
    assert all("/" not in name and "%%" not in name for name in names)
    return [{name: TYPES[kind](value) for name, kind, value in zip(names, types, row, strict=True)} for row in rows]


def predictions() -> Predictions:
    probability = np.zeros((3, 28), np.float32)
    probability[:, 2] = 0.25, 0.75, 0.5
    return Predictions(
        ["a", "b,c", "d"],
        probability,
        [(2, 25), (), (7,)],
        ["ok", "unsure", "unlike-training"],
        [(), (), ()],
        None,
        [Position("P1", "B02", "1"), Position("P1", "B02", "2"), Position("P1", "B03", "")],
    )


def test_images_by_name(tmp_path: Path) -> None:
    write_omero_images(predictions(), tmp_path / "o.csv", suffix=".ome.tif")
    first, second, _ = read_as_omero(tmp_path / "o.csv")
    assert (first["Image Name"], first["locations"], first["status"]) == ("a.ome.tif", "Nucleoli; Cytosol", "ok")
    assert (first["Nucleoli"], second["Image Name"]) == (0.25, "b,c.ome.tif")
    assert set(LOCATION_COLUMNS) <= set(first)
    assert all(" " not in name for name in LOCATION_COLUMNS)
    assert len(set(LOCATION_COLUMNS)) == 28


def test_wells_with_and_without_plates(tmp_path: Path) -> None:
    write_omero_wells(predictions(), tmp_path / "o.csv")
    first, second = read_as_omero(tmp_path / "o.csv")
    assert (first["Well"], first["Plate"], first["fields"], first["Nucleoli"]) == ("B02", "P1", 2, 0.5)
    assert (second["excluded"], str(second["Nucleoli"])) == (1, "nan")
    table = predictions()
    assert table.positions
    table.positions[:] = [Position("", "B02", ""), Position(), Position("", "B03", "")]
    write_omero_wells(table, tmp_path / "p.csv")
    rows = read_as_omero(tmp_path / "p.csv")
    assert [row["Well"] for row in rows] == ["B02", "B03"]  # a field without well is left out
    assert "Plate" not in rows[0]
