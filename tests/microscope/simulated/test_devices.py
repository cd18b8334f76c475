"""The simulated microscope's devices, and the engine that drives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lociscope.microscope.engine import StrictEngine
from lociscope.microscope.focus import FocusController, HardwareError
from lociscope.microscope.hardware import MicroscopeSession, close_shutters, find_scale, open_microscope
from lociscope.microscope.positions import OutsideLimitsError, estimate_field_seconds, make_events, plan_positions

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np


@pytest.fixture
def plan(make_plan: Any) -> Any:
    return make_plan({"plate.sites": [1, 1]})


@pytest.fixture
def session(plan: Any) -> Iterator[MicroscopeSession]:
    with open_microscope(plan, find_scale(plan)) as opened:
        yield opened


def run(session: MicroscopeSession, plan: Any, events: list[Any]) -> list[tuple[np.ndarray, Any]]:
    acquired: list[tuple[np.ndarray, Any]] = []
    focus = FocusController(session.core, plan)
    focus.begin()
    session.core.mda.set_engine(StrictEngine(session.core, plan.limits, focus))

    def keep(image: np.ndarray, event: Any, meta: Any) -> None:
        acquired.append((image, event))

    session.core.mda.events.frameReady.connect(keep)
    try:
        session.core.mda.run(iter(events))
    finally:
        session.core.mda.events.frameReady.disconnect(keep)
    return acquired


def events(plan: Any) -> list[Any]:
    return [event for position in plan_positions(plan, find_scale(plan)) for event in make_events(position, plan)]


def test_each_event_is_one_image_of_its_position_and_channel(session: MicroscopeSession, plan: Any) -> None:
    acquired = run(session, plan, events(plan))
    assert [event.metadata["channel"] for _, event in acquired] == [0, 1, 2, 3] * 2
    assert {(image.shape, image.dtype.name) for image, _ in acquired} == {((32, 32), "uint16")}
    assert len({image.tobytes() for image, _ in acquired}) == 8
    assert all(image.max() > 1000 for image, _ in acquired)


def test_simulated_time_is_that_of_the_plan(session: MicroscopeSession, plan: Any) -> None:
    positions = plan_positions(plan, find_scale(plan))
    run(session, plan, events(plan))
    # the wheel starts at red, and the stage at the first well
    spent = (
        estimate_field_seconds(None, positions[0], plan)
        + estimate_field_seconds(positions[0], positions[1], plan)
        - plan.timing.channel_s
    )
    assert session.clock() == pytest.approx(spent)


def test_the_shutter_is_open_only_for_images(
    session: MicroscopeSession, plan: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = session.simulated
    assert state is not None
    during = []
    take_image = state.plate.take_image

    def spy(*args: Any, lit: bool) -> np.ndarray:
        during.append(lit)
        return take_image(*args, lit=lit)

    monkeypatch.setattr(state.plate, "take_image", spy)
    run(session, plan, events(plan))
    assert during == [True] * 8
    assert not state.shutter_open
    assert session.core.getAutoShutter()


@pytest.mark.parametrize("changes", [{"x_pos": 10_001.0}, {"y_pos": float("nan")}, {"z_pos": 51.0}])
def test_nothing_moves_for_an_event_outside_the_limits(
    session: MicroscopeSession, plan: Any, changes: dict[str, float]
) -> None:
    state = session.simulated
    assert state is not None
    event = events(plan)[0].model_copy(update=changes)
    with pytest.raises(OutsideLimitsError, match="outside the limits"):
        run(session, plan, [event])
    assert (state.x, state.y, state.z, state.images, state.clock) == (0, 0, 0, 0, 0)


def test_a_stage_that_does_not_arrive_is_an_error(session: MicroscopeSession, plan: Any) -> None:
    state = session.simulated
    assert state is not None
    device = session.core._pydevices["XY"]  # type: ignore[attr-defined]
    device.set_position_um = lambda x, y: None
    with pytest.raises(HardwareError, match=r"the stage was sent to 9000.0, 0.0 µm and is at 0.0, 0.0"):
        run(session, plan, events(plan))
    assert state.images == 4


@pytest.mark.parametrize(
    ("device", "method"), [("XY", "set_position_um"), ("Objective", "set_state"), ("Z", "set_position_um")]
)
def test_a_device_that_fails_ends_the_run(session: MicroscopeSession, make_plan: Any, device: str, method: str) -> None:
    def fail(*args: object) -> None:
        raise RuntimeError("it is stuck\nin two lines")

    moving = make_plan({"plate.sites": [1, 1], "plate.a1": [500.0, 0.0], "plate.z": 3.0, "objectives.0.name": "10x"})
    setattr(session.core._pydevices[device], method, fail)  # type: ignore[attr-defined]
    with pytest.raises(HardwareError, match=r"Field 'A1_01': the microscope failed \(it is stuck\)"):
        run(
            session,
            moving,
            [event.model_copy(update={"properties": [("Objective", "Label", "20x")]}) for event in events(moving)],
        )


def test_a_camera_that_gives_nothing_leaves_the_shutter_closed(session: MicroscopeSession, plan: Any) -> None:
    state = session.simulated
    assert state is not None

    def fail(*args: object) -> None:
        raise TimeoutError("no frame in 5 s")

    session.core._pydevices["Camera"].snap = fail  # type: ignore[attr-defined]
    with pytest.raises(HardwareError, match=r"the camera gave no image \(no frame in 5 s\)"):
        run(session, plan, events(plan))
    assert not state.shutter_open


def test_the_focus_goes_to_safety_first(make_plan: Any) -> None:
    plan = make_plan({"plate.sites": [1, 1], "limits.safe_z": -40.0})
    with open_microscope(plan, find_scale(plan)) as session:
        heights: list[float] = []
        device = session.core._pydevices["Z"]  # type: ignore[attr-defined]
        go = device.set_position_um

        def spy(z: float) -> None:
            heights.append(z)
            go(z)

        device.set_position_um = spy
        run(session, plan, events(plan))
    assert heights == [-40.0, 0.0, -40.0, 0.0]


def test_every_shutter_is_closed_at_the_end(plan: Any) -> None:
    with open_microscope(plan, find_scale(plan)) as session:
        state = session.simulated
        assert state is not None
        session.core.setShutterOpen(True)
    assert not state.shutter_open


def test_a_shutter_that_cannot_be_closed_is_logged(plan: Any, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*args: object) -> None:
        raise RuntimeError("jammed")

    with open_microscope(plan, find_scale(plan)) as session:
        device = session.core._pydevices["Shutter"]  # type: ignore[attr-defined]
        closing = device.set_open
        device.set_open = fail
    assert not session.dark
    assert "A shutter could not be closed. Close it by hand" in caplog.text
    device.set_open = closing
    assert close_shutters(session.core)


def test_a_camera_of_another_size_is_refused(make_plan: Any) -> None:
    from lociscope.errors import UsageError

    with pytest.raises(UsageError, match="the simulated camera is square"):
        find_scale(make_plan({"microscope.frame": [32, 16]}))  # so that --dry-run tells it, too
