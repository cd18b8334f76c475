from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from lociscope.errors import LociscopeError, UsageError
from lociscope.microscope.plan import SHIPPED, Plan
from lociscope.storage.toml_files import find_model

if TYPE_CHECKING:
    from pathlib import Path

Values = Callable[[dict[str, Any]], dict[str, Any]]


def test_a_plan_keeps_its_values(plan_values: Values) -> None:
    plan = Plan.check(plan_values({"plate.wells": ["A1:B2"]}), "it")
    assert plan.plate.wells == ("A1:B2",)
    assert plan.microscope.frame == (32, 32)
    assert plan.rules[0].most == 6
    assert plan.objective(None).name == "10x"
    assert plan.objective("20x").pixel_size == 2.56
    assert [plan.channels.of(index).preset for index in range(4)] == ["red", "green", "blue", "yellow"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"plate.well": ["A1"]}, "unknown key 'plate.well'. Did you mean 'wells'?"),
        ({"rules.0.wen": "x"}, "unknown key 'rules.1.wen'. Did you mean 'when'?"),
        ({"limit": {}}, "unknown key 'limit'. Did you mean 'limits'?"),
        ({"limits.safez": 1}, "unknown key 'limits.safez'. Did you mean 'safe_z'?"),
        ({"channels.red.exposure": 1}, "unknown key 'channels.red.exposure'. Did you mean 'exposure_ms'?"),
        ({"plate.a1": None}, "lacks the key 'plate.a1'"),
        ({"channels.yellow": None}, "lacks the key 'channels.yellow'"),
        ({"plate.a1": [0.0, "x"]}, "plate.a1.2: "),
        ({"plate.sites": [0, 1]}, "plate.sites.1: Input should be greater than or equal to 1, received 0"),
        ({"rules.0.when": "Nucleolus >= 0.5"}, "rule 1: The rule 'Nucleolus >= 0.5': there is no location 'Nucleolus'"),
        ({"rules.0.when": "Nucleolus >= 0.5"}, "Did you mean 'Nucleoli'?"),
        ({"rules.0.objective": "20x"}, "rule 1: it has both objective and zoom"),
        ({"rules.0.zoom": None, "rules.0.objective": "20"}, "rule 1: The plan lists no objective '20'. Did you mean"),
        ({"objectives.1.name": "10x"}, "two objectives have the same name"),
        ({"objectives.1.name": "../x"}, "objectives.2.name: String should match pattern"),
        ({"limits.z": [5, -5]}, "limits: z is 5 to -5; write the smaller number first"),
        ({"limits.x": [float("-inf"), float("inf")]}, "limits.x.1: Input should be a finite number, received -inf"),
        ({"plate.a1": [float("nan"), 0.0]}, "plate.a1.1: Input should be a finite number, received nan"),
        ({"plate.wells": "A1"}, "plate.wells: Input should be an array, received 'A1'"),
        ({"limits.safe_z": 99.0}, "safe_z 99 is outside z -50 to 50"),
        ({"specimen.antibodies": {"A1": ["Golgi aparatus"]}}, "antibodies.A1: there is no location 'Golgi aparatus'."),
        ({"schema": 2}, "has schema 2, newer than 1"),
        ({"microscope.frame": [32, 32.5]}, "microscope.frame.2: "),
        ({"rules.0.when": "Nucleoli < 0"}, "rule 1: no field can meet 'Nucleoli < 0'"),
        ({"rules.0.most": None}, "rule 1: it has neither most nor stop, so it might never end"),
        ({"rules.0.times": 2}, "rule 1: a series needs both times"),
        ({"rules.0.every_s": 9.0}, "rule 1: a series needs both times"),
        ({"rules.0.times": 9, "rules.0.every_s": 9e5}, "rule 1: its series takes 120000 min, more than budget"),
        ({"rules.0.stop": "well"}, "so most and sites and zoom would have no effect"),
        ({"rules.0.z_stack": [1.0, 2.0]}, "rule 1: its stack has 1 planes"),
        ({"rules.0.z_stack": [1000.0, 1.0]}, "rule 1: its stack has 1001 planes"),
        ({"rules.0.z_stack": [4.0, 1.0], "plate.z": None}, "rule 1: a stack needs a known focus"),
        ({"mode": "ask"}, "mode: Input should be 'observe', 'propose' or 'act'"),
        ({"budget.fields": "9"}, "budget.fields: Input should be a valid integer, received '9'"),
    ],
)  # fmt: skip
def test_a_mistake_is_refused_with_its_remedy(plan_values: Values, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(LociscopeError) as raised:
        Plan.check(plan_values(changes), "Plan 'x'")
    assert message in str(raised.value)


def test_a_missing_file_and_a_file_that_is_not_toml_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"No plan 'simulate'.*Did you mean 'simulated'\?"):
        Plan.read("simulate")
    with pytest.raises(UsageError, match="No such file"):
        Plan.read(str(tmp_path / "none.toml"))
    (tmp_path / "bad.toml").write_text("[plate")
    with pytest.raises(UsageError, match="is not TOML"):
        Plan.read(str(tmp_path / "bad.toml"))
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="is not TOML"):
        Plan.read(str(tmp_path / "bytes.toml"))


@pytest.mark.parametrize("name", [path.stem for path in SHIPPED.glob("*.toml")])
def test_shipped_plans_are_plans_with_limits(name: str) -> None:
    assert Plan.read(name).limits is not None


def test_antibodies_are_class_numbers(plan_values: Values) -> None:
    plan = Plan.check(plan_values({"specimen.antibodies": {"A1": ["Cytosol", "Nucleoli"], "A2": []}}), "x")
    assert [plan.specimen.target(well) for well in ("A1", "A2", "A3")] == [(2, 25), (), None]


def test_a_table_is_found_by_its_keys() -> None:
    assert find_model(Plan, ["rules", 0]).__name__ == "Rule"
    assert find_model(Plan, ["limits"]).__name__ == "Limits"
    assert find_model(Plan, []) is Plan
