"""Complete plans on both microscopes, and failures of devices, predictor and log."""

from __future__ import annotations

import _thread
import csv
import json
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lociscope.artifacts.catalog import Catalog
from lociscope.artifacts.predictions import Predictions
from lociscope.errors import Code, LociscopeError, UsageError
from lociscope.images.discovery.sources import read_catalog_sources
from lociscope.images.io.read import read_field
from lociscope.microscope import acquire, image_writer, prediction_worker
from lociscope.microscope.acquire import check_plan
from lociscope.microscope.decisions import SkipReason
from lociscope.microscope.image_writer import PLATE
from lociscope.microscope.plan_identity import hash_plan
from lociscope.microscope.simulated.devices import SimulatedCamera
from lociscope.microscope.simulated.specimen import SimulatedPlate
from lociscope.predict.predictor import Predictor, open_bundle
from lociscope.storage.locks import exclusive_lock

if TYPE_CHECKING:
    from pathlib import Path

    from lociscope.microscope.plan import Plan
    from lociscope.microscope.run_result import RunResult


@pytest.fixture(scope="module")
def predictor(tiny_bundle: Path) -> Predictor:
    return open_bundle(tiny_bundle, threads=1)


def run_plan(plan: Plan, predictor: Predictor, out: Path, **options: Any) -> RunResult:
    return acquire.run_plan(check_plan(plan), predictor, out, **options)


def lines_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "decisions.jsonl").read_text().splitlines()]


def failing_after(images: int, how: Any) -> Any:
    """A `snap` that works for some pictures and then does something else."""
    good = SimulatedCamera.snap

    def snap(self: SimulatedCamera, buffer: np.ndarray) -> Any:
        if self._state.images >= images:
            how()
        return good(self, buffer)

    return snap


@pytest.fixture(scope="module")
def done(make_plan: Any, predictor: Predictor, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunResult]:
    out = tmp_path_factory.mktemp("done") / "out"
    return out, run_plan(make_plan(), predictor, out)


def test_planned_fields_come_before_requested_ones(done: tuple[Path, RunResult]) -> None:
    out, result = done
    names = [line["field"] for line in lines_of(out)]
    assert names[:4] == ["A1_01", "A1_02", "A2_01", "A2_02"]
    assert len(names) == 10
    assert (result.fields, result.requested, result.new, result.error, result.failures) == (10, 6, 10, None, [])
    assert [each.reason for each in result.skipped] == [SkipReason.RULE_LIMIT] * 10
    assert len(result.decision_seconds) == 10


def test_each_decision_is_logged_with_its_numbers(done: tuple[Path, RunResult]) -> None:
    out, _ = done
    first, *_, last = lines_of(out)
    assert (first["x"], first["y"], first["z"], first["of"]) == (pytest.approx(-81.92), 0.0, 0.0, None)
    verdict = first["rules"][0]
    assert (verdict["rule"], verdict["verdict"], len(verdict["fields"])) == (1, "again", 4)
    assert verdict["because"] == {"Nucleoli": pytest.approx(first["probability"][2], abs=1e-6)}
    assert 0 < first["decided_s"] <= first["kept_s"]
    assert first["at_s"] == pytest.approx(4 * 0.15 + 3 * 0.1 + 81.92 / 5000 + 0.3, abs=0.01)
    assert (last["rule"], last["of"] in {"A1_01", "A1_02", "A2_01", "A2_02"}) == (1, True)
    likeliest = max(lines_of(out)[:4], key=lambda line: line["rules"][0]["urgency"])
    assert lines_of(out)[4]["of"] == likeliest["field"]


def test_acquired_fields_give_the_same_predictions_again(done: tuple[Path, RunResult], predictor: Predictor) -> None:
    out, _ = done
    made = Predictions.read(out / "predictions.parquet")
    catalog = Catalog.read(out / "catalog.parquet")
    assert catalog.ids == made.ids
    again = predictor.predict(read_field(source) for source in read_catalog_sources(catalog))
    assert np.abs(again.probability - made.probability).max() < 1e-6  # one field at a time, or sixteen
    assert (again.predicted, again.status, again.warnings) == (made.predicted, made.status, made.warnings)


def test_the_catalog_has_pixel_size_well_and_truth(done: tuple[Path, RunResult]) -> None:
    out, _ = done
    entries = list(Catalog.read(out / "catalog.parquet"))
    assert {entry.pixel_size for entry in entries} == {5.12, 2.56}
    assert {entry.well for entry in entries} == {"A1", "A2"}
    assert all(entry.target is not None for entry in entries)
    assert len({entry.target for entry in entries if entry.well == "A1"} - {()}) <= 1


def test_a_second_run_finds_it_complete(done: tuple[Path, RunResult], make_plan: Any, predictor: Predictor) -> None:
    out, _ = done
    before = (out / "decisions.jsonl").read_bytes()
    result = run_plan(make_plan(), predictor, out)
    assert (result.new, result.fields) == (0, 10)
    assert (out / "decisions.jsonl").read_bytes() == before


def test_another_plan_or_bundle_or_folder_is_refused(
    done: tuple[Path, RunResult], make_plan: Any, make_bundle: Any, predictor: Predictor, tmp_path: Path
) -> None:
    out, _ = done
    with pytest.raises(LociscopeError, match="was started with another plan"):
        run_plan(make_plan({"rules.0.most": 5}), predictor, out)
    with pytest.raises(LociscopeError, match="was started with another bundle"):
        run_plan(make_plan(), open_bundle(make_bundle(tmp_path / "other", seed=7), threads=1), out)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("x")
    with pytest.raises(LociscopeError, match="is not an output folder of a microscope"):
        run_plan(make_plan(), predictor, tmp_path / "mine")


@pytest.mark.parametrize("change", [{"plate.wells": ["A1"]}, {"limits.z": [-40, 40]}, {"microscope.turret": "Other"}])
def test_only_budget_and_time_limit_may_change(
    done: tuple[Path, RunResult], make_plan: Any, predictor: Predictor, change: dict[str, Any]
) -> None:
    with pytest.raises(
        LociscopeError,
        match=r"another plan.*Only budget, .* images, labels, output and log .* may",
    ):
        run_plan(make_plan(change), predictor, done[0])


@pytest.mark.slow
def test_a_larger_budget_resumes_a_run(make_plan: Any, predictor: Predictor, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run_plan(make_plan({"budget.fields": 3}), predictor, out).fields == 3
    assert run_plan(make_plan({"budget.fields": 3}), predictor, out).new == 0
    result = run_plan(make_plan({"budget.fields": 5, "microscope.timeout_s": 9.0}), predictor, out)
    assert (result.new, result.fields) == (2, 5)
    result = run_plan(make_plan({"budget.minutes": 99.0}), predictor, out)
    assert (result.new, result.fields) == (5, 10)
    assert json.loads((out / "plan.json").read_text())["budget"]["minutes"] == 99.0
    names = [line["field"] for line in lines_of(out)]
    assert len(set(names)) == 10
    assert run_plan(make_plan({"budget.minutes": 9.0}), predictor, out).new == 0  # all done: no budget matters


def test_a_folder_of_schema_1_resumes_with_its_plan(make_plan: Any, predictor: Predictor, tmp_path: Path) -> None:
    out, plan = tmp_path / "out", make_plan({"rules": []})
    run_plan(plan, predictor, out)
    record = json.loads((out / "run.json").read_text())
    digest = hash_plan(plan, 1)
    (out / "run.json").write_text(json.dumps({**record, "schema": 1, "plan": digest}))
    assert run_plan(plan, predictor, out).fields == 4
    with pytest.raises(LociscopeError, match="another plan"):
        run_plan(make_plan({"rules": [], "budget.fields": 9}), predictor, out)


def test_a_second_run_of_one_folder_is_refused_before_anything_moves(
    make_plan: Any, predictor: Predictor, tmp_path: Path
) -> None:
    with (
        exclusive_lock(tmp_path / "out", "no"),
        pytest.raises(LociscopeError, match=r"Another run is filling .* Wait"),
    ):
        run_plan(make_plan(), predictor, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_limits_nothing_moves(make_plan: Any, predictor: Predictor, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"The plan has no \[limits\]"):
        run_plan(make_plan({"limits": None}), predictor, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_planned_field_outside_the_limits_refuses_the_plan(
    make_plan: Any, predictor: Predictor, tmp_path: Path
) -> None:
    with pytest.raises(LociscopeError, match=r"Field 'A2_01' is at x 8918.1 µm, outside the limits -1000 to 5000"):
        run_plan(make_plan({"limits.x": [-1000.0, 5000.0]}), predictor, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "error",
    [TimeoutError("no frame"), pytest.param(RuntimeError("Camera image buffer read failed"), marks=pytest.mark.slow)],
)
def test_a_camera_that_times_out_keeps_what_was_acquired(
    make_plan: Any, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(SimulatedCamera, "snap", failing_after(9, fail))
    result = run_plan(make_plan(), predictor, tmp_path / "out")
    assert result.error is not None
    assert str(result.error).startswith("Field 'A2_01': the camera gave no image (")
    assert [each.id for each in result.skipped][:2] == ["A2_01", "A2_02"]  # including the interrupted field
    assert Predictions.read(tmp_path / "out" / "predictions.parquet").ids == ["A1_01", "A1_02"]
    monkeypatch.undo()
    result = run_plan(make_plan(), predictor, tmp_path / "out")
    assert (result.error, result.fields, result.new) == (None, 10, 8)
    assert [line["field"] for line in lines_of(tmp_path / "out")][:4] == ["A1_01", "A1_02", "A2_01", "A2_02"]


def test_a_camera_that_never_comes_back_is_not_waited_for(
    make_plan: Any, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    monkeypatch.setattr(SimulatedPlate, "take_image", lambda *_, lit: np.zeros((32, 32), np.uint16))
    monkeypatch.setattr(SimulatedCamera, "snap", failing_after(5, release.wait))
    result = run_plan(make_plan({"microscope.timeout_s": 0.3}), predictor, tmp_path / "out")
    release.set()
    assert result.hung
    assert result.error is not None
    assert "gave no image within 0.4 s" in str(result.error)
    assert Predictions.read(tmp_path / "out" / "predictions.parquet").ids == ["A1_01"]


def test_a_camera_that_gives_nothing_at_all(
    make_plan: Any, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise TimeoutError("no frame")

    monkeypatch.setattr(SimulatedCamera, "snap", failing_after(0, fail))
    result = run_plan(make_plan(), predictor, tmp_path / "out")
    assert (result.fields, result.error is not None) == (0, True)
    assert not (tmp_path / "out" / "predictions.parquet").exists()


def test_a_second_call_resumes_after_an_interrupt(
    make_plan: Any, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = iter([_thread.interrupt_main])  # the camera continues until this thread notices it
    monkeypatch.setattr(SimulatedCamera, "snap", failing_after(7, lambda: next(once, int)()))
    result = run_plan(make_plan(), predictor, tmp_path / "out")
    monkeypatch.undo()
    assert result.interrupted
    assert result.error is None
    held = Predictions.read(tmp_path / "out" / "predictions.parquet").ids
    assert held[0] == "A1_01"
    assert len(held) < 10
    with (tmp_path / "out" / "left.csv").open() as file:
        assert "interrupted" in {row["why"] for row in csv.DictReader(file)}
    result = run_plan(make_plan(), predictor, tmp_path / "out")
    names = [line["field"] for line in lines_of(tmp_path / "out")]
    assert len(names) == len(set(names)) == result.fields == 10


@pytest.mark.slow
def test_an_interrupt_does_not_wait_long_for_a_picture(
    make_plan: Any, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()

    def expose() -> None:
        _thread.interrupt_main()
        release.wait()

    plan = make_plan({"microscope.timeout_s": 300, "rules": []})
    monkeypatch.setattr(acquire, "IMAGE_DEADLINE_S", 0.3)
    monkeypatch.setattr(SimulatedCamera, "snap", failing_after(5, expose))
    result = run_plan(plan, predictor, tmp_path / "out")
    release.set()
    assert (result.interrupted, result.hung, result.error) == (True, True, None)
    assert Predictions.read(tmp_path / "out" / "predictions.parquet").ids == ["A1_01"]
    assert [(each.id, each.reason) for each in result.skipped][:1] == [("A1_02", SkipReason.INTERRUPTED)]
    monkeypatch.undo()
    assert run_plan(plan, predictor, tmp_path / "out").fields == 4


def test_an_interrupt_does_not_wait_long_for_the_predictor(
    make_plan: Any, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle, taken = prediction_worker.PredictionWorker._handle, threading.Event()

    def slow(self: prediction_worker.PredictionWorker, field: prediction_worker.AcquiredField) -> None:
        taken.wait(60)  # the camera is far ahead
        handle(self, field)

    def interrupt() -> None:
        _thread.interrupt_main()
        threading.Timer(0.5, taken.set).start()

    plan = make_plan({"rules": []})
    once = iter([interrupt])
    monkeypatch.setattr(acquire, "DECISIONS_DEADLINE_S", 0.0)
    monkeypatch.setattr(prediction_worker.PredictionWorker, "_handle", slow)
    monkeypatch.setattr(SimulatedCamera, "snap", failing_after(13, lambda: next(once, int)()))
    result = run_plan(plan, predictor, tmp_path / "out")
    monkeypatch.undo()
    assert (result.interrupted, result.hung, result.fields) == (True, False, 1)
    assert [(each.id, each.reason) for each in result.skipped] == [
        (name, SkipReason.INTERRUPTED) for name in ("A1_02", "A2_01", "A2_02")
    ]
    assert run_plan(plan, predictor, tmp_path / "out").new == 3


def test_an_interrupt_while_the_last_fields_are_predicted_is_one_too(
    make_plan: Any, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: prediction_worker.PredictionWorker, deadline: float) -> None:
        close(self, deadline)
        raise KeyboardInterrupt

    plan = make_plan({"rules": []})
    close = prediction_worker.PredictionWorker.close
    monkeypatch.setattr(prediction_worker.PredictionWorker, "close", interrupted)
    result = run_plan(plan, predictor, tmp_path / "out")
    monkeypatch.undo()
    assert result.interrupted
    assert run_plan(plan, predictor, tmp_path / "out").fields == 4


@pytest.mark.slow
def test_a_predictor_that_never_comes_back_ends_the_run(
    make_plan: Any, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, release = make_plan({"rules": []}), threading.Event()
    handle = prediction_worker.PredictionWorker._handle

    def hang(self: prediction_worker.PredictionWorker, field: prediction_worker.AcquiredField) -> None:
        if field.position.id == "A1_02":
            release.wait()
        else:
            handle(self, field)

    monkeypatch.setattr(acquire, "PREDICTOR_TIMEOUT_S", 0.5)
    monkeypatch.setattr(acquire, "DECISIONS_DEADLINE_S", 0.0)
    monkeypatch.setattr(prediction_worker.PredictionWorker, "_handle", hang)
    monkeypatch.setattr(SimulatedPlate, "take_image", lambda *_, lit: np.zeros((32, 32), np.uint16))
    result = run_plan(plan, predictor, tmp_path / "out")
    release.set()
    assert result.error is not None
    assert (result.error.code, result.fields, result.hung) == (Code.UNAVAILABLE, 1, False)
    monkeypatch.undo()
    assert run_plan(plan, predictor, tmp_path / "out").new == 3


def test_an_unknown_well_or_cell_line_is_refused(make_plan: Any, predictor: Predictor, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"specimen.antibodies: a plate of 96-well has no well 'A13'"):
        run_plan(make_plan({"specimen.antibodies": {"A13": []}}), predictor, tmp_path / "out")
    with pytest.raises(UsageError, match=r"there is no cell line 'U2 OS'. Did you mean 'U-2 OS'"):
        run_plan(make_plan({"specimen.cell_line": "U2 OS"}), predictor, tmp_path / "out")


def test_the_field_of_a_truncated_line_is_imaged_again(make_plan: Any, predictor: Predictor, tmp_path: Path) -> None:
    plan = make_plan({"rules": []})
    run_plan(plan, predictor, tmp_path / "out")
    path = tmp_path / "out" / "decisions.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    record = tmp_path / "out" / "run.json"
    record.write_text(record.read_text().replace("true", "false"))
    result = run_plan(plan, predictor, tmp_path / "out")
    assert (result.new, result.fields) == (1, 4)
    assert [line["field"] for line in lines_of(tmp_path / "out")] == ["A1_01", "A1_02", "A2_01", "A2_02"]


def test_the_predictor_never_delays_the_camera(
    make_plan: Any, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All planned pictures are taken while the first decision is still being made."""
    pictures: list[int] = []
    good = SimulatedCamera.snap

    def snap(self: SimulatedCamera, buffer: np.ndarray) -> Any:
        pictures.append(self._state.images)
        return good(self, buffer)

    prepare = predictor.prepare

    def slow(field: Any) -> Any:
        limit = time.monotonic() + 30
        while len(pictures) < 16 and time.monotonic() < limit:
            time.sleep(0.01)
        assert len(pictures) >= 16
        return prepare(field)

    monkeypatch.setattr(SimulatedCamera, "snap", snap)
    monkeypatch.setattr(predictor, "prepare", slow)
    assert run_plan(make_plan(), predictor, tmp_path / "out").error is None


def test_memory_is_bounded_where_the_predictor_is_slower_for_long(
    make_plan: Any, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction_worker, "MAX_WAITING_BYTES", 1)
    assert run_plan(make_plan(), predictor, tmp_path / "out").fields == 10


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (LociscopeError("Field 'A1_02' is damaged.", code=Code.CORRUPT), Code.CORRUPT),
        (MemoryError(), Code.OUT_OF_MEMORY),
    ],
)
def test_a_field_that_cannot_be_predicted_is_listed(
    make_plan: Any,
    predictor: Predictor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    code: Code,
) -> None:
    prepare = predictor.prepare

    def some(field: Any) -> Any:
        if field.id == "A1_02":
            raise error
        return prepare(field)

    monkeypatch.setattr(predictor, "prepare", some)
    result = run_plan(make_plan(), predictor, tmp_path / "out")
    assert [(failure.id, failure.code) for failure in result.failures] == [("A1_02", code)]
    assert "A1_02" in (tmp_path / "out" / "failures.csv").read_text()
    assert (tmp_path / "out" / PLATE / "A" / "1" / "2" / "zarr.json").exists()
    assert "A1_02" not in Catalog.read(tmp_path / "out" / "catalog.parquet").ids


@pytest.mark.parametrize("error", [LociscopeError("No space left."), ZeroDivisionError("surprise")])
def test_what_ends_the_predictor_ends_the_run(
    make_plan: Any, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*args: object) -> None:
        raise error

    monkeypatch.setattr(image_writer, "write_ome_zarr", fail)
    result = run_plan(make_plan(), predictor, tmp_path / "out")
    assert result.fields == 0
    assert result.error is not None
    assert str(error).rstrip(".") in str(result.error)


def test_predictions_are_kept_in_a_log(make_plan: Any, predictor: Predictor, tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy", reason="the extra monitor is not installed")
    from lociscope.prediction_log.log import open_log

    with open_log(str(tmp_path / "log.sqlite")) as log:
        run_plan(make_plan({"rules": []}), predictor, tmp_path / "out", log=log)
        window = log.read()
    assert window.predictions.ids == ["A1_01", "A1_02", "A2_01", "A2_02"]
    assert set(window.commands) == {"microscope"}


def test_a_log_that_cannot_be_written_stops_no_plan(make_plan: Any, predictor: Predictor, tmp_path: Path) -> None:
    class Full:
        name = "full"

        def write(self, *_: object, **__: object) -> None:
            raise LociscopeError("The log is full. Make space.")

    result = run_plan(make_plan({"rules": []}), predictor, tmp_path / "out", log=Full())
    assert (result.fields, result.error) == (4, None)
    assert (result.unlogged, result.log_error) == (4, "The log is full. Make space.")
    assert len(Predictions.read(tmp_path / "out" / "predictions.parquet")) == 4


def test_a_log_that_is_silent_stops_no_plan(
    make_plan: Any, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent:
        name = "silent"

        def __init__(self) -> None:
            self.ended = threading.Event()

        def write(self, *_: object, **__: object) -> None:
            self.ended.wait(60)

        def disconnect(self) -> None:
            self.ended.set()

    monkeypatch.setattr("lociscope.prediction_log.writer.PATIENCE_SECONDS", 0.2)
    result = run_plan(make_plan({"rules": []}), predictor, tmp_path / "out", log=Silent())
    assert (result.fields, result.error) == (4, None)
    assert (result.unlogged, result.log_error) == (4, "Log 'silent' did not take them in time.")
    assert len(Predictions.read(tmp_path / "out" / "predictions.parquet")) == 4


def test_the_demo_camera_runs_a_plan(make_plan: Any, predictor: Predictor, tmp_path: Path) -> None:
    pytest.importorskip("mm_test_adapters", reason="DemoCamera's adapters are not installed")
    from lociscope.microscope.plan import Plan

    shipped = Plan.read("demo")
    scope = shipped.microscope.model_copy(update={"frame": (128, 96)})
    always = shipped.rules[0].model_copy(update={"when": "Nucleoli >= 0", "most": 3})
    plan = shipped.model_copy(update={"microscope": scope, "rules": (always,)})
    result = run_plan(plan, predictor, tmp_path / "out")
    assert (result.error, result.fields, result.requested) == (None, 7, 3)
    entries = list(Catalog.read(tmp_path / "out" / "catalog.parquet"))
    assert {entry.pixel_size for entry in entries} == {0.325, 0.1625}
    assert read_field(
        next(iter(read_catalog_sources(Catalog.read(tmp_path / "out" / "catalog.parquet"))))
    ).pixels.shape == (
        96,
        128,
        4,
    )
    assert all(entry.target is None for entry in entries)
    assert (tmp_path / "out" / "micro-manager.log").exists()


def test_two_runs_on_one_stage_are_refused_whatever_folder_they_fill(
    make_plan: Any, predictor: Predictor, tmp_path: Path
) -> None:
    pytest.importorskip("mm_test_adapters", reason="DemoCamera's adapters are not installed")
    from lociscope.microscope import hardware
    from lociscope.microscope.plan import Plan

    shipped = Plan.read("demo")
    config = hardware.find_config(shipped)
    assert config is not None
    named = shipped.microscope.model_copy(update={"config": str(config)})
    plan = shipped.model_copy(update={"microscope": named})
    with hardware._reserve(config):
        with pytest.raises(LociscopeError, match="two programs must not move one stage") as raised:
            run_plan(plan, predictor, tmp_path / "out")
        assert raised.value.code == Code.IN_USE
    assert not (tmp_path / "out" / "run.json").exists()


def test_a_microscope_that_cannot_be_opened(make_plan: Any, predictor: Predictor, tmp_path: Path) -> None:
    config = tmp_path / "scope.cfg"
    dyes = "".join(f"ConfigGroup,Channel,{name},Camera,Binning,1\n" for name in ("red", "green", "blue", "yellow"))
    config.write_text(
        f"Device,Camera,NoSuchVendor,Cam\nDevice,Objective,NoSuchVendor,Turret\n{dyes}Label,Objective,0,10x\nLabel,Objective,1,20x\n"
    )
    with pytest.raises(LociscopeError, match="cannot be opened"):
        run_plan(make_plan({"microscope.config": str(config)}), predictor, tmp_path / "out")
    with pytest.raises(UsageError, match="there is no file"):
        run_plan(make_plan({"microscope.config": "simulate"}), predictor, tmp_path / "out2")
