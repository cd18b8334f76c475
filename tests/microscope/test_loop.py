"""Modes of a run, and programs in place of rules, on the simulated microscope."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lociscope.errors import Code, LociscopeError
from lociscope.microscope.acquire import check_plan, run_plan
from lociscope.microscope.configuration import check_setup
from lociscope.microscope.decisions import SkipReason
from lociscope.microscope.journal import Journal
from lociscope.microscope.loop import SteeringLoop
from lociscope.microscope.rule_evaluator import RuleEvaluator
from lociscope.microscope.simulated.specimen import SimulatedPlate
from lociscope.predict.predictor import Predictor, open_bundle

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import useq

    from lociscope.microscope.conditions import Facts
    from lociscope.microscope.positions import Position
    from lociscope.microscope.run_result import RunResult


@pytest.fixture(scope="module")
def predictor(tiny_bundle: Path) -> Predictor:
    return open_bundle(tiny_bundle, threads=1)


@pytest.fixture(autouse=True)
def dark(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images of noise instead of cells, which these tests do not look at."""

    def take_image(plate: SimulatedPlate, view: Any, channel: int, rng: np.random.Generator, *, lit: bool) -> Any:
        return rng.integers(0, 900, (view.side, view.side)).astype(np.uint16)

    monkeypatch.setattr(SimulatedPlate, "take_image", take_image)
    monkeypatch.setattr(SimulatedPlate, "count_cells", lambda *_: 0)


class Answers:
    """Answers each proposal as soon as its field is on disk."""

    answers = True

    def __init__(self, accept: bool, *, close: bool = False) -> None:
        self._accept, self._close = accept, close
        self.loop: SteeringLoop

    def on_started(self, loop: SteeringLoop) -> None:
        self.loop = loop

    def on_field(self, line: Mapping[str, Any], pixels: np.ndarray) -> None:
        if self._close:
            self.loop.proposals.close()
        else:
            for proposal in self.loop.proposals.pending:
                self.loop.proposals.answer(proposal.id, accept=self._accept, by="a test")


def run(plan: Any, predictor: Predictor, out: Path, *observers: Any, **options: Any) -> RunResult:
    return run_plan(check_plan(plan), predictor, out, observers=observers, **options)


def lines_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "decisions.jsonl").read_text().splitlines()]


def test_observing_logs_what_the_rules_want_and_images_none_of_it(
    make_plan: Any, predictor: Predictor, tmp_path: Path
) -> None:
    result = run(make_plan({"mode": "observe"}), predictor, tmp_path / "out")
    assert (result.fields, result.requested, result.skipped) == (4, 0, [])
    assert [line["rules"][0]["verdict"] for line in lines_of(tmp_path / "out")] == ["again"] * 4
    assert len(lines_of(tmp_path / "out")[0]["wanted"]) == 4
    acted = run(make_plan({"mode": "act"}), predictor, tmp_path / "out")
    assert (acted.new, acted.fields) == (6, 10)


def test_an_accepted_proposal_is_imaged(make_plan: Any, predictor: Predictor, tmp_path: Path) -> None:
    result = run(make_plan({"mode": "propose"}), predictor, tmp_path / "out", Answers(True))
    assert (result.fields, result.requested, result.error) == (10, 6, None)
    assert len((tmp_path / "out" / "answers.jsonl").read_text().splitlines()) == 4


def test_a_rejected_proposal_is_not_imaged_by_a_later_call_either(
    make_plan: Any, predictor: Predictor, tmp_path: Path
) -> None:
    plan = make_plan({"mode": "propose"})
    assert run(plan, predictor, tmp_path / "out", Answers(False)).fields == 4
    assert run(plan, predictor, tmp_path / "out", Answers(True)).fields == 4


def test_what_nobody_answers_is_listed_and_proposed_again(make_plan: Any, predictor: Predictor, tmp_path: Path) -> None:
    plan = make_plan({"mode": "propose"})
    for observers in ((), (Answers(True, close=True),)):
        result = run(plan, predictor, tmp_path / str(len(observers)), *observers)
        assert result.fields == 4
        assert {each.reason for each in result.skipped} == {SkipReason.UNANSWERED}
    again = Answers(True)

    class AtOnce(Answers):
        def on_started(self, loop: SteeringLoop) -> None:
            self.loop = loop
            self.on_field({}, np.empty(0))

    result = run(plan, predictor, tmp_path / "0", AtOnce(True), again)
    assert (result.new, result.requested) == (6, 6)


def test_a_stop_rule_ends_a_well(make_plan: Any, predictor: Predictor, tmp_path: Path) -> None:
    rules = [{"when": "Nucleoli >= 0", "stop": "well"}]
    plan = make_plan({"rules": rules, "plate.sites": [1, 40], "limits.x": [-9000.0, 90000.0]})
    result = run(plan, predictor, tmp_path / "out")
    assert result.fields < 80
    assert {(each.reason, each.value) for each in result.skipped} == {(SkipReason.ENOUGH, 1)}
    assert run(plan, predictor, tmp_path / "out").new == 0


def test_a_stack_and_a_series_are_imaged_and_resumed(make_plan: Any, predictor: Predictor, tmp_path: Path) -> None:
    rule = {"when": "Nucleoli >= 0", "z_stack": [4.0, 2.0], "times": 2, "every_s": 60.0, "most": 6, "order": "now"}
    change = {"rules": [rule], "plate.wells": ["A1"], "plate.sites": [1, 1], "budget.fields": 4}
    run(make_plan(change), predictor, tmp_path / "out")
    result = run(make_plan({**change, "budget.fields": 99}), predictor, tmp_path / "out")
    lines = lines_of(tmp_path / "out")
    assert (result.fields, [line["time"] for line in lines]) == (7, [None, 1, 1, 1, 2, 2, 2])
    assert [line["z"] for line in lines[1:]] == [-2.0, 0.0, 2.0] * 2
    for first, second in zip(lines[1:4], lines[4:], strict=True):
        assert second["at_s"] - first["at_s"] >= 59
    assert lines[-1]["rules"][0]["verdict"] == "confirmed"


def test_a_program_replaces_the_rules(make_plan: Any, predictor: Predictor, tmp_path: Path) -> None:
    import useq

    seen: list[tuple[str, int]] = []

    def program(position: Position, facts: Facts) -> Iterator[useq.MDAEvent]:
        seen.append((position.id, len(facts.probability)))
        if position.id == "A1_01":
            yield useq.MDAEvent(x_pos=10, y_pos=20, metadata={"objective": "20x", "urgency": 0.9})
            yield useq.MDAEvent(x_pos=99999, y_pos=0)
        if position.id == "A1_01-p1":
            yield useq.MDAEvent()

    result = run(make_plan(), predictor, tmp_path / "out", program=program)
    lines = lines_of(tmp_path / "out")
    assert [line["field"] for line in lines[4:]] == ["A1_01-p1", "A1_01-p1-p1"]
    assert (lines[4]["x"], lines[4]["y"], lines[4]["objective"], lines[4]["of"]) == (10, 20, "20x", "A1_01")
    assert (lines[5]["objective"], lines[5]["of"]) == ("10x", "A1_01")
    assert lines[0]["rules"][0]["outside"] == ["A1_01-p2"]
    assert (result.requested, {count for _, count in seen}) == (2, {28})


@pytest.mark.parametrize("wrong", ["fails", "text"])
def test_a_program_that_fails_ends_the_run(make_plan: Any, predictor: Predictor, tmp_path: Path, wrong: str) -> None:
    def program(position: Position, facts: Facts) -> Any:
        return ["A1"] if wrong == "text" else [1 / 0]

    result = run(make_plan(), predictor, tmp_path / "out", program=program)
    assert isinstance(result.error, LociscopeError)
    assert (result.error.code, result.fields) == (Code.INVALID_VALUE, 0)


def test_the_loop_runs_under_any_engine(make_plan: Any, predictor: Predictor, tmp_path: Path) -> None:
    """As a program with other hardware would use it: a generator of events, and a receiver of images."""
    plan = make_plan({"plate.wells": ["A1"], "rules.0.most": 1})
    checked = check_plan(plan)
    scale = check_setup(plan, None)
    journal = Journal.open(tmp_path / "out", plan, predictor.bundle.sha256)
    rules = RuleEvaluator(plan, scale, plan.limits)
    rng = np.random.default_rng(0)
    events: list[useq.MDAEvent] = []
    with SteeringLoop(plan, scale, checked.positions, predictor, rules, journal, lambda: 0.0) as loop:
        for event in loop.events():
            events.append(event)
            loop.add_image(rng.integers(0, 900, (32, 32)).astype(np.uint16), event, {})
    assert [event.pos_name for event in events[::4]][:2] == ["A1_01", "A1_02"]
    assert len(events) == 12
    assert len(journal.lines) == 3
    assert (tmp_path / "out" / "predictions.parquet").exists()
