"""The drift of the stage, on the simulated microscope whose plate creeps."""

from __future__ import annotations

import json
import logging
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lociscope.microscope.acquire import check_plan, run_plan
from lociscope.microscope.drift import MOST_WORSE, DriftTracker
from lociscope.microscope.journal import Journal
from lociscope.microscope.simulated.specimen import SimulatedPlate, View
from lociscope.predict.predictor import open_bundle

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("skimage")

SCENE = np.random.default_rng(0).uniform(100, 4000, (200, 200, 4)).repeat(4, 0).repeat(4, 1)
"""Blocks of 10 µm side, of 2.5 µm a pixel, centred on the well A1."""
SERIES = {
    "microscope.frame": [64, 64], "objectives": [{"name": "10x", "pixel_size": 2.5}], "plate.wells": ["A1"],
    "plate.sites": [1, 1], "rules": [{"when": "Nucleoli >= 0", "times": 5, "every_s": 60.0, "most": 5}],
    "specimen.drift": [6.0, -4.0], "specimen.pace": 0.002, "quality.drift_um": 50.0, "limits.x": [-1000, 10000],
}  # fmt: skip


def see(plate: SimulatedPlate, view: View, channel: int, rng: Any, *, lit: bool) -> np.ndarray:
    column, row = round(400 + view.x / 2.5), round(400 - view.y / 2.5)
    return SCENE[row - 32 : row + 32, column - 32 : column + 32, channel].astype(np.uint16)


@pytest.fixture
def lines(make_plan: Any, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the lines of a run of a time series."""
    monkeypatch.setattr(SimulatedPlate, "count_cells", lambda *_: 0)

    def run(changes: dict[str, Any], take_image: Any = see) -> list[dict[str, Any]]:
        monkeypatch.setattr(SimulatedPlate, "take_image", take_image)
        run_plan(check_plan(make_plan(SERIES | changes)), open_bundle(tiny_bundle, threads=1), tmp_path / "out")
        return [json.loads(line) for line in (tmp_path / "out" / "decisions.jsonl").read_text().splitlines()]

    return run


def test_a_series_follows_the_drift(lines: Any) -> None:
    """Each minute the plate creeps by 7 µm; the series stays within that of its first image, not five times as far."""
    series = lines({})[1:]
    assert len(series) == 5
    missed = [math.hypot(*line["drift_um"]) for line in series]
    assert max(missed) < 10
    assert math.hypot(*series[-1]["shift_um"]) > 20
    assert [line["x"] for line in series] == [0.0] * 5


def test_without_the_key_nothing_is_registered(lines: Any) -> None:
    assert all("drift_um" not in line for line in lines({"quality.drift_um": 0.0}))


def test_no_correction_leads_outside_the_limits(lines: Any) -> None:
    series = lines({"limits.x": [-5, 10000]})[1:]
    assert all(abs(line["shift_um"][0]) <= 5 for line in series)
    assert math.hypot(*series[-1]["drift_um"]) > 20


def test_a_mirrored_camera_ends_the_correction(lines: Any, caplog: pytest.LogCaptureFixture) -> None:
    def see_mirrored(plate: SimulatedPlate, view: View, channel: int, rng: Any, *, lit: bool) -> np.ndarray:
        return see(plate, view, channel, rng, lit=lit)[::-1, ::-1]

    with caplog.at_level(logging.WARNING, "lociscope.microscope.drift"):
        series = lines({"rules.0.times": 8, "rules.0.most": 8}, see_mirrored)[1:]
    assert [line["shift_um"] for line in series][-1] == [0.0, 0.0]
    assert any("check" in record.getMessage() for record in caplog.records)
    assert MOST_WORSE == 2


def test_what_earlier_calls_measured_is_applied(make_plan: Any, tmp_path: Path) -> None:
    plan = make_plan(SERIES)
    journal = Journal.open(tmp_path / "out", plan, "b")
    first = check_plan(plan).positions[0]
    journal.append({"field": "a", "of": first.id, "shift_um": [1.0, 2.0], "drift_um": [3.0, -1.0]})
    again = replace(first, id="b", of=first.id)
    moved = DriftTracker(plan, journal).correct(again)
    assert (moved.x - first.x, moved.y - first.y) == (-2.0, 3.0)
