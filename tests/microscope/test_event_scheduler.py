from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from lociscope.microscope.configuration import check_setup
from lociscope.microscope.decisions import Request, Skipped, SkipReason, Stop
from lociscope.microscope.event_scheduler import EventScheduler
from lociscope.microscope.positions import estimate_field_seconds, plan_positions, positions_around
from lociscope.microscope.request_queue import ImagedField

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lociscope.microscope.plan import Plan

ONE = {"when": "status = unsure", "sites": 1, "most": 2}


class Driver:
    """Steps through the fields as a camera does, with a simulated clock."""

    def __init__(self, plan: Plan, **options: Any) -> None:
        self.plan = plan
        self.scale = check_setup(plan, None)
        self.planned = plan_positions(plan, self.scale)
        self.now = 100.0
        self.scheduler = EventScheduler(plan, self.planned, lambda: self.now, **options)
        self._fields = self._walk()

    def _walk(self) -> Iterator[str]:
        for number, event in enumerate(self.scheduler.events()):
            if number % 4 == 0:
                yield str(event.pos_name)

    def next(self) -> str | None:
        return next(self._fields, None)

    def ask(self, field: str, urgency: float = 0.5, rule: int = 1, sites: int = 1) -> None:
        position = next(each for each in self.planned if each.id == field)
        wanted = positions_around(position, rule, sites, self.plan.objectives[0], self.plan, self.scale)
        self.scheduler.add_decision(field, [Request(each, urgency) for each in wanted])

    def nothing(self, *fields: str) -> None:
        for field in fields:
            self.scheduler.add_decision(field, [])


def test_without_rules_the_planned_fields_come_in_order(make_plan: Any) -> None:
    driver = Driver(make_plan({"rules": []}))
    names = [driver.next() for _ in range(4)]
    assert names == ["A1_01", "A1_02", "A2_01", "A2_02"]
    driver.nothing(*[name for name in names if name])
    assert driver.next() is None
    assert driver.scheduler.skipped == []


def test_what_is_wanted_now_comes_between_planned_fields(make_plan: Any) -> None:
    driver = Driver(make_plan({"rules": [{**ONE, "order": "now"}]}))
    assert driver.next() == "A1_01"
    driver.ask("A1_01")
    assert [driver.next() for _ in range(2)] == ["A1_01-1-10x-1", "A1_02"]


def test_what_can_wait_comes_last_and_the_likeliest_first(make_plan: Any) -> None:
    driver = Driver(make_plan({"rules": [ONE]}))
    for field, urgency in (("A1_01", 0.3), ("A1_02", 0.9), ("A2_01", 0.6), ("A2_02", 0.1)):
        assert driver.next() == field
        driver.ask(field, urgency)
    assert [driver.next() for _ in range(3)] == ["A1_02-1-10x-1", "A2_01-1-10x-1", None]
    assert driver.scheduler.skipped == [
        Skipped("A1_01-1-10x-1", SkipReason.RULE_LIMIT, 1),
        Skipped("A2_02-1-10x-1", SkipReason.RULE_LIMIT, 1),
    ]


def test_each_rule_has_its_own_most(make_plan: Any) -> None:
    driver = Driver(make_plan({"rules": [ONE, {**ONE, "most": 1}]}))
    for field in ("A1_01", "A1_02", "A2_01", "A2_02"):
        driver.next()
        driver.ask(field, rule=1)
        driver.scheduler.add_decision("other", [])
        driver.ask(field, rule=2)
    names = [driver.next() for _ in range(4)]
    assert [name.split("-")[1] for name in names if name] == ["1", "2", "1"]


def test_the_same_field_is_not_imaged_twice(make_plan: Any) -> None:
    driver = Driver(make_plan({"rules": [{**ONE, "order": "now"}], "plate.wells": ["A1"], "plate.sites": [1, 1]}))
    driver.next()
    driver.ask("A1_01")
    driver.ask("A1_01")
    assert [driver.next() for _ in range(2)] == ["A1_01-1-10x-1", None]


def test_a_budget_of_fields(make_plan: Any) -> None:
    driver = Driver(make_plan({"budget.fields": 3, "rules": [{**ONE, "order": "now"}]}))
    driver.next()
    driver.ask("A1_01")
    assert [driver.next() for _ in range(3)] == ["A1_01-1-10x-1", "A1_02", None]
    assert driver.scheduler.skipped == [Skipped(name, SkipReason.FIELD_BUDGET, 3) for name in ("A2_01", "A2_02")]


def test_no_field_is_begun_that_would_end_after_the_time(make_plan: Any) -> None:
    plan = make_plan({"budget.minutes": 1.0, "rules": []})
    driver = Driver(plan)
    assert driver.next() == "A1_01"
    driver.now += 60 - estimate_field_seconds(driver.planned[0], driver.planned[1], plan) - 0.01
    assert driver.next() == "A1_02"
    driver.now += 1
    assert driver.next() is None
    assert driver.scheduler.skipped[0] == Skipped("A2_01", SkipReason.TIME_BUDGET, 1)


def test_earlier_calls_count(make_plan: Any) -> None:
    imaged = [ImagedField(None, "A1", "x"), ImagedField(None, "A1", "y")]
    driver = Driver(make_plan({"budget.fields": 3, "budget.minutes": 1.0, "rules": []}), imaged=imaged, elapsed=10.0)
    assert driver.scheduler.elapsed == pytest.approx(10)
    assert [driver.next() for _ in range(2)] == ["A1_01", None]


def test_the_camera_waits_only_while_there_is_no_room(make_plan: Any) -> None:
    looks = iter([False, False, True, True, True, True])
    driver = Driver(make_plan({"rules": []}))
    driver.scheduler.has_capacity = lambda: next(looks)
    assert driver.next() == "A1_01"
    assert next(looks) is True


def test_stopping_ends_the_events_also_while_they_wait(make_plan: Any) -> None:
    driver = Driver(make_plan({"plate.wells": ["A1"]}))
    assert [driver.next() for _ in range(2)] == ["A1_01", "A1_02"]
    driver.ask("A1_01")
    driver.scheduler.stop()  # A1_02 is not decided, and never will be
    assert driver.next() is None
    driver = Driver(make_plan())
    driver.next()
    driver.scheduler.stop()
    assert driver.next() is None
    assert [each.reason for each in driver.scheduler.skipped] == [SkipReason.INTERRUPTED] * 3


def test_a_stopped_well_loses_its_planned_fields_and_keeps_its_requests(make_plan: Any) -> None:
    driver = Driver(make_plan({"rules": [ONE]}))
    assert driver.next() == "A1_01"
    driver.ask("A1_01")
    driver.scheduler.add_decision("A1_01", [], [Stop(1, "well", "A1")])
    assert driver.next() == "A2_01"
    driver.nothing("A2_01")
    assert driver.next() == "A2_02"
    driver.nothing("A2_02")
    assert [driver.next() for _ in range(2)] == ["A1_01-1-10x-1", None]
    assert driver.scheduler.skipped == [Skipped("A1_02", SkipReason.ENOUGH, 1)]


def test_a_stopped_plate_loses_every_planned_field(make_plan: Any) -> None:
    driver = Driver(make_plan({"rules": [ONE]}))
    driver.next()
    driver.scheduler.add_decision("A1_01", [], [Stop(1, "plate", "A1")])
    assert driver.next() is None
    assert [each.id for each in driver.scheduler.skipped] == ["A1_02", "A2_01", "A2_02"]


def test_a_paused_scheduler_begins_no_field_until_it_resumes(make_plan: Any) -> None:
    driver = Driver(make_plan({"rules": []}))
    driver.next()
    driver.scheduler.pause()
    threading.Timer(0.2, driver.scheduler.resume).start()
    began = time.monotonic()
    assert driver.scheduler.paused
    assert driver.next() == "A1_02"
    assert time.monotonic() - began > 0.15
    driver.scheduler.pause()
    threading.Timer(0.1, driver.scheduler.stop).start()
    assert driver.next() is None


def test_time_points_of_a_series_come_when_they_are_due(make_plan: Any) -> None:
    rule = {**ONE, "most": 9, "order": "now", "times": 3, "every_s": 100.0}
    plan = make_plan({"rules": [rule], "plate.wells": ["A1"], "plate.sites": [1, 1]})
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        driver.now += 30

    driver = Driver(plan, wait=wait)
    assert driver.next() == "A1_01"
    position = replace(
        positions_around(driver.planned[0], 1, 1, plan.objectives[0], plan, driver.scale)[0], id="x-t01", time=1
    )
    driver.scheduler.add_decision("A1_01", [Request(position, 0.5)])
    assert driver.next() == "x-t01"
    began = driver.now
    assert driver.next() == "x-t02"
    assert driver.now - began >= 100
    assert driver.next() == "x-t03"
    assert driver.now - began >= 200
    assert driver.next() is None
    assert waits


def test_a_series_beyond_the_time_budget_ends(make_plan: Any) -> None:
    rule = {**ONE, "most": 9, "order": "now", "times": 2, "every_s": 50.0}
    plan = make_plan({"rules": [rule], "plate.wells": ["A1"], "plate.sites": [1, 1], "budget.minutes": 1.0})
    driver = Driver(plan)
    driver.next()
    position = replace(driver.planned[0], id="x-t01", time=1, rule=1, of="A1_01")
    driver.now += 20
    driver.scheduler.add_decision("A1_01", [Request(position, 0.5)])
    assert [driver.next() for _ in range(2)] == ["x-t01", None]
    assert driver.scheduler.skipped == [Skipped("x-t02", SkipReason.TIME_BUDGET, 1)]


def test_the_events_wait_while_requests_are_expected(make_plan: Any) -> None:
    driver = Driver(make_plan({"plate.wells": ["A1"], "plate.sites": [1, 1]}))
    driver.next()
    answers = iter([True, True, False, False])
    driver.scheduler.expects_requests = lambda: next(answers)
    driver.nothing("A1_01")
    late = Request(replace(driver.planned[0], id="late", rule=1, of="A1_01"), 0.5)
    threading.Timer(0.02, driver.scheduler.add_requests, ([late],)).start()
    assert [driver.next() for _ in range(2)] == ["late", None]
