from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from lociscope.microscope.decisions import Request, Skipped, SkipReason
from lociscope.microscope.positions import Position
from lociscope.microscope.request_queue import ImagedField, RequestQueue, light_seconds, make_next_time_point

if TYPE_CHECKING:
    from lociscope.microscope.plan import Plan

ONE = {"when": "status = unsure", "most": 9}


def wanted(name: str, rule: int = 1, well: str = "A1", of: str = "A1_01", **more: Any) -> Position:
    return Position(name, well, 1, 0.0, 0.0, 0.0, "10x", of, rule, **more)


def take_all(queue: RequestQueue, order: str = "last") -> list[str]:
    taken = []
    while (position := queue.take(order)) is not None:
        queue.begin(position, 0.0)
        taken.append(position.id)
    return taken


def test_priority_comes_before_urgency(make_plan: Any) -> None:
    queue = RequestQueue(make_plan({"rules": [ONE, {**ONE, "priority": 8}, {**ONE, "priority": 1}]}))
    for name, rule, urgency in (("low", 3, 0.99), ("less", 1, 0.2), ("more", 1, 0.9), ("high", 2, 0.1)):
        queue.add(Request(wanted(name, rule), urgency))
    assert [position.id for position in queue.waiting] == ["high", "more", "less", "low"]
    assert take_all(queue) == ["high", "more", "less", "low"]


@pytest.mark.parametrize(("key", "reason"), [("most", SkipReason.RULE_LIMIT), ("most_per_well", SkipReason.WELL_LIMIT)])
def test_limits_of_a_rule(make_plan: Any, key: str, reason: SkipReason) -> None:
    queue = RequestQueue(make_plan({"rules": [{**ONE, key: 2}]}), [ImagedField(1, "A1", "A1_01")])
    for name in "abc":
        queue.add(Request(wanted(name), 0.5))
    queue.add(Request(wanted("d", well="A2"), 0.1))
    assert take_all(queue) == (["a"] if key == "most" else ["a", "d"])
    assert queue.dropped[:2] == [Skipped(name, reason, 1) for name in "bc"]


def test_the_light_budget_counts_a_field_with_those_around_it(make_plan: Any) -> None:
    plan = make_plan({"rules": [ONE], "budget.light_s": 1.0})
    assert light_seconds(plan, ImagedField(None, "A1", "A1_01")) == pytest.approx(0.4)
    queue = RequestQueue(plan, [ImagedField(None, "A1", "A1_01")])
    for name in "ab":
        queue.add(Request(wanted(name), 0.5))
    queue.add(Request(wanted("c", of="A1_02"), 0.1))
    assert take_all(queue) == ["a", "c"]
    assert queue.dropped == [Skipped("b", SkipReason.LIGHT_BUDGET, 1.0)]


def test_a_rule_that_has_found_enough_is_closed(make_plan: Any) -> None:
    queue = RequestQueue(make_plan({"rules": [{**ONE, "enough": 1}]}))
    queue.add(Request(wanted("a"), 0.5))
    queue.close_rule(1)
    assert queue.take("last") is None
    assert queue.dropped == [Skipped("a", SkipReason.ENOUGH, 1)]


def test_what_a_program_requests_has_only_the_budgets_of_the_plan(make_plan: Any) -> None:
    queue = RequestQueue(make_plan({"rules": []}))
    for number in range(20):
        queue.add(Request(replace(wanted(str(number)), rule=None), 0.5))
    assert len(take_all(queue)) == 20


def test_the_next_time_point(make_plan: Any) -> None:
    plan: Plan = make_plan({"rules": [{**ONE, "times": 2, "every_s": 60.0}]})
    following = make_next_time_point(wanted("f-t01", time=1), 10.0, plan)
    assert following == Request(wanted("f-t02", time=2), 1.0, 70.0)
    assert make_next_time_point(wanted("f-t02", time=2), 70.0, plan) is None
    assert make_next_time_point(wanted("f"), 0.0, plan) is None
    queue = RequestQueue(plan)
    queue.begin(wanted("f-t01", time=1), 10.0)
    assert queue.next_due_s == 70.0
    assert queue.take_due(69.0) is None
    assert queue.take_due(70.0) == wanted("f-t02", time=2)
