from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING, Any

import pytest

from lociscope.cli.proposals import TerminalAnswers, describe_proposal
from lociscope.microscope.decisions import Decision, Request, Stop, Verdict
from lociscope.microscope.positions import Position
from lociscope.microscope.proposals import ProposalQueue

if TYPE_CHECKING:
    from collections.abc import Callable

FIELDS = ("A1_01", "A1_02", "A2_01")


class Loop:
    def __init__(self) -> None:
        self.carried: list[str] = []
        self.proposals = ProposalQueue(
            lambda requests, stops: self.carried.extend(each.position.of or "" for each in requests)
        )
        for rank, field in enumerate(FIELDS):
            position = Position(f"{field}-1", "A1", 1, 0.0, 0.0, 0.0, "20x", field, 1)
            verdict = Verdict(1, "again", {"Nucleoli": 0.934}, 0.9 - rank / 10)
            self.proposals.propose(field, "A1", Decision((verdict,), (Request(position, 0.9 - rank / 10),)))


@pytest.mark.parametrize(
    ("text", "carried", "left"),
    [
        ("y\nn\nY\n", ["A1_01", "A2_01"], []),
        ("n\nwhat\nall\n", ["A1_02", "A2_01"], []),
        ("y\ns\n", ["A1_01"], ["A1_02", "A2_01"]),
        ("", [], list(FIELDS)),
    ],
)
def test_answers_of_a_terminal(text: str, carried: list[str], left: list[str], capsys: Any) -> None:
    loop: Any = Loop()
    TerminalAnswers(io.StringIO(text)).on_started(loop)
    if not left:
        _wait(lambda: not loop.proposals.pending)
        loop.proposals.propose("B1_01", "B1", Decision((Verdict(2, "stop", {}),), stops=(Stop(2, "well", "B1"),)))
    _wait(lambda: loop.proposals._closed)  # at `s`, or at the end of stdin
    assert loop.carried == carried
    assert [each.field for each in loop.proposals.pending if each.rule == 1] == left
    err = capsys.readouterr().err
    assert err.startswith("A1_01, rule 1 (Nucleoli 0.93): image 1 field with 20x? [y]es")
    assert ("Answer y (yes)" in err) == ("what" in text)


def _wait(condition: Callable[[], bool]) -> None:
    limit = threading.Event()
    for _ in range(1000):
        if condition():
            return
        limit.wait(0.01)
    raise AssertionError


def test_a_stop_as_a_question() -> None:
    queue = ProposalQueue(lambda *_: None)
    queue.propose("B1_01", "B1", Decision((Verdict(2, "stop", {}),), stops=(Stop(2, "well", "B1"),)))
    assert describe_proposal(queue.all()[0]).startswith("B1_01, rule 2: image no further planned field of the well?")
