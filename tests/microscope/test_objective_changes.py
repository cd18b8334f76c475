"""Changes of the objective ask a person unless the plan allows them."""

from __future__ import annotations

import csv
import json
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lociscope.microscope.acquire import check_plan, run_plan
from lociscope.microscope.simulated.devices import SimulatedTurret
from lociscope.microscope.simulated.specimen import SimulatedPlate
from lociscope.predict.predictor import open_bundle

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lociscope.microscope.loop import SteeringLoop
    from lociscope.microscope.run_result import RunResult

OIL = {
    "objectives.1.immersion": "oil", "plate.sites": [1, 1],
    "rules": [{"when": "Nucleoli >= 0", "zoom": 2, "order": "now", "most": 9}],
}  # fmt: skip


class Person:
    """Answers each question in a thread, as the page does."""

    answers = True

    def __init__(self, *agree: bool) -> None:
        self._agree = list(agree)
        self.asked: list[str] = []

    def on_started(self, loop: SteeringLoop) -> None:
        def answer() -> None:
            while self._agree:
                loop.proposals.changed.wait()
                loop.proposals.changed.clear()
                for each in loop.proposals.pending:
                    self.asked.append(each.change)
                    loop.proposals.answer(each.id, accept=self._agree.pop(0), by="Ada")

        threading.Thread(target=answer, daemon=True).start()

    def on_field(self, line: Mapping[str, Any], pixels: np.ndarray) -> None:
        """Do nothing."""


@pytest.fixture
def run(make_plan: Any, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    blank = np.zeros((32, 32), np.uint16)
    monkeypatch.setattr(SimulatedPlate, "take_image", lambda *_, **__: blank)
    monkeypatch.setattr(SimulatedPlate, "count_cells", lambda *_: 0)

    def run(changes: dict[str, Any], *observers: Any) -> RunResult:
        plan = check_plan(make_plan(OIL | changes))
        return run_plan(plan, open_bundle(tiny_bundle, threads=1), tmp_path / "out", observers=observers)

    return run


def test_oil_is_asked_for_once_after_all_dry_fields(run: Any, tmp_path: Path) -> None:
    person = Person(True)
    assert run({}, person).fields == 4
    names = [json.loads(line)["objective"] for line in (tmp_path / "out" / "decisions.jsonl").read_text().splitlines()]
    assert names == ["10x", "10x", "20x", "20x"]
    assert person.asked == ["10x (air) to 20x (oil)"]
    assert json.loads((tmp_path / "out" / "answers.jsonl").read_text())["by"] == "Ada"


def test_a_refusal_leaves_the_fields_out_and_the_next_call_asks_again(run: Any, tmp_path: Path) -> None:
    person = Person(False)
    assert (run({}, person).fields, len(person.asked)) == (2, 1)
    rows = list(csv.reader((tmp_path / "out" / "left.csv").read_text().splitlines()))[1:]
    assert [why for _, why in rows] == ["nobody agreed to the change to 20x"] * 2
    again = Person(True)
    assert (run({}, again).fields, len(again.asked)) == (4, 1)


def test_without_anybody_the_objective_stays(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    turned: list[int] = []
    monkeypatch.setattr(SimulatedTurret, "set_state", lambda self, position: turned.append(position))
    assert run({}).fields == 2
    assert set(turned) <= {0}


@pytest.mark.parametrize(
    ("changes", "asked"),
    [
        ({"microscope.turns": "all"}, 0),
        ({"objectives.1.immersion": "air"}, 0),
        ({"objectives.1.immersion": "air", "microscope.turns": "ask"}, 1),
    ],
)
def test_the_plan_allows_changes(run: Any, changes: dict[str, Any], asked: int) -> None:
    person = Person(*[True] * asked)
    assert (run(changes, person).fields, len(person.asked)) == (4, asked)


def test_the_terminal_asks(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    import io

    from lociscope.cli.proposals import TerminalAnswers

    assert run({}, TerminalAnswers(io.StringIO("a\n"))).fields == 4
    assert "10x (air) to 20x (oil)" in capsys.readouterr().err
