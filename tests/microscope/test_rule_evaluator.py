from __future__ import annotations

from typing import Any

import numpy as np

from lociscope.labels import N_LABELS
from lociscope.microscope.configuration import check_setup
from lociscope.microscope.positions import plan_positions
from lociscope.microscope.rule_evaluator import RuleEvaluator


def row(**locations: float) -> np.ndarray:
    p = np.full(N_LABELS, 0.01, np.float32)
    for name, value in locations.items():
        p[int(name[1:])] = value
    return p


def make_evaluator(plan: Any) -> tuple[RuleEvaluator, list[Any]]:
    scale = check_setup(plan, None)
    return RuleEvaluator(plan, scale, plan.limits), plan_positions(plan, scale)


def test_a_verdict_has_the_probabilities_that_it_compared(make_plan: Any) -> None:
    rules = [
        {"when": "status = unsure", "most": 3},
        {"when": "Nucleoli >= 0.5 and Cytosol < 0.9", "zoom": 2, "sites": 4, "most": 9},
    ]
    evaluator, positions = make_evaluator(make_plan({"rules": rules}))
    verdicts, requests = evaluator.evaluate(positions[0], row(p2=0.75, p25=0.25), "ok")
    assert [verdict.verdict for verdict in verdicts] == ["no", "again"]
    assert verdicts[1].because == {"Nucleoli": 0.75, "Cytosol": 0.25}
    assert verdicts[1].urgency == 0.75
    assert [request.position.id for request in requests] == list(verdicts[1].fields)
    assert {request.position.objective for request in requests} == {"20x"}
    assert verdicts[1].to_dict()["fields"] == list(verdicts[1].fields)


def test_both_rules_may_request_a_field(make_plan: Any) -> None:
    rules = [{"when": "status = unsure", "most": 3}, {"when": "Nucleoli < 0.5", "most": 9}]
    evaluator, positions = make_evaluator(make_plan({"rules": rules}))
    _, requests = evaluator.evaluate(positions[0], row(), "unsure")
    assert [request.position.rule for request in requests] == [1, 2]


def test_requested_fields_are_not_evaluated(make_plan: Any) -> None:
    evaluator, positions = make_evaluator(make_plan())
    _, requests = evaluator.evaluate(positions[0], row(), "unsure")
    assert evaluator.evaluate(requests[0].position, row(), "unsure") == ([], [])


def test_nothing_is_requested_outside_the_limits(make_plan: Any) -> None:
    some, positions = make_evaluator(make_plan({"limits.x": [-110.0, 10000.0]}))
    verdicts, requests = some.evaluate(positions[0], row(), "unsure")
    assert verdicts[0].verdict == "again"
    assert len(verdicts[0].outside) == len(requests) == 2
    assert all(request.position.x >= -110 for request in requests)
    none, positions = make_evaluator(make_plan({"limits.z": [-50.0, 50.0], "objectives.1.focus_um": 60.0}))
    verdicts, requests = none.evaluate(positions[0], row(), "unsure")
    assert (verdicts[0].verdict, requests) == ("outside", [])
