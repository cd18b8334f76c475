from __future__ import annotations

import threading
from typing import Any

import pytest

from lociscope.errors import Code, LociscopeError
from lociscope.microscope.decisions import Decision, Request, Stop, Verdict
from lociscope.microscope.positions import Position
from lociscope.microscope.proposals import AnsweredError, ProposalQueue


def decision(*rules: int, urgency: float = 0.5) -> Decision:
    """A decision in which each rule requests one field."""
    requests = tuple(
        Request(Position(f"A1_01-{rule}", "A1", 1, 0.0, 0.0, 0.0, "20x", "A1_01", rule), urgency) for rule in rules
    )
    verdicts = tuple(Verdict(rule, "again", {"Nucleoli": 0.9}, urgency) for rule in rules)
    return Decision((*verdicts, Verdict(9, "no", {})), requests)


class Recorder:
    def __init__(self) -> None:
        self.carried: list[Any] = []
        self.stored: list[Any] = []
        self.queue = ProposalQueue(
            lambda requests, stops: self.carried.append((requests, stops)), lambda *answer: self.stored.append(answer)
        )


def test_each_rule_that_wants_something_is_one_proposal() -> None:
    recorder = Recorder()
    recorder.queue.propose("A1_01", "A1", decision(1, 3))
    recorder.queue.propose("A2_01", "A2", decision(1, urgency=0.8))
    stop = Decision((Verdict(2, "stop", {}),), stops=(Stop(2, "well", "B1"),))
    recorder.queue.propose("B1_01", "B1", stop)
    assert [each.id for each in recorder.queue.all()] == ["A1_01-1", "A1_01-3", "A2_01-1", "B1_01-2"]
    assert [each.id for each in recorder.queue.pending] == ["A2_01-1", "A1_01-1", "A1_01-3", "B1_01-2"]
    assert recorder.carried == []
    recorder.queue.answer("B1_01-2", accept=True, by="Ada")
    assert recorder.carried == [((), (Stop(2, "well", "B1"),))]


def test_an_accepted_proposal_is_stored_and_carried_out_once() -> None:
    recorder = Recorder()
    recorder.queue.propose("A1_01", "A1", decision(1))
    answered = recorder.queue.answer("A1_01-1", accept=True, by="Ada")
    assert (answered.state, answered.by) == ("accepted", "Ada")
    assert recorder.stored == [("A1_01-1", True, "Ada")]
    assert len(recorder.carried) == 1
    assert not recorder.queue.expects_answers


def test_the_second_of_two_people_is_told_who_was_first() -> None:
    recorder = Recorder()
    recorder.queue.propose("A1_01", "A1", decision(1))
    recorder.queue.answer("A1_01-1", accept=False, by="Ada")
    with pytest.raises(AnsweredError, match=r"was rejected by Ada \d s ago\. Nothing was changed") as raised:
        recorder.queue.answer("A1_01-1", accept=True, by="Bo")
    assert raised.value.code == Code.CONFLICT
    assert recorder.carried == []


def test_of_many_answers_at_once_one_counts() -> None:
    recorder = Recorder()
    recorder.queue.propose("A1_01", "A1", decision(1))
    refused, barrier = [], threading.Barrier(8)

    def accept(number: int) -> None:
        barrier.wait()
        try:
            recorder.queue.answer("A1_01-1", accept=True, by=str(number))
        except AnsweredError:
            refused.append(number)

    threads = [threading.Thread(target=accept, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(refused), len(recorder.carried), len(recorder.stored)) == (7, 1, 1)


def test_an_answer_that_cannot_be_stored_takes_no_effect() -> None:
    carried: list[Any] = []

    def fail(*answer: object) -> None:
        raise LociscopeError("No space left.", code=Code.UNWRITABLE)

    queue = ProposalQueue(lambda *what: carried.append(what), fail)
    queue.propose("A1_01", "A1", decision(1))
    with pytest.raises(LociscopeError, match="No space"):
        queue.answer("A1_01-1", accept=True, by="Ada")
    assert (carried, queue.expects_answers) == ([], True)


def test_answers_of_earlier_calls_take_effect_at_once() -> None:
    carried: list[Any] = []
    queue = ProposalQueue(lambda *what: carried.append(what), answers={"A1_01-1": True, "A1_01-3": False})
    queue.propose("A1_01", "A1", decision(1, 2, 3))
    assert [each.state for each in queue.all()] == ["accepted", "pending", "rejected"]
    assert len(carried) == 1


def test_unknown_and_late_answers_are_refused() -> None:
    queue = Recorder().queue
    with pytest.raises(LociscopeError) as unknown:
        queue.answer("x", accept=True, by="Ada")
    assert unknown.value.code == Code.NOT_FOUND
    queue.propose("A1_01", "A1", decision(1))
    queue.close()
    assert not queue.expects_answers
    with pytest.raises(LociscopeError) as late:
        queue.answer("A1_01-1", accept=True, by="Ada")
    assert late.value.code == Code.REFUSED


def test_a_proposal_as_data() -> None:
    queue = Recorder().queue
    queue.propose("A1_01", "A1", decision(1))
    assert queue.all()[0].to_dict() == {
        "id": "A1_01-1", "field": "A1_01", "well": "A1", "rule": 1, "because": {"Nucleoli": 0.9}, "urgency": 0.5,
        "state": "pending", "by": "", "fields": ["A1_01-1"], "objective": "20x", "stops": [], "change": "",
    }  # fmt: skip
