from __future__ import annotations

import hashlib
import json
from typing import Any

from lociscope.microscope.plan_identity import hash_plan

NEW = {"wells", "found", "per", "z_stack", "times", "every_s", "most_per_well", "enough", "stop", "priority"}


def test_the_hash_of_schema_2_knows_no_later_key(make_plan: Any) -> None:
    """As the version that wrote schema 2 computed it."""
    values = make_plan().model_dump(mode="json", by_alias=True)
    for key in ("output", "log", "mode", "images", "labels", "budget", "quality"):
        del values[key]
    del values["microscope"]["timeout_s"], values["microscope"]["turns"], values["specimen"]["drift"]
    for objective in values["objectives"]:
        del objective["immersion"], objective["offset_um"]
    for rule in values["rules"]:
        for key in NEW:
            del rule[key]
    assert hash_plan(make_plan(), 2) == hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def test_what_may_change_does_not_count(make_plan: Any) -> None:
    same = make_plan(
        {
            "mode": "observe",
            "output": "x",
            "images": "ome-tiff",
            "labels": True,
            "budget.light_s": 9.0,
            "microscope.timeout_s": 4.0,
        }
    )
    assert hash_plan(same, 3) == hash_plan(make_plan(), 3)
    assert hash_plan(make_plan({"rules.0.found": 2}), 3) != hash_plan(make_plan(), 3)
    assert hash_plan(make_plan({"rules.0.found": 1}), 3) == hash_plan(make_plan(), 3)
