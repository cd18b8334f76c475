from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lociscope.errors import UsageError
from lociscope.labels import N_LABELS
from lociscope.microscope.conditions import Facts
from lociscope.microscope.configuration import check_setup
from lociscope.microscope.decisions import Stop
from lociscope.microscope.positions import plan_positions
from lociscope.microscope.rule_evaluator import RuleEvaluator


def facts(status: str = "ok", count: int = 0, **locations: float) -> Facts:
    p = np.full(N_LABELS, 0.01, np.float32)
    for name, value in locations.items():
        p[int(name[1:])] = value
    return Facts(p, status, count)


def make_evaluator(plan: Any) -> tuple[RuleEvaluator, list[Any]]:
    scale = check_setup(plan, None)
    return RuleEvaluator(plan, scale, plan.limits), plan_positions(plan, scale)


def test_a_verdict_has_the_probabilities_that_it_compared(make_plan: Any) -> None:
    rules = [
        {"when": "status = unsure", "most": 3},
        {"when": "Nucleoli >= 0.5 and Cytosol < 0.9", "zoom": 2, "sites": 4, "most": 9},
    ]
    evaluator, positions = make_evaluator(make_plan({"rules": rules}))
    decision = evaluator.evaluate(positions[0], facts(p2=0.75, p25=0.25))
    verdicts, requests = decision.verdicts, decision.requests
    assert [verdict.verdict for verdict in verdicts] == ["no", "again"]
    assert verdicts[1].because == {"Nucleoli": 0.75, "Cytosol": 0.25}
    assert verdicts[1].urgency == 0.75
    assert [request.position.id for request in requests] == list(verdicts[1].fields)
    assert {request.position.objective for request in requests} == {"20x"}
    assert verdicts[1].to_dict()["fields"] == list(verdicts[1].fields)


def test_both_rules_may_request_a_field(make_plan: Any) -> None:
    rules = [{"when": "status = unsure", "most": 3}, {"when": "Nucleoli < 0.5", "most": 9}]
    evaluator, positions = make_evaluator(make_plan({"rules": rules}))
    requests = evaluator.evaluate(positions[0], facts("unsure")).requests
    assert [request.position.rule for request in requests] == [1, 2]


def test_requested_fields_request_nothing_and_confirm_or_refute_their_rule(make_plan: Any) -> None:
    evaluator, positions = make_evaluator(make_plan())
    requests = evaluator.evaluate(positions[0], facts("unsure")).requests
    decision = evaluator.evaluate(requests[0].position, facts("unsure"))
    assert (decision.verdicts[0].verdict, decision.requests, decision.stops) == ("confirmed", (), ())
    evaluator, _ = make_evaluator(make_plan({"rules.0.when": "Nucleoli >= 0.5"}))
    assert evaluator.evaluate(requests[0].position, facts(p2=0.1)).verdicts[0].verdict == "refuted"


def test_nothing_is_requested_outside_the_limits(make_plan: Any) -> None:
    some, positions = make_evaluator(make_plan({"limits.x": [-110.0, 10000.0]}))
    decision = some.evaluate(positions[0], facts("unsure"))
    verdicts, requests = decision.verdicts, decision.requests
    assert verdicts[0].verdict == "again"
    assert len(verdicts[0].outside) == len(requests) == 2
    assert all(request.position.x >= -110 for request in requests)
    none, positions = make_evaluator(make_plan({"limits.z": [-50.0, 50.0], "objectives.1.focus_um": 60.0}))
    decision = none.evaluate(positions[0], facts("unsure"))
    verdicts, requests = decision.verdicts, decision.requests
    assert (verdicts[0].verdict, requests) == ("outside", ())


def test_a_rule_acts_from_the_field_on_that_makes_it_enough(make_plan: Any) -> None:
    plan = make_plan({"rules.0.when": "Nucleoli >= 0.5", "rules.0.found": 2})
    evaluator, positions = make_evaluator(plan)
    verdicts = [evaluator.evaluate(each, facts(p2=0.9)).verdicts[0].verdict for each in positions]
    assert verdicts == ["waiting", "again", "waiting", "again"]  # two fields in each of two wells
    evaluator, _ = make_evaluator(make_plan({"rules.0.found": 3, "rules.0.per": "plate"}))
    assert [evaluator.evaluate(each, facts("unsure")).verdicts[0].verdict for each in positions] == [
        "waiting", "waiting", "again", "again",
    ]  # fmt: skip


def test_a_rule_that_stops_its_well(make_plan: Any) -> None:
    evaluator, positions = make_evaluator(make_plan({"rules": [{"when": "mixed", "stop": "well"}]}))
    assert evaluator.evaluate(positions[0], facts(count=1)).stops == ()
    decision = evaluator.evaluate(positions[0], facts(count=2))
    assert (decision.verdicts[0].verdict, decision.stops) == ("stop", (Stop(1, "well", "A1"),))
    assert decision.verdicts[0].because == {"locations": 2}
    later = evaluator.evaluate(positions[1], facts(count=2))
    assert (later.verdicts[0].verdict, later.stops) == ("stopped", ())
    assert evaluator.evaluate(positions[2], facts(count=2)).stops == (Stop(1, "well", "A2"),)


def test_a_rule_looks_only_at_its_wells(make_plan: Any) -> None:
    evaluator, positions = make_evaluator(make_plan({"rules.0.wells": ["A2:B3"]}))
    assert [len(evaluator.evaluate(each, facts("unsure")).verdicts) for each in positions] == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rules.0.wells": ["B1"]}, "rule 1: none of its wells"),
        ({"rules.0.wells": ["Z1"]}, "rules.1.wells: a plate of 96-well has no well 'Z1'"),
        ({"rules.0.found": 3}, "found is 3, and a well of the plan has 2 planned fields"),
        ({"rules.0.found": 5, "rules.0.per": "plate"}, "found is 5, and its wells have 4 planned fields"),
        ({"rules.0.found": 3, "rules.0.per": "plate", "rules.0.wells": ["A2"]}, "its wells have 2 planned fields"),
    ],
)
def test_a_rule_that_can_never_act_is_refused(make_plan: Any, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        make_evaluator(make_plan(change))
    assert message in str(raised.value)


def test_a_rule_ends_when_it_has_found_enough(make_plan: Any) -> None:
    evaluator, positions = make_evaluator(make_plan({"rules.0.enough": 2}))
    requests = evaluator.evaluate(positions[0], facts("unsure")).requests
    stops = [evaluator.evaluate(each.position, facts("unsure")).stops for each in requests[:3]]
    assert stops == [(), (Stop(1, "rule", "A1"),), (Stop(1, "rule", "A1"),)]
    assert evaluator.confirmed == {1: 3}


def test_a_stack_and_a_series(make_plan: Any) -> None:
    change = {"rules.0.z_stack": [4.0, 2.0], "rules.0.sites": 1, "rules.0.times": 3, "rules.0.every_s": 60.0}
    evaluator, positions = make_evaluator(make_plan(change))
    requests = evaluator.evaluate(positions[0], facts("unsure")).requests
    assert [(each.position.id, each.position.z, each.position.time) for each in requests] == [
        ("A1_01-1-20x-1-z01-t01", -2.0, 1),
        ("A1_01-1-20x-1-z02-t01", 0.0, 1),
        ("A1_01-1-20x-1-z03-t01", 2.0, 1),
    ]


def test_earlier_decisions_count(make_plan: Any) -> None:
    rules = [
        {"when": "Nucleoli >= 0.5", "found": 2, "most": 4, "enough": 1},
        {"when": "mixed", "stop": "well"},
    ]
    plan = make_plan({"rules": rules})
    first, positions = make_evaluator(plan)
    earlier = []
    for each, known in ((positions[0], facts(p2=0.9)), (positions[2], facts(count=2))):
        verdicts = [verdict.to_dict() for verdict in first.evaluate(each, known).verdicts]
        earlier.append({"field": each.id, "well": each.well, "rules": verdicts})
    again, _ = make_evaluator(plan)
    assert again.replay(earlier) == [("A2_01", Stop(2, "well", "A2"))]
    assert again.evaluate(positions[1], facts(p2=0.9)).verdicts[0].verdict == "again"
    confirmed = {"field": "x", "well": "A1", "rules": [{"rule": 1, "verdict": "confirmed", "because": {}}]}
    assert again.replay([confirmed]) == [("x", Stop(1, "rule", "A1"))]
