"""The walk through a plan on the simulated microscope."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lociscope.microscope.acquire import check_plan
from lociscope.microscope.check import check_microscope
from lociscope.microscope.simulated.devices import SimulatedCamera, SimulatedShutter, SimulatedStage
from lociscope.microscope.simulated.specimen import SimulatedPlate
from lociscope.predict.predictor import Predictor, open_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from lociscope.microscope.finding import Finding


@pytest.fixture(scope="module")
def predictor(tiny_bundle: Path) -> Predictor:
    return open_bundle(tiny_bundle, threads=1)


@pytest.fixture(autouse=True)
def shutter(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Images of bright blocks, and what the shutter did."""
    seen: list[bool] = []
    set_open = SimulatedShutter.set_open

    def shut(self: SimulatedShutter, open: bool) -> None:
        seen.append(open)
        set_open(self, open)

    def take_image(plate: SimulatedPlate, view: Any, channel: int, rng: np.random.Generator, *, lit: bool) -> Any:
        blocks = np.kron(rng.integers(0, 2, (8, 8)), np.ones((4, 4), int))
        return (30_000 * blocks + rng.integers(0, 900, (32, 32))).astype(np.uint16)

    monkeypatch.setattr(SimulatedShutter, "set_open", shut)
    monkeypatch.setattr(SimulatedPlate, "take_image", take_image)
    return seen


def walk(plan: Any, predictor: Predictor) -> dict[str, Finding]:
    found = list(check_microscope(check_plan(plan), plan.limits, predictor))
    assert len({each.what for each in found}) == len(found)
    return {each.what: each for each in found}


def test_a_walk_visits_every_objective_and_the_corners(
    make_plan: Any, predictor: Predictor, shutter: list[bool]
) -> None:
    plan = make_plan({"plate.wells": ["A1:A2"], "objectives.1.focus_um": 3.0, "limits.safe_z": -20.0})
    found = walk(plan, predictor)
    assert list(found) == [
        "devices", "focus, 10x", "images, 10x", "focus, 20x", "images, 20x", "stage, A1_01", "stage, A2_02",
        "stage, return", "timing",
    ]  # fmt: skip
    assert found["focus, 10x"].values == {"um": 0.0}
    assert found["focus, 20x"].values == {"um": 3.0}
    assert found["stage, return"].values == {"um": 0.0}
    assert found["timing"].values["expected_s"] == pytest.approx(0.25)
    assert len(found["images, 10x"].values["levels"]["red"]) == 3
    assert shutter.count(True) == 8
    assert shutter[-1] is False


def test_an_empty_channel_is_named(make_plan: Any, predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    lit = SimulatedPlate.take_image

    def take_image(plate: SimulatedPlate, view: Any, channel: int, rng: np.random.Generator, *, lit: bool) -> Any:
        return old(plate, view, channel, rng, lit=lit) * np.uint16(channel != 1)

    old = lit
    monkeypatch.setattr(SimulatedPlate, "take_image", take_image)
    found = walk(make_plan(), predictor)["images, 10x"]
    assert not found.passed
    assert "empty plane: green" in found.values["warnings"]


def test_a_stage_that_does_not_return_is_remarked_on(
    make_plan: Any, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    move, moves = SimulatedStage.set_position_um, [0]

    def drift(self: SimulatedStage, x: float, y: float) -> None:
        moves[0] += 1
        move(self, x + 1.5 * moves[0] * (moves[0] > 1), y)

    monkeypatch.setattr(SimulatedStage, "set_position_um", drift)
    found = walk(make_plan(), predictor)
    assert not found["stage, return"].passed
    assert found["stage, return"].values["um"] > 2


def test_a_device_that_fails_is_the_last_finding(
    make_plan: Any, predictor: Predictor, monkeypatch: pytest.MonkeyPatch, shutter: list[bool]
) -> None:
    def snap(self: SimulatedCamera, buffer: np.ndarray) -> Any:
        raise TimeoutError("no frame in 5 s")

    monkeypatch.setattr(SimulatedCamera, "snap", snap)
    found = walk(make_plan(), predictor)
    assert list(found) == ["devices", "device"]
    assert "the camera gave no image (no frame in 5 s)" in found["device"].text
    assert shutter[-1] is False
