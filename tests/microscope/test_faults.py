"""Faults of a run: no picture that was taken is lost, no shutter stays open, nothing moves outside the limits."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lociscope.errors import Code, LociscopeError
from lociscope.images.io.container import PlaneRef
from lociscope.images.io.write import write_ome_zarr
from lociscope.images.io.zarr_layout import list_images, read_attributes
from lociscope.microscope import acquire, engine, image_writer, safeguards
from lociscope.microscope.acquire import check_plan
from lociscope.microscope.decisions import SkipReason
from lociscope.microscope.image_writer import PLATE
from lociscope.microscope.simulated.devices import SimulatedCamera, SimulatedShutter, SimulatedStage
from lociscope.microscope.simulated.specimen import SimulatedPlate
from lociscope.predict.predictor import Predictor, open_bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lociscope.microscope.run_result import RunResult

SNAP, MOVE = SimulatedCamera.snap, SimulatedStage.set_position_um


@pytest.fixture(scope="module")
def predictor(tiny_bundle: Path) -> Predictor:
    return open_bundle(tiny_bundle, threads=1)


def draw(rng: np.random.Generator) -> np.ndarray:
    """An image (32, 32) of bright blocks, which is neither empty nor faint."""
    blocks = np.kron(rng.integers(0, 2, (8, 8)), np.ones((4, 4), int))
    return (30_000 * blocks + rng.integers(0, 900, (32, 32))).astype(np.uint16)


class Watched:
    """What the devices did: whether the shutter is open, and where the stage went."""

    def __init__(self) -> None:
        self.open = False
        self.opened_at: list[bool] = []
        self.moves: list[tuple[float, float]] = []
        self.moved_open = 0


@pytest.fixture(autouse=True)
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """Watch the devices during a test, and check at its end what no fault may bring about."""
    seen = Watched()
    set_open = SimulatedShutter.set_open

    def shut(self: SimulatedShutter, open: bool) -> None:
        seen.open = open
        set_open(self, open)

    def move(self: SimulatedStage, x: float, y: float) -> None:
        seen.moved_open += seen.open
        seen.moves.append((x, y))
        MOVE(self, x, y)

    def take_image(plate: SimulatedPlate, view: Any, channel: int, rng: np.random.Generator, *, lit: bool) -> Any:
        return draw(rng)

    monkeypatch.setattr(SimulatedShutter, "set_open", shut)
    monkeypatch.setattr(SimulatedStage, "set_position_um", move)
    monkeypatch.setattr(SimulatedPlate, "take_image", take_image)
    monkeypatch.setattr(SimulatedPlate, "count_cells", lambda *_: 0)
    monkeypatch.setattr(engine, "RETRY_S", 0.0)
    yield seen
    assert not seen.open
    assert seen.moved_open == 0
    assert all(-1000 <= x <= 10000 and -1000 <= y <= 1000 for x, y in seen.moves)


def run(plan: Any, predictor: Predictor, out: Path, **options: Any) -> RunResult:
    result = acquire.run_plan(check_plan(plan), predictor, out, **options)
    check_kept(out)
    return result


def check_kept(out: Path) -> None:
    """Every field that has a decision has its image, and the other way round."""
    lines = out / "decisions.jsonl"
    decided = {json.loads(line)["field"] for line in lines.read_text().splitlines()} if lines.exists() else set()
    plate = out / PLATE
    imaged = [image.ref for image in list_images(PlaneRef(plate))] if plate.exists() else []
    names = [read_attributes(ref.file)["multiscales"][0]["name"] for ref in imaged]
    assert sorted(decided) == sorted(names)


def fail_at(numbers: set[int], error: Callable[[], Exception]) -> Any:
    """A `snap` that fails at some of its calls, from 1."""
    calls = [0]

    def snap(self: SimulatedCamera, buffer: np.ndarray) -> Any:
        calls[0] += 1
        if calls[0] in numbers:
            raise error()
        return SNAP(self, buffer)

    return snap


CAREFUL = {"rules": [], "quality.retries": 1, "quality.skip": 1}


@pytest.mark.parametrize("error", [TimeoutError("no frame in 5 s"), RuntimeError("frame dropped")])
def test_an_image_that_fails_once_is_taken_again(
    make_plan: Any, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(SimulatedCamera, "snap", fail_at({2, 6, 13}, lambda: error))
    result = run(make_plan(CAREFUL), predictor, tmp_path / "out")
    assert (result.error, result.fields, result.skipped) == (None, 4, [])


def test_a_position_that_keeps_failing_is_left_out_and_tried_by_the_next_call(
    make_plan: Any, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SimulatedCamera, "snap", fail_at({6, 7}, lambda: TimeoutError("no frame")))
    result = run(make_plan(CAREFUL), predictor, tmp_path / "out")
    assert (result.error, result.fields, result.left_out) == (None, 3, 1)
    assert [(each.id, each.reason) for each in result.skipped] == [("A1_02", SkipReason.DEVICE)]
    assert "A1_02,Field 'A1_02': the camera gave no image (no frame)" in (tmp_path / "out" / "left.csv").read_text()
    again = run(make_plan(CAREFUL), predictor, tmp_path / "out")
    assert (again.new, again.fields, again.skipped) == (1, 4, [])


def test_too_many_failing_positions_end_the_run(
    make_plan: Any, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SimulatedCamera, "snap", fail_at(set(range(5, 99)), lambda: TimeoutError("no frame")))
    result = run(make_plan(CAREFUL), predictor, tmp_path / "out")
    assert isinstance(result.error, LociscopeError)
    assert (result.error.code, result.fields, result.left_out) == (Code.HARDWARE, 1, 1)


def test_a_stage_that_fails_once_goes_on(
    make_plan: Any, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = [0]
    moving = SimulatedStage.set_position_um

    def move(self: SimulatedStage, x: float, y: float) -> None:
        calls[0] += 1
        if calls[0] == 2:
            raise RuntimeError("stage: limit switch")
        moving(self, x, y)

    monkeypatch.setattr(SimulatedStage, "set_position_um", move)
    result = run(make_plan(CAREFUL), predictor, tmp_path / "out")
    assert (result.error, result.fields) == (None, 4)


def test_a_stage_that_stays_away_from_its_target_is_left_out(
    make_plan: Any, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moving = SimulatedStage.set_position_um

    def move(self: SimulatedStage, x: float, y: float) -> None:
        moving(self, x + 50 * (x > 9000), y)

    monkeypatch.setattr(SimulatedStage, "set_position_um", move)
    result = run(make_plan(CAREFUL), predictor, tmp_path / "out")
    assert [each.id for each in result.skipped if each.reason == SkipReason.DEVICE] == ["A2_02"]
    assert result.fields == 3


def test_without_quality_keys_the_first_failure_ends_the_run(
    make_plan: Any, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SimulatedCamera, "snap", fail_at({6}, lambda: TimeoutError("no frame")))
    result = run(make_plan({"rules": []}), predictor, tmp_path / "out")
    assert (result.fields, result.error is not None) == (1, True)


@pytest.mark.parametrize("what", ["full", "share"])
def test_a_disk_that_is_full_or_lost_ends_the_run_and_the_next_call_resumes(
    make_plan: Any, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    calls = [0]

    def fail(path: Path, field: Any) -> None:
        calls[0] += 1
        if calls[0] == 3:
            text = "No space left on device" if what == "full" else "Stale file handle"
            raise LociscopeError(f"Cannot write '{path}': {text}. Correct that.", code=Code.UNWRITABLE)
        write_ome_zarr(path, field)

    monkeypatch.setattr(image_writer, "write_ome_zarr", fail)
    result = run(make_plan({"rules": []}), predictor, tmp_path / "out")
    assert result.error is not None
    assert (result.error.code, result.fields) == (Code.UNWRITABLE, 2)
    assert run(make_plan({"rules": []}), predictor, tmp_path / "out").fields == 4


def test_a_disk_that_fills_up_ends_the_run_before_it_is_full(
    make_plan: Any, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = iter([1 << 40, 1 << 40, 0])
    monkeypatch.setattr(safeguards, "_find_free", lambda folder: next(free, 0))
    result = run(make_plan({"rules": []}), predictor, tmp_path / "out")
    assert result.error is not None
    assert (result.error.code, result.fields) == (Code.UNWRITABLE, 2)


@pytest.mark.parametrize(
    ("dark", "named"),
    [((0, 1, 2, 3), "the lamp, and whether"), ((2,), "nucleus (blue, preset 'blue')")],
    ids=["lamp off", "filter that does not turn"],
)
def test_dark_channels_end_the_run(
    make_plan: Any,
    predictor: Predictor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    dark: tuple[int, ...],
    named: str,
) -> None:
    def take_image(plate: SimulatedPlate, view: Any, channel: int, rng: np.random.Generator, *, lit: bool) -> Any:
        return draw(rng) * np.uint16(channel not in dark)

    monkeypatch.setattr(SimulatedPlate, "take_image", take_image)
    result = run(make_plan({"rules": [], "quality.dark_fields": 2}), predictor, tmp_path / "out")
    assert result.error is not None
    assert named in str(result.error)
    assert 2 <= result.fields <= 4


def test_a_single_blank_frame_ends_nothing(
    make_plan: Any, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def snap(self: SimulatedCamera, buffer: np.ndarray) -> Any:
        SNAP(self, buffer)
        if self._state.images == 6:
            buffer[:] = 0
        return {}

    monkeypatch.setattr(SimulatedCamera, "snap", snap)
    result = run(make_plan({"rules": [], "quality.dark_fields": 2}), predictor, tmp_path / "out")
    assert (result.error, result.fields) == (None, 4)


def test_a_predictor_that_crashes_loses_no_picture(
    make_plan: Any, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(field: Any) -> Any:
        raise ZeroDivisionError("surprise")

    monkeypatch.setattr(predictor, "prepare", crash)
    result = run(make_plan({"rules": []}), predictor, tmp_path / "out")
    assert result.error is not None
    monkeypatch.undo()
    monkeypatch.setattr(SimulatedPlate, "take_image", lambda *_, lit: np.zeros((32, 32), np.uint16))
    assert run(make_plan({"rules": []}), predictor, tmp_path / "out").fields == 4


def test_a_clock_that_jumps_changes_nothing(
    make_plan: Any, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jumps = iter(range(10**6))
    monkeypatch.setattr(time, "time", lambda: 1e9 + (-1) ** next(jumps) * 1e6)
    result = run(make_plan({"rules.0.most": 2}), predictor, tmp_path / "out")
    assert (result.error, result.fields) == (None, 6)


def test_a_database_that_goes_away_loses_no_picture(make_plan: Any, predictor: Predictor, tmp_path: Path) -> None:
    class Gone:
        name = "gone"

        def write(self, *_: object, **__: object) -> None:
            raise LociscopeError("The database does not answer.", code=Code.LOG)

    result = run(make_plan({"rules": []}), predictor, tmp_path / "out", log=Gone())
    assert (result.error, result.fields, result.unlogged) == (None, 4, 4)
