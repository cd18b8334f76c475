from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from lociscope.microscope.configuration import check_setup
from lociscope.microscope.event_scheduler import EventScheduler, Request, Skipped, SkipReason
from lociscope.microscope.positions import estimate_field_seconds, plan_positions, positions_around

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
    imaged: Counter[int | None] = Counter({None: 2})
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
