from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lociscope.errors import Code, LociscopeError
from lociscope.microscope.acquire import check_plan
from lociscope.microscope.board import Board
from lociscope.microscope.journal import Journal
from lociscope.microscope.loop import SteeringLoop
from lociscope.microscope.rule_evaluator import RuleEvaluator
from lociscope.microscope.run_result import RunResult
from lociscope.predict.predictor import Predictor, open_bundle

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def predictor(tiny_bundle: Path) -> Predictor:
    return open_bundle(tiny_bundle, threads=1)


def make_loop(plan: Any, predictor: Predictor, out: Path, board: Board) -> SteeringLoop:
    checked = check_plan(plan)
    journal = Journal.open(out, plan, predictor.bundle.sha256)
    rules = RuleEvaluator(plan, checked.scale, plan.limits)
    return SteeringLoop(
        plan, checked.scale, checked.positions, predictor, rules, journal, lambda: 0.0, observers=[board]
    )


def test_a_board_before_its_run() -> None:
    board = Board()
    assert (board.state, board.snapshot()["planned"]) == ("opening", 0)
    for change in (board.pause, board.resume, board.stop, lambda: board.answer("x", accept=True, by="Ada")):
        with pytest.raises(LociscopeError) as raised:
            change()
        assert raised.value.code == Code.CONFLICT
    board.finish(None, "The microscope has no power.")
    assert (board.state, board.snapshot()["error"]) == ("ended", "The microscope has no power.")


def test_a_board_shows_what_its_run_has_done(make_plan: Any, predictor: Predictor, tmp_path: Path) -> None:
    board = Board()
    plan = make_plan({"mode": "propose", "rules.0.most": 1, "plate.wells": ["A1"], "budget.light_s": 9.0})
    rng = np.random.default_rng(0)
    with make_loop(plan, predictor, tmp_path / "out", board) as loop:
        marks = {board.fingerprint()}
        for number, event in enumerate(loop.events()):
            loop.add_image(rng.integers(0, 900, (32, 32)).astype(np.uint16), event, {})
            if number == 7:
                break
        loop.worker.close()
        marks.add(board.fingerprint())
        shown = board.snapshot()
        assert (shown["state"], shown["mode"], shown["planned"], shown["planned_done"]) == ("running", "propose", 2, 2)
        assert shown["wells"] == {"A1": {"planned": 2, "done": 2, "again": 0}}
        assert (shown["light_s"], shown["light_most_s"], shown["light_budget_s"]) == (0.8, 0.4, 9.0)
        assert [each["field"] for each in shown["recent"]] == ["A1_02", "A1_01"]
        assert [each["verdict"] for each in shown["decisions"]] == ["again", "again"]
        assert len(shown["proposals"]) == 2
        board.answer(shown["proposals"][0]["id"], accept=False, by="Ada")
        marks.add(board.fingerprint())
        assert len(board.snapshot()["proposals"]) == 1
        assert board.image_path("A1_01").exists()
        with pytest.raises(LociscopeError) as raised:
            board.image_path("A9_01")
        assert raised.value.code == Code.UNKNOWN_NAME
        board.pause()
        assert (board.state, loop.scheduler.paused) == ("paused", True)
        board.resume()
        board.stop()
        assert (board.state, loop.stop_requested) == ("stopping", True)
        marks.add(board.fingerprint())
        loop.stop()
    board.finish(RunResult())
    assert board.state == "ended"
    assert len(marks | {board.fingerprint()}) == 5
