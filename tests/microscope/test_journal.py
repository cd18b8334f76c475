from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lociscope.errors import LociscopeError
from lociscope.labels import N_LABELS
from lociscope.microscope.configuration import check_setup
from lociscope.microscope.decisions import Request, Skipped, SkipReason
from lociscope.microscope.journal import Journal
from lociscope.microscope.positions import plan_positions, positions_around
from lociscope.microscope.request_queue import ImagedField
from lociscope.warnings import parse_warnings

if TYPE_CHECKING:
    from pathlib import Path


def line(name: str, seed: int = 0, **more: Any) -> dict[str, Any]:
    probability = np.random.default_rng(seed).random(N_LABELS, np.float32)
    return {
        "field": name, "well": "A1", "site": 1, "rule": None, "pixel_size": 0.32, "status": "ok", "predicted": [2],
        "warnings": ["empty plane: green"], "probability": [float(value) for value in probability], **more,
    }  # fmt: skip


def test_probabilities_survive_to_the_last_bit(make_plan: Any, tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "out", make_plan(), "b")
    for seed in range(3):
        journal.append(line(f"f{seed}", seed))
    again = Journal.open(tmp_path / "out", make_plan(), "b").predictions()
    for seed in range(3):
        assert np.array_equal(again.probability[seed], np.random.default_rng(seed).random(N_LABELS, np.float32))
    assert again.warnings == [parse_warnings(["empty plane: green"])] * 3


def test_pending_requests_are_restored(make_plan: Any, tmp_path: Path) -> None:
    plan = make_plan()
    scale = check_setup(plan, None)
    position = plan_positions(plan, scale)[0]
    wanted = [Request(each, 0.75) for each in positions_around(position, 1, 4, plan.objective("20x"), plan, scale)]
    journal = Journal.open(tmp_path / "out", plan, "b")
    journal.append(line(position.id, wanted=Journal.serialize_requests(wanted)))
    journal.append(line(wanted[1].position.id, rule=1))
    again = Journal.open(tmp_path / "out", plan, "b")
    assert again.pending_requests(plan) == {position.id: [wanted[0], *wanted[2:]]}
    assert again.imaged_fields() == [
        ImagedField(None, "A1", "A1_01"),
        ImagedField(1, "A1", wanted[1].position.id),
    ]


def test_the_next_time_point_of_a_series_is_pending(make_plan: Any, tmp_path: Path) -> None:
    plan = make_plan({"rules.0.times": 3, "rules.0.every_s": 60.0})
    journal = Journal.open(tmp_path / "out", plan, "b")
    place: dict[str, Any] = {"x": 0.0, "y": 0.0, "z": 0.0, "objective": "20x", "of": "A1_01", "rule": 1}
    for time in (1, 2):
        journal.append(line(f"f-t0{time}", at_s=10.0 * time, time=time, **place))
    pending = Journal.open(tmp_path / "out", plan, "b").pending_requests(plan)
    assert pending["f-t01"] == []
    assert [(each.position.id, each.due_s) for each in pending["f-t02"]] == [("f-t03", 80.0)]


def test_answers_are_kept(make_plan: Any, tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "out", make_plan(), "b")
    assert journal.read_answers() == {}
    journal.append_answer("A1_01-1", True, "the terminal")
    journal.append_answer("A1_02-1", False, "Åsa")
    path = tmp_path / "out" / "answers.jsonl"
    path.write_text(path.read_text("utf-8") + '{"proposal": "A2', "utf-8")
    again = Journal.open(tmp_path / "out", make_plan(), "b")
    again.append_answer("A2_01-1", True, "x")
    assert again.read_answers() == {"A1_01-1": True, "A1_02-1": False, "A2_01-1": True}


def test_another_mode_resumes_what_one_finished(make_plan: Any, tmp_path: Path) -> None:
    Journal.open(tmp_path / "out", make_plan({"mode": "observe"}), "b").close([], finished=True)
    assert Journal.open(tmp_path / "out", make_plan({"mode": "observe"}), "b").finished
    assert not Journal.open(tmp_path / "out", make_plan({"mode": "act"}), "b").finished


def test_the_output_the_log_and_the_budget_may_change(make_plan: Any, tmp_path: Path) -> None:
    Journal.open(tmp_path / "out", make_plan(), "b")
    Journal.open(tmp_path / "out", make_plan({"output": "elsewhere", "log": "log.sqlite", "budget.fields": 9}), "b")
    with pytest.raises(LociscopeError, match="another plan"):
        Journal.open(tmp_path / "out", make_plan({"plate.gap": 9.0}), "b")


def test_failures_are_listed_and_are_no_predictions(make_plan: Any, tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "out", make_plan(), "b")
    journal.append(line("good"))
    journal.append({"field": "bad", "rule": None, "failed": "It is\u2028damaged.", "code": "corrupt"})
    journal.close([Skipped("f9", SkipReason.INTERRUPTED)], finished=True)
    assert journal.predictions().ids == ["good"]
    assert (tmp_path / "out" / "left.csv").read_text() == "id,why\nf9,interrupted\n"
    assert (tmp_path / "out" / "failures.csv").read_text("utf-8").endswith(",It is\u2028damaged.,corrupt\n")
    again = Journal.open(tmp_path / "out", make_plan(), "b")
    assert again.finished
    assert again.failures() == journal.failures()


def test_a_failure_of_an_earlier_version_has_no_code(make_plan: Any, tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "out", make_plan(), "b")
    journal.append({"field": "bad", "rule": None, "failed": "It is damaged."})
    assert [failure.code for failure in journal.failures()] == [""]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ("{", "is damaged"),
        ("[]", "states no schema"),
        ('{"schema": 5}', "has schema 5, newer than 4"),
        ('{"schema": 1}', "was started with another plan"),
    ],
)
def test_a_record_that_cannot_be_read(make_plan: Any, tmp_path: Path, record: str, message: str) -> None:
    Journal.open(tmp_path / "out", make_plan(), "b")
    (tmp_path / "out" / "run.json").write_text(record)
    with pytest.raises(LociscopeError, match=message):
        Journal.open(tmp_path / "out", make_plan(), "b")


def test_a_truncated_line_is_removed_before_the_next_is_added(make_plan: Any, tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "out", make_plan(), "b")
    journal.append(line("one"))
    path = tmp_path / "out" / "decisions.jsonl"
    path.write_text(path.read_text() + '{"field": "tw')
    Journal.open(tmp_path / "out", make_plan(), "b").append(line("two"))
    assert [json.loads(each)["field"] for each in path.read_text().splitlines()] == ["one", "two"]


def test_resume_after_a_kill_at_the_very_beginning(make_plan: Any, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / ".run.json.1.part").write_text("")
    Journal.open(folder, make_plan(), "b")
    (folder / "plan.json").unlink()
    Journal.open(folder, make_plan(), "b")
    assert (folder / "plan.json").exists()
