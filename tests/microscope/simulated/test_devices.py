"""The simulated microscope's devices, and the engine that drives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lociscope.microscope.engine import StrictEngine
from lociscope.microscope.focus import Focus, HardwareError
from lociscope.microscope.hardware import Scope, close_shutters, open_scope, scale_of
from lociscope.microscope.positions import OutsideError, events_of, planned, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np


@pytest.fixture
def plan(make_plan: Any) -> Any:
    return make_plan({"plate.sites": [1, 1]})


@pytest.fixture
def scope(plan: Any) -> Iterator[Scope]:
    with open_scope(plan, scale_of(plan)) as opened:
        yield opened


def run(scope: Scope, plan: Any, events: list[Any]) -> list[tuple[np.ndarray, Any]]:
    taken: list[tuple[np.ndarray, Any]] = []
    focus = Focus(scope.core, plan)
    focus.begin()
    scope.core.mda.set_engine(StrictEngine(scope.core, plan.limits, focus))

    def keep(picture: np.ndarray, event: Any, meta: Any) -> None:
        taken.append((picture, event))

    scope.core.mda.events.frameReady.connect(keep)
    try:
        scope.core.mda.run(iter(events))
    finally:
        scope.core.mda.events.frameReady.disconnect(keep)
    return taken


def events(plan: Any) -> list[Any]:
    return [event for stop in planned(plan, scale_of(plan)) for event in events_of(stop, plan)]


def test_each_event_is_one_picture_of_its_place_and_channel(scope: Scope, plan: Any) -> None:
    taken = run(scope, plan, events(plan))
    assert [event.metadata["channel"] for _, event in taken] == [0, 1, 2, 3] * 2
    assert {(picture.shape, picture.dtype.name) for picture, _ in taken} == {((32, 32), "uint16")}
    assert len({picture.tobytes() for picture, _ in taken}) == 8
    assert all(picture.max() > 1000 for picture, _ in taken)


def test_simulated_time_is_that_of_the_plan(scope: Scope, plan: Any) -> None:
    stops = planned(plan, scale_of(plan))
    run(scope, plan, events(plan))
    # the wheel stands at red when it is switched on, and the stage at the first well
    spent = seconds(None, stops[0], plan) + seconds(stops[0], stops[1], plan) - plan.timing.channel_s
    assert scope.clock() == pytest.approx(spent)


def test_the_shutter_is_open_for_pictures_only(scope: Scope, plan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = scope.bench
    assert bench is not None
    during = []
    photograph = bench.plate.photograph

    def spy(*args: Any, lit: bool) -> np.ndarray:
        during.append(lit)
        return photograph(*args, lit=lit)

    monkeypatch.setattr(bench.plate, "photograph", spy)
    run(scope, plan, events(plan))
    assert during == [True] * 8
    assert not bench.opened
    assert scope.core.getAutoShutter()


@pytest.mark.parametrize("changes", [{"x_pos": 10_001.0}, {"y_pos": float("nan")}, {"z_pos": 51.0}])
def test_nothing_moves_for_an_event_outside_the_limits(scope: Scope, plan: Any, changes: dict[str, float]) -> None:
    bench = scope.bench
    assert bench is not None
    event = events(plan)[0].model_copy(update=changes)
    with pytest.raises(OutsideError, match="outside the limits"):
        run(scope, plan, [event])
    assert (bench.x, bench.y, bench.z, bench.pictures, bench.clock) == (0, 0, 0, 0, 0)


def test_a_stage_that_does_not_arrive_is_told(scope: Scope, plan: Any) -> None:
    bench = scope.bench
    assert bench is not None
    device = scope.core._pydevices["XY"]  # type: ignore[attr-defined]
    device.set_position_um = lambda x, y: None
    with pytest.raises(HardwareError, match=r"the stage was sent to 9000.0, 0.0 µm and is at 0.0, 0.0"):
        run(scope, plan, events(plan))
    assert bench.pictures == 4


@pytest.mark.parametrize(
    ("device", "method"), [("XY", "set_position_um"), ("Objective", "set_state"), ("Z", "set_position_um")]
)
def test_a_device_that_fails_ends_the_run(scope: Scope, make_plan: Any, device: str, method: str) -> None:
    def fail(*args: object) -> None:
        raise RuntimeError("it is stuck\nin two lines")

    moving = make_plan({"plate.sites": [1, 1], "plate.a1": [500.0, 0.0], "plate.z": 3.0, "objectives.0.name": "10x"})
    setattr(scope.core._pydevices[device], method, fail)  # type: ignore[attr-defined]
    with pytest.raises(HardwareError, match=r"Field 'A1_01': the microscope failed \(it is stuck\)"):
        run(
            scope,
            moving,
            [event.model_copy(update={"properties": [("Objective", "Label", "20x")]}) for event in events(moving)],
        )


def test_a_camera_that_gives_nothing_leaves_the_shutter_closed(scope: Scope, plan: Any) -> None:
    bench = scope.bench
    assert bench is not None

    def fail(*args: object) -> None:
        raise TimeoutError("no frame in 5 s")

    scope.core._pydevices["Camera"].snap = fail  # type: ignore[attr-defined]
    with pytest.raises(HardwareError, match=r"the camera gave no picture \(no frame in 5 s\)"):
        run(scope, plan, events(plan))
    assert not bench.opened


def test_the_focus_goes_to_safety_first(make_plan: Any) -> None:
    plan = make_plan({"plate.sites": [1, 1], "limits.safe_z": -40.0})
    with open_scope(plan, scale_of(plan)) as scope:
        heights: list[float] = []
        device = scope.core._pydevices["Z"]  # type: ignore[attr-defined]
        go = device.set_position_um

        def spy(z: float) -> None:
            heights.append(z)
            go(z)

        device.set_position_um = spy
        run(scope, plan, events(plan))
    assert heights == [-40.0, 0.0, -40.0, 0.0]


def test_every_shutter_is_closed_at_the_end(plan: Any) -> None:
    with open_scope(plan, scale_of(plan)) as scope:
        bench = scope.bench
        assert bench is not None
        scope.core.setShutterOpen(True)
    assert not bench.opened


def test_a_shutter_that_cannot_be_closed_is_told(plan: Any, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*args: object) -> None:
        raise RuntimeError("jammed")

    with open_scope(plan, scale_of(plan)) as scope:
        device = scope.core._pydevices["Shutter"]  # type: ignore[attr-defined]
        closing = device.set_open
        device.set_open = fail
    assert not scope.dark
    assert "A shutter could not be closed. Close it by hand" in caplog.text
    device.set_open = closing
    assert close_shutters(scope.core)


def test_a_camera_of_another_size_is_refused(make_plan: Any) -> None:
    from lociscope.errors import UsageError

    with pytest.raises(UsageError, match="the simulated camera is square"):
        scale_of(make_plan({"microscope.frame": [32, 16]}))  # so that --dry-run tells it, too
