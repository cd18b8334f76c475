from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lociscope.microscope.acquire import check_plan
from lociscope.microscope.describe import (
    describe_plan,
    describe_rule,
    estimate_seconds,
    format_duration,
    summarize_plan,
)
from lociscope.microscope.plan import Plan
from lociscope.microscope.positions import estimate_field_seconds
from lociscope.warnings import FieldWarning, WarningKind

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

DOCS = Path(__file__).parents[2] / "docs"


def test_describe_plan(make_plan: Any) -> None:
    plan = make_plan()
    checked = check_plan(plan)
    text = "\n".join(
        describe_plan(
            plan, checked.scale, checked.positions, {"20x": (FieldWarning(WarningKind.SMALL_FIELD, value=82),)}
        )
    )
    for line in (
        "microscope  simulated, 32 × 32 px",
        "objective   10x: 5.12 µm a pixel, 164 × 164 µm, overview",
        "channel     yellow (endoplasmic reticulum): yellow, 100 ms",
        "rule 1      if status = unsure or Nucleoli ≥ 0.0: 4 fields around its centre with 20x, "
        "after the planned fields, the most urgent first, at most 6 fields",
        "limits      x -1000 to 10000, y -1000 to 1000, z -50 to 50 µm",
        "note        20x: small field: 82 µm",
        "field       A2_01: x 8918.1, y 0.0 µm, z 0.0",
        "for 4 fields by the plan's timing, at most",
    ):
        assert line in text


def test_a_plan_without_limits_moves_nothing(make_plan: Any) -> None:
    plan = make_plan({"limits": None, "rules": [], "plate.z": None})
    checked = check_plan(plan)
    text = "\n".join(describe_plan(plan, checked.scale, checked.positions))
    assert "limits      none: nothing will move until the plan has [limits]" in text
    assert "focus unchanged" in text
    assert "for the rules" not in text
    assert summarize_plan(plan, checked.scale, checked.positions, {})["moves"] is False


def test_a_rule_at_once_and_in_the_middle(make_plan: Any) -> None:
    plan = make_plan({"rules.0.sites": 1, "rules.0.order": "now", "rules.0.zoom": None})
    scale = check_plan(plan).scale
    assert describe_rule(plan.rules[0], plan, scale).endswith(": its centre again with 10x, at once, at most 6 fields")


def test_the_estimate_is_the_sum_of_the_fields(make_plan: Any) -> None:
    plan = make_plan()
    positions = check_plan(plan).positions
    ways = [estimate_field_seconds(here, there, plan) for here, there in pairwise(positions)]
    assert estimate_seconds(plan, positions) == pytest.approx(
        estimate_field_seconds(None, positions[0], plan) + sum(ways)
    )
    assert estimate_seconds(plan, []) == 0


@pytest.mark.parametrize(("seconds", "expected"), [(40, "40 s"), (720, "12 min"), (7500, "2 h 5 min")])
def test_format_duration(seconds: float, expected: str) -> None:
    assert format_duration(seconds) == expected


def test_the_page_of_keys_is_the_model(load_script: Callable[[str], ModuleType]) -> None:
    module = load_script("docs/_generate/plan_page")
    shown = (DOCS / "reference" / "microscope-plan.md").read_text(encoding="utf-8")
    assert shown == module.page(), "python docs/_generate/plan_page.py > docs/reference/microscope-plan.md"
    paths = [path for _, path in module.TABLES]
    keys = {"schema_", "output", "bundle", "log", "mode", "images", "labels"}
    assert {path[0] for path in paths} == set(Plan.model_fields) - keys
