"""The focus at each image, whatever the plan omits and whatever happened before."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from lociscope.errors import LociscopeError
from lociscope.microscope.acquire import check_plan, run_plan
from lociscope.microscope.describe import describe_focus
from lociscope.microscope.focus import FocusController, HardwareError
from lociscope.microscope.hardware import find_scale, open_microscope
from lociscope.microscope.plan import Plan
from lociscope.microscope.run_result import RunResult
from lociscope.microscope.simulated.devices import SimulatedCamera, SimulatedFocus, SimulatedStage
from lociscope.predict.predictor import Predictor, open_bundle

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

SAFE = {"plate.z": None, "limits.safe_z": -40.0}
"""As the how-to page recommends for a focus lock: `safe_z` is set, and `plate.z` left out."""


@pytest.fixture(scope="module")
def predictor(tiny_bundle: Path) -> Predictor:
    return open_bundle(tiny_bundle, threads=1)


@pytest.fixture
def drive(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The focus drive, which stays where it is when the program ends: `at`, and `moves` and `images` so far."""
    drive: dict[str, Any] = {"at": 7.0, "moves": [], "images": []}
    snap = SimulatedCamera.snap

    def see(self: SimulatedCamera, buffer: np.ndarray) -> Any:
        drive["images"].append(drive["at"])
        self._state.z = 0.0  # the cells are quick to draw in focus
        return snap(self, buffer)

    def go(self: SimulatedFocus, val: float) -> None:
        drive["at"] = val
        drive["moves"].append(val)

    monkeypatch.setattr(SimulatedCamera, "snap", see)
    monkeypatch.setattr(SimulatedFocus, "set_position_um", go)
    monkeypatch.setattr(SimulatedFocus, "get_position_um", lambda self: drive["at"])
    return drive


Run = Callable[..., RunResult]


@pytest.fixture
def run(make_plan: Any, predictor: Predictor, tmp_path: Path) -> Run:
    return lambda changes=SAFE: run_plan(check_plan(make_plan(changes)), predictor, tmp_path / "out")


def lines_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "out" / "decisions.jsonl").read_text().splitlines()]


def test_every_image_is_taken_where_the_focus_was(drive: dict[str, Any], run: Run, tmp_path: Path) -> None:
    assert run().fields == 10  # ten of two wells, six of them with another objective
    assert set(drive["images"]) == {7.0}
    assert drive["moves"][:4] == [-40.0, 7.0, -40.0, 7.0]
    assert {line["focus"] for line in lines_of(tmp_path)} == {7.0}
    assert {line["z"] for line in lines_of(tmp_path)} == {None}


def test_within_a_well_the_focus_does_not_move(drive: dict[str, Any], run: Run) -> None:
    assert run({**SAFE, "rules": []}).fields == 4
    assert drive["moves"] == [-40.0, 7.0] * 2


def test_objectives_that_are_not_parfocal_are_corrected(drive: dict[str, Any], run: Run, tmp_path: Path) -> None:
    run({**SAFE, "objectives.1.focus_um": 2.5})
    assert {(line["objective"], line["focus"]) for line in lines_of(tmp_path)} == {("10x", 7.0), ("20x", 9.5)}


def test_without_safe_z_the_correction_is_made_too(drive: dict[str, Any], run: Run, tmp_path: Path) -> None:
    run({"plate.z": None, "objectives.1.focus_um": 2.5})
    assert {(line["objective"], line["focus"]) for line in lines_of(tmp_path)} == {("10x", 7.0), ("20x", 9.5)}
    assert -40.0 not in drive["moves"]


def test_nothing_moves_the_focus_that_need_not(drive: dict[str, Any], run: Run) -> None:
    assert run({"plate.z": None}).fields == 10
    assert drive["moves"] == []


def test_plate_z_overrides_the_present_focus(drive: dict[str, Any], run: Run) -> None:
    run({"limits.safe_z": -40.0, "plate.z": 3.0})
    assert set(drive["images"]) == {3.0}


def test_refocusing_by_hand_is_kept(
    drive: dict[str, Any], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = SimulatedStage.set_position_um

    def within_the_well(self: SimulatedStage, x: float, y: float) -> None:
        if drive["at"] != -40.0:  # not on the way to another well
            drive["at"] = 11.0
        move(self, x, y)

    monkeypatch.setattr(SimulatedStage, "set_position_um", within_the_well)
    run({**SAFE, "rules": []})
    assert [line["focus"] for line in lines_of(tmp_path)] == [7.0, 11.0, 11.0, 11.0]


def test_small_errors_of_readings_do_not_accumulate(
    drive: dict[str, Any], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SimulatedFocus, "get_position_um", lambda self: drive["at"] + 0.3)
    run()
    assert {round(z, 6) for z in drive["images"]} == {7.3}


# === Refused, and after a crash ===


def test_a_focus_that_is_at_safe_z_is_refused(drive: dict[str, Any], run: Run, tmp_path: Path) -> None:
    drive["at"] = -40.0
    with pytest.raises(LociscopeError, match=r"the focus is at safe_z \(-40 µm\), so it is unknown where"):
        run()
    assert (drive["moves"], drive["images"]) == ([], [])
    assert not (tmp_path / "out").exists()
    assert run({**SAFE, "plate.z": 0.0}).fields == 10  # the remedy that the message names, in the same folder


def test_a_focus_outside_the_limits_is_refused(drive: dict[str, Any], run: Run) -> None:
    drive["at"] = 49.0
    with pytest.raises(LociscopeError, match=r"The focus with the objective '20x' is at z 51.0 µm, outside"):
        run({**SAFE, "objectives.1.focus_um": 2.0})
    assert drive["moves"] == []


def crash(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stage breaks down on its way to the second well, while the focus is withdrawn."""
    move = SimulatedStage.set_position_um

    def fail(self: SimulatedStage, x: float, y: float) -> None:
        if x > 5000:
            raise RuntimeError("it is stuck")
        move(self, x, y)

    monkeypatch.setattr(SimulatedStage, "set_position_um", fail)


def test_after_a_crash_at_safe_z_the_focus_goes_back(
    drive: dict[str, Any], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        crash(patch)
        assert "it is stuck" in str(run().error)
    assert drive["at"] == -40.0  # it stays withdrawn: nobody knows where the stage is
    drive["images"].clear()
    assert run().fields == 10
    assert set(drive["images"]) == {7.0}


def test_a_focus_that_was_moved_between_two_calls_is_refused(
    drive: dict[str, Any], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        crash(patch)
        run()
    drive["at"] = 0.0  # as after a power cut
    moves = len(drive["moves"])
    with pytest.raises(LociscopeError, match=r"is at 0.0 µm, and was at 7.0 µm when the earlier call ended"):
        run()
    assert len(drive["moves"]) == moves
    (tmp_path / "out" / "focus.json").unlink()  # the remedy that the message names
    drive["at"] = 8.0
    drive["images"].clear()
    assert run().fields == 10
    assert set(drive["images"]) == {8.0}


def test_a_damaged_note_is_refused(drive: dict[str, Any], run: Run, tmp_path: Path) -> None:
    run({**SAFE, "budget.fields": 1})
    (tmp_path / "out" / "focus.json").write_text("{")
    with pytest.raises(LociscopeError, match=r"focus.json' is damaged"):
        run({**SAFE, "budget.fields": 2})


@pytest.mark.parametrize(("stuck_at", "message"), [(7.0, "sent to -40.0 µm and is at 7.0"), (-40.0, "sent to 7.0 µm")])
def test_a_focus_that_does_not_arrive_ends_the_run(
    drive: dict[str, Any], run: Run, monkeypatch: pytest.MonkeyPatch, stuck_at: float, message: str
) -> None:
    monkeypatch.setattr(SimulatedFocus, "set_position_um", lambda self, val: drive.update(at=stuck_at))
    result = run()
    assert message in str(result.error)
    assert (result.fields, drive["images"]) == (0, [])


# === A focus lock ===


class Locked:
    """A microscope whose focus lock follows the plate: 1 µm up each time it locks."""

    def __init__(self, *, locks: bool = True) -> None:
        self.z, self.on, self.locks = 7.0, True, locks
        self.done: list[str] = []

    def getAutoFocusDevice(self) -> str:
        return "PFS"

    def getFocusDevice(self) -> str:
        return "Z"

    def getProperty(self, device: str, name: str) -> str:
        return "10x"

    def getPosition(self) -> float:
        return self.z

    def setPosition(self, z: float) -> None:
        assert not self.on, "the lock holds the focus"
        self.z = z
        self.done.append(f"z {z:g}")

    def waitForDevice(self, device: str) -> None:
        pass

    def isContinuousFocusEnabled(self) -> bool:
        return self.on

    def isContinuousFocusLocked(self) -> bool:
        return self.on and self.locks

    def enableContinuousFocus(self, on: bool) -> None:
        self.on = on
        self.z += on
        self.done.append("lock" if on else "release")


class FocusStore:
    def __init__(self, known: dict[str, float] | None = None) -> None:
        self.known = known

    def load_focus(self) -> dict[str, float] | None:
        return self.known

    def save_focus(self, z: float, *, locked: bool) -> None:
        self.known = {"z": z, "locked": locked}


def test_a_focus_lock_is_released_for_the_travel_and_locks_again(make_plan: Any) -> None:
    core, store = Locked(), FocusStore()
    focus = FocusController(core, make_plan(SAFE), store)  # type: ignore[arg-type]
    focus.begin()
    for _ in range(2):
        focus.withdraw(turning=False)
        assert not core.on
        focus.restore(None, None)
    assert core.done == ["release", "z -40", "z 7", "lock", "release", "z -40", "z 8", "lock"]
    assert store.known == {"z": 8.0, "locked": True}


def test_a_focus_lock_that_does_not_lock_ends_the_run(make_plan: Any) -> None:
    core = Locked(locks=False)
    focus = FocusController(core, make_plan({**SAFE, "microscope.timeout_s": 0.1}))  # type: ignore[arg-type]
    focus.begin()
    focus.withdraw(turning=False)
    with pytest.raises(HardwareError, match=r"the focus lock 'PFS' did not lock within 0.05 s"):
        focus.restore(None, None)


def test_a_focus_lock_that_was_released_when_a_call_crashed_locks_again(make_plan: Any) -> None:
    core = Locked()
    core.on, core.z = False, -40.0
    focus = FocusController(core, make_plan(SAFE), FocusStore({"z": 7.0, "locked": True}))  # type: ignore[arg-type]
    focus.begin()
    focus.withdraw(turning=False)
    focus.restore(None, None)
    assert core.done == ["z -40", "z 7", "lock"]


def test_a_lock_that_holds_is_trusted_wherever_it_is(make_plan: Any) -> None:
    core = Locked()
    core.z = 20.0
    FocusController(core, make_plan(SAFE), FocusStore({"z": 7.0, "locked": True})).begin()  # type: ignore[arg-type]
    assert core.done == []


def test_an_objective_that_the_plan_does_not_list(make_plan: Any) -> None:
    with pytest.raises(LociscopeError, match=r"set with the objective '10x', which the plan does not list. Focus with"):
        FocusController(Locked(), make_plan({**SAFE, "objectives.0.label": "Nikon 10X"})).begin()  # type: ignore[arg-type]


def test_the_lock_of_the_demo_microscope() -> None:
    pytest.importorskip("mm_test_adapters", reason="DemoCamera's adapters are not installed")
    shipped = Plan.read("demo")
    assert shipped.limits is not None
    plan = shipped.model_copy(update={"limits": shipped.limits.model_copy(update={"safe_z": -40.0})})
    with open_microscope(plan, find_scale(plan)) as session:
        core, focus = session.core, FocusController(session.core, plan)
        core.setPosition(7.0)
        with pytest.raises(LociscopeError, match=r"objective 'Nikon 10X S Fluor', which the plan does not list"):
            focus.begin()
        core.setProperty("Objective", "Label", str(plan.objectives[0].label))
        core.enableContinuousFocus(True)
        focus.begin()
        focus.withdraw(turning=False)
        assert (core.getPosition(), core.isContinuousFocusEnabled()) == (-40.0, False)
        focus.restore(None, None)
        assert (core.getPosition(), core.isContinuousFocusLocked()) == (7.0, True)


# === In words ===


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (SAFE, r"where it was before; to safe_z -40 µm before the stage travels over 1 mm or .*, and back before"),
        (SAFE, r"a focus that is at safe_z from the start is refused"),
        ({"limits.safe_z": -40.0}, r"z 0 µm; to safe_z -40 µm"),
        ({"objectives.1.focus_um": 2.5}, r"z 0 µm \(\+2.5 µm for 20x\); no safe_z: it stays there"),
        ({"plate.z": None, "objectives.1.focus_um": 2.5}, r"where it was before \(\+2.5 µm for 20x\)"),
        ({"plate.z": None}, r"stays where it is; nothing moves it"),
    ],
)
def test_describe_focus(make_plan: Any, changes: dict[str, Any], words: str) -> None:
    assert re.search(words, describe_focus(make_plan(changes)))
