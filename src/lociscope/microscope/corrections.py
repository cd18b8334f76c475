"""Image a field again because its image is bad: unsharp, or with a saturated channel. Rules look at the new image."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from lociscope.channels import CHANNEL_NAMES
from lociscope.microscope.decisions import Decision, Request, Verdict
from lociscope.warnings import WarningKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lociscope.microscope.plan import Plan
    from lociscope.microscope.positions import Position
    from lociscope.warnings import FieldWarning

REFOCUS, SHORTER = "refocus", "shorter"
"""Verdicts of the two corrections; they belong to no rule, and so have the number 0."""
CORRECTIONS = (REFOCUS, SHORTER)
_ATTEMPT, _LAST_ATTEMPT = re.compile(r"-short(\d+)"), re.compile(r"-short\d+$")
STEP = 0.5
"""Factor of each shorter exposure."""


def may_correct(plan: Plan) -> bool:
    """Return whether a plan images any field again because of its image."""
    return plan.quality.autofocus_um > 0 or plan.quality.shorten > 0


def find_correction(position: Position, warnings: Sequence[FieldWarning], plan: Plan) -> Decision | None:
    """Return the request to image a field again with what `[quality]` allows; None if its image may be judged.

    Args:
        position: The field.
        warnings: The warnings of its predictions.
        plan: The plan.
    """
    kinds = {each.kind for each in warnings}
    if WarningKind.SATURATED in kinds and (shorter := _shorten(position, warnings, plan)) is not None:
        return shorter
    if WarningKind.UNSHARP in kinds and plan.quality.autofocus_um > 0 and not position.autofocus:
        again = replace(position, id=f"{position.id}-focus", of=position.of or position.id, autofocus=True)
        return _request(again, REFOCUS, {})
    return None


def _shorten(position: Position, warnings: Sequence[FieldWarning], plan: Plan) -> Decision | None:
    """Return the request with shorter exposures of the saturated channels; None if the plan allows no shorter ones."""
    planned = tuple(plan.channels.of(index).exposure_ms for index in range(len(CHANNEL_NAMES)))
    before = position.exposures or planned
    saturated = {name for each in warnings if each.kind == WarningKind.SATURATED for name in each.channels}
    after = tuple(
        max(min(plan.quality.shortest_ms, exposure), exposure * STEP) if name in saturated else exposure
        for name, exposure in zip(CHANNEL_NAMES, before, strict=True)
    )
    attempt = max(map(int, _ATTEMPT.findall(position.id)), default=0) + 1
    if after == before or attempt > plan.quality.shorten:
        return None
    name = f"{_LAST_ATTEMPT.sub('', position.id)}-short{attempt}"
    again = replace(position, id=name, of=position.of or position.id, exposures=after)
    numbers = {f"{name} ms": new for name, new, old in zip(CHANNEL_NAMES, after, before, strict=True) if new != old}
    return _request(again, SHORTER, numbers)


def _request(again: Position, verdict: str, because: dict[str, float]) -> Decision:
    return Decision((Verdict(0, verdict, because, 1.0, (again.id,)),), (Request(again, 1.0, 0.0),))
