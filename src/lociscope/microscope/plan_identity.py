"""Hash a plan, so that a folder is resumed only with the plan that filled it."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lociscope.microscope.plan import Plan

MAY_CHANGE: dict[str, Any] = {
    "output": True,
    "log": True,
    "mode": True,
    "images": True,
    "labels": True,
    "budget": True,
    "quality": True,
    "microscope": {"timeout_s", "turns"},
}
"""Keys of the plan that a later call may change: where it writes, who decides, and how long it may take."""
_EARLIER: dict[int, dict[str, Any]] = {
    1: {
        "output": True,
        "log": True,
        "budget": {"light_s"},
        "microscope": {"turns"},
    },  # hashed the budget and the time limit too
    2: {"output": True, "log": True, "budget": True, "microscope": {"timeout_s", "turns"}},
}
"""Keys that earlier schemas left out of the hash."""
_NEW: dict[str, Any] = {
    "mode": True,
    "images": True,
    "labels": True,
    "quality": True,
    "specimen": {"drift"},
    "objectives": {"__all__": {"immersion", "offset_um"}},
    "rules": {
        "__all__": {
            "wells", "found", "per", "z_stack", "times", "every_s", "most_per_well", "enough", "stop", "priority",
        }
    },
}  # fmt: skip
"""Keys that plans of these schemas did not have."""


def hash_plan(plan: Plan, schema: int) -> str:
    """Return the sha256 of a plan without the keys that may change.

    Args:
        plan: The plan.
        schema: Schema of `run.json`. From 3 on keys with their default do not count, so that further ones may be added.
    """
    if schema in _EARLIER:
        values = plan.model_dump(mode="json", by_alias=True, exclude=_EARLIER[schema] | _NEW)
    else:
        values = plan.model_dump(mode="json", by_alias=True, exclude=MAY_CHANGE, exclude_defaults=True)
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
