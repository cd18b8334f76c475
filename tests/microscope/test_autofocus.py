from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lociscope.images.scale import resize
from lociscope.microscope.acquire import check_plan, run_plan
from lociscope.microscope.autofocus import COARSE, FOCUS_IMAGES, find_sharpest, measure_sharpness
from lociscope.microscope.simulated.specimen import SimulatedPlate, View
from lociscope.predict.predictor import open_bundle
from lociscope.warnings import FieldWarning, WarningKind

if TYPE_CHECKING:
    from pathlib import Path

    from lociscope.microscope.positions import Position


@given(st.floats(-7, 7), st.floats(-100, 100), st.floats(1, 8))
def test_the_peak_of_a_smooth_measure_is_found(best: float, centre: float, width: float) -> None:
    calls: list[float] = []

    def measure(z: float) -> float:
        calls.append(z)
        return 0.01 + float(np.exp(-(((z - centre - best) / width) ** 2)))

    found = find_sharpest(measure, centre, 10.0)
    assert found is not None
    assert abs(found - centre - best) < 0.5
    assert len(calls) <= FOCUS_IMAGES
    assert all(centre - 10.001 <= z <= centre + 10.001 for z in calls)


@pytest.mark.parametrize("measure", [lambda z: 1.0, lambda z: float(np.exp(z / 5)), lambda z: 0.0])
def test_without_a_peak_nothing_is_found(measure: Any) -> None:
    calls: list[float] = []

    def count(z: float) -> float:
        calls.append(z)
        return float(measure(z))

    assert find_sharpest(count, 0.0, 10.0) is None
    assert len(calls) == COARSE


def test_sharpness_ignores_brightness_and_offset() -> None:
    image = np.kron(np.random.default_rng(0).integers(0, 2, (16, 16)), np.ones((4, 4))).astype(np.float32)
    blurred = resize(resize(image[..., None], 16, 16), 64, 64)[..., 0]
    assert measure_sharpness(image) > measure_sharpness(blurred)
    assert measure_sharpness(image * 900 + 50) == pytest.approx(measure_sharpness(image), rel=1e-3)
    assert measure_sharpness(np.zeros((32, 32))) == 0


@pytest.mark.slow
def test_the_focus_of_simulated_wells_is_found_within_a_micrometre(make_plan: Any) -> None:
    plan = make_plan({
        "microscope.frame": [256, 256], "plate.wells": ["A1:A4"], "objectives": [{"name": "10x", "pixel_size": 0.64}],
        "rules": [], "limits.x": [-1000, 40000],
    })  # fmt: skip
    plate = SimulatedPlate(plan, 0.64)
    rng, missed = np.random.default_rng(1), []
    for position in check_plan(plan).positions[::2]:

        def measure(z: float, position: Position = position) -> float:
            view = View(position.x, position.y, z, 0.64, 256, 100.0)
            return measure_sharpness(plate.take_image(view, 0, rng))

        for start in rng.uniform(-10, 10, 3):
            found = find_sharpest(measure, float(start), 15.0)
            missed.append(np.inf if found is None else abs(found))
    print("residuals, µm:", np.round(missed, 2))
    assert float(np.percentile(missed, 95)) <= 1.0


def test_an_unsharp_field_is_focused_and_imaged_again(
    make_plan: Any, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan's focus is 6 µm off; rules look at the fields that replace the unsharp ones."""
    heights: list[float] = []

    def take_image(plate: SimulatedPlate, view: View, channel: int, rng: Any, *, lit: bool) -> np.ndarray:
        heights.append(view.defocus)
        side = max(4, round(32 / (1 + abs(view.defocus) / 2)))
        blocks = np.kron(np.random.default_rng(7).integers(0, 2, (16, 16)), np.ones((2, 2)))[..., None]
        return np.round(9000 * resize(resize(blocks.astype(np.float32), side, side), 32, 32)[..., 0]).astype(np.uint16)

    predictor = open_bundle(tiny_bundle, threads=1)
    prepare = predictor.prepare

    def judge(field: Any) -> Any:
        prepared = prepare(field)
        sharp = measure_sharpness(field.pixels[..., 0]) > 0.8 * sharpest
        return prepared if sharp else replace(prepared, warnings=(FieldWarning(WarningKind.UNSHARP, ("red",)),))

    monkeypatch.setattr(SimulatedPlate, "take_image", take_image)
    monkeypatch.setattr(SimulatedPlate, "count_cells", lambda *_: 0)
    monkeypatch.setattr(predictor, "prepare", judge)
    sharpest = measure_sharpness(take_image(None, View(0, 0, 0.0, 1, 32, 100), 0, None, lit=True))  # type: ignore[arg-type]
    change = {"plate.wells": ["A1"], "plate.z": 6.0, "quality.autofocus_um": 12.0, "rules.0.most": 1, "mode": "observe"}
    result = run_plan(check_plan(make_plan(change)), predictor, tmp_path / "out")
    lines = [json.loads(line) for line in (tmp_path / "out" / "decisions.jsonl").read_text().splitlines()]
    assert result.error is None
    assert [line["field"] for line in lines] == ["A1_01", "A1_02", "A1_01-focus", "A1_02-focus"] or [
        line["field"] for line in lines
    ] == ["A1_01", "A1_01-focus", "A1_02", "A1_02-focus"]
    by_name = {line["field"]: line for line in lines}
    assert [verdict["verdict"] for verdict in by_name["A1_01"]["rules"]] == ["refocus"]
    assert [verdict["verdict"] for verdict in by_name["A1_01-focus"]["rules"]] == ["again"]
    assert abs(by_name["A1_01-focus"]["focus"]) < 1
    assert abs(by_name["A1_02"]["focus"] - 6) < 0.01
    assert max(abs(z) for z in heights) <= 18
