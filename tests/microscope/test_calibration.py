"""What `check --fit` finds of a microscope whose plan is wrong, on stages and cameras that the test makes up."""

from __future__ import annotations

import math
import tomllib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lociscope.images.scale import resize
from lociscope.microscope.acquire import check_plan, require_limits
from lociscope.microscope.calibration import CameraAxes, choose_check_wells, fit_centres, fit_plate, format_keys
from lociscope.microscope.check import check_microscope
from lociscope.microscope.positions import find_well_centres
from lociscope.microscope.simulated.devices import SimulatedCamera
from lociscope.predict.predictor import open_bundle

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lociscope.microscope.finding import Finding
    from lociscope.microscope.positions import Position

pytest.importorskip("skimage")

BLOCKS = {
    "plate.wells": ["A1:C4"], "plate.sites": [1, 1], "rules": [],
    "limits": {"x": [-6000, 40000], "y": [-30000, 6000], "z": [-50, 50]},
}  # fmt: skip


@pytest.mark.parametrize("angle", [0.0, 0.8, -90.0, 179.0])
@pytest.mark.parametrize("scale", [1.0, 0.9])
@pytest.mark.parametrize("mirrored", [False, True])
def test_the_axes_of_a_camera_are_fitted(angle: float, scale: float, mirrored: bool) -> None:
    steps = np.array([(24.0, 0.0), (0.0, 24.0), (-24.0, 0.0)])
    turn = math.radians(-angle)  # a camera that is turned anticlockwise sees the scene turned clockwise
    seen = scale * steps @ np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]).T
    if mirrored:
        seen = seen * (1, -1)
    axes = CameraAxes.fit(steps, seen)
    assert axes.scale == pytest.approx(scale)
    assert axes.mirrored == mirrored
    assert math.isclose((axes.rotation - angle + 180) % 360 - 180, 0, abs_tol=1e-6)


def test_wells_far_apart_are_checked(make_plan: Any) -> None:
    plan = make_plan(BLOCKS)
    assert set(choose_check_wells(plan, find_well_centres(plan.plate))) == {"A1", "C4", "A4"} or set(
        choose_check_wells(plan, find_well_centres(plan.plate))
    ) == {"A1", "C4", "C1"}
    assert choose_check_wells(make_plan(), find_well_centres(make_plan().plate)) == ["A1", "A2"]


def true_centres(plan: Any, a1: tuple[float, float], rotation: float) -> Mapping[str, tuple[float, float]]:
    return find_well_centres(plan.plate.model_copy(update={"a1": a1, "rotation": rotation}))


def test_centres_of_wells_give_the_plate(make_plan: Any) -> None:
    plan = make_plan(BLOCKS)
    true = true_centres(plan, (310.0, -120.0), 1.5)
    fit = fit_centres(plan, {well: true[well] for well in ("A1", "C4", "C1")})
    assert fit.a1 == pytest.approx((310, -120))
    assert fit.rotation == pytest.approx(1.5)
    assert fit.residual_um < 1e-6
    assert fit_centres(plan, {"A2": true_centres(plan, (5.0, 6.0), 0.0)["A2"]}).a1 == pytest.approx((5, 6))


@pytest.mark.parametrize(("a1", "rotation"), [((0.0, 0.0), 0.0), ((800.0, -500.0), 1.0)])
def test_the_edges_of_wells_give_the_plate(make_plan: Any, a1: tuple[float, float], rotation: float) -> None:
    plan = make_plan(BLOCKS)
    true = np.array(list(true_centres(plan, a1, rotation).values()))
    limits = require_limits(plan)

    def see(position: Position) -> np.ndarray:
        assert limits.x[0] <= position.x <= limits.x[1]
        distance = np.hypot(*(true - (position.x, position.y)).T).min()
        return np.full((8, 8), 1000.0 if distance < 3200 else 100.0)

    fit = fit_plate(plan, limits, see, check_plan(plan).positions[0])
    assert fit is not None
    assert math.dist(fit.a1, a1) < 30
    assert fit.rotation == pytest.approx(rotation, abs=0.1)


def test_without_edges_nothing_is_fitted(make_plan: Any) -> None:
    plan = make_plan(BLOCKS)
    start = check_plan(plan).positions[0]
    assert fit_plate(plan, require_limits(plan), lambda position: np.full((8, 8), 500.0), start) is None
    narrow = make_plan(BLOCKS | {"limits": {"x": [-1000, 40000], "y": [-30000, 1000], "z": [-50, 50]}})
    assert fit_plate(narrow, require_limits(narrow), lambda position: np.ones((8, 8)), start) is None


SCENE = np.random.default_rng(0).uniform(200, 4000, (1600, 1600, 4)).repeat(2, 0).repeat(2, 1)
"""Blocks of 20 µm, 10 µm a pixel, around the well A1."""


@pytest.fixture
def findings(make_plan: Any, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what is found where the turret's second objective looks 30 µm beside and is focused 4 µm higher."""

    scale = [1.0]

    def snap(self: SimulatedCamera, buffer: np.ndarray) -> dict[str, object]:
        state = self._state
        second = state.objective == 1
        size = state.pixel_sizes[state.objective] * scale[0]
        right, up = (30.0, -20.0) if second else (0.0, 0.0)
        columns = np.round(1600 + (state.x + right) / 10 + np.arange(-32, 32) * size / 10).astype(int) % 3200
        rows = np.round(1600 - (state.y + up) / 10 + np.arange(-32, 32) * size / 10).astype(int) % 3200
        image = SCENE[np.ix_(rows, columns)][..., state.channel]
        side = max(8, round(64 / (1 + abs(state.z - (4.0 if second else 0.0)) / 3)))
        buffer[:] = resize(resize(image[..., None].astype(np.float32), side, side), 64, 64)[..., 0]
        return {}

    monkeypatch.setattr(SimulatedCamera, "snap", snap)

    def walk(true_scale: float = 1.0) -> dict[str, Finding]:
        scale[0] = true_scale
        plan = make_plan(
            BLOCKS
            | {"microscope.frame": [64, 64], "plate.wells": ["A1"], "quality.autofocus_um": 15.0,
               "objectives": [{"name": "10x", "pixel_size": 20.0}, {"name": "20x", "pixel_size": 10.0}]}
        )  # fmt: skip
        found = check_microscope(check_plan(plan), require_limits(plan), open_bundle(tiny_bundle, threads=1), fit=True)
        return {each.what: each for each in found}

    return walk


def test_the_offsets_of_an_objective_are_fitted(findings: Any) -> None:
    found = findings()
    assert found["camera, axes"].passed, found["camera, axes"].text
    assert found["camera, axes"].values["pixel_size"] == pytest.approx(20, rel=0.03)
    assert found["focus_um, 10x"].passed
    assert not found["focus_um, 20x"].passed
    assert found["focus_um, 20x"].values["um"] == pytest.approx(4.0, abs=1.0)
    assert found["offset_um, 20x"].values["um"] == pytest.approx([-30, 20], abs=6)
    assert not found["plate"].passed
    written = tomllib.loads(found["plate"].values["toml"])
    assert written["objectives"][1]["name"] == "20x"
    assert written["objectives"][1]["focus_um"] == pytest.approx(4.0, abs=1.0)


def test_a_wrong_pixel_size_is_found(findings: Any) -> None:
    axes = findings(true_scale=0.8)["camera, axes"]
    assert not axes.passed
    assert axes.values["pixel_size"] == pytest.approx(16, rel=0.05)


def test_what_is_not_fitted_is_not_written() -> None:
    assert format_keys(None, None, {}) == "\n"
