"""Heat maps of plates."""

from __future__ import annotations

import numpy as np
import pytest

from lociscope.artifacts.predictions import Position
from lociscope.service.jobs.plate import make_plates, parse_well
from lociscope.service.jobs.records import JobField


def field(number: int, well: str, value: float | None, plate: str = "P1") -> JobField:
    probability = None if value is None else np.full(28, value, np.float32)
    return JobField("j", number, f"f{number}", "done", "{}", Position(plate, well, "1"), probability=probability)


@pytest.mark.parametrize(
    ("name", "place"),
    [("A01", (0, 0)), ("h12", (7, 11)), ("P24", (15, 23)), ("AF48", (31, 47)), ("1A", None), ("A0", None), ("", None)],
)
def test_wells_are_parsed(name: str, place: tuple[int, int] | None) -> None:
    assert parse_well(name) == place


def test_the_mean_of_each_well_is_shown() -> None:
    fields = [field(0, "A01", 0.2), field(1, "A01", 0.4), field(2, "H12", 1.0), field(3, "B02", None)]
    (plate,) = make_plates(fields, 5)
    assert (plate.name, len(plate.rows), plate.columns) == ("P1", 8, list(range(1, 13)))
    first = plate.rows[0][1][0]
    assert (first.name, first.fields, first.shade, first.first) == ("A01", 2, 3, 0)
    assert first.mean == pytest.approx(0.3)
    assert plate.rows[7][1][11].shade == 10
    assert (plate.rows[1][1][1].mean, plate.rows[1][1][1].first) == (None, 3)
    assert plate.rows[2][1][2].first is None


def test_fields_without_a_well_have_no_plate() -> None:
    assert make_plates([field(0, "", 0.5)], 0) == []
    assert [plate.name for plate in make_plates([field(0, "A01", 1, "b"), field(1, "A01", 1, "a")], 0)] == ["a", "b"]
