"""Describe a plan before anything moves, as text and as data for `--dry-run`."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from lociscope.channels import CHANNELS
from lociscope.microscope.configuration import Scale, choose_objective
from lociscope.microscope.engine import FAR_UM
from lociscope.microscope.positions import Position, estimate_field_seconds, positions_around
from lociscope.microscope.rules import format_condition

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lociscope.microscope.plan import Plan, Rule
    from lociscope.warnings import FieldWarning

    Warnings = Mapping[str, tuple[FieldWarning, ...]]


def estimate_seconds(plan: Plan, positions: Sequence[Position]) -> float:
    """Return how many seconds fields take in order, by the plan's timing, without the travel to the first."""
    if not positions:
        return 0.0
    return estimate_field_seconds(None, positions[0], plan) + sum(
        estimate_field_seconds(here, there, plan) for here, there in pairwise(positions)
    )


def estimate_rule_seconds(plan: Plan, scale: Scale, position: Position) -> list[float]:
    """Return for each rule how many seconds all its fields take at most, if they are around fields like `position`."""
    times = []
    for number, rule in enumerate(plan.rules, 1):
        group = positions_around(position, number, rule.sites, choose_objective(rule, plan, scale), plan, scale)
        rounds = -(-rule.most // rule.sites)
        times.append(rounds * estimate_seconds(plan, [position, *group]))
    return times


def describe_rule(rule: Rule, plan: Plan, scale: Scale) -> str:
    """Return a rule as text."""
    objective = choose_objective(rule, plan, scale).name
    how = "its centre again" if rule.sites == 1 else f"{rule.sites} fields around its centre"
    when = "at once" if rule.order == "now" else "after the planned fields, the most urgent first"
    return f"if {format_condition(rule.condition)}: {how} with {objective}, {when}, at most {rule.most} fields"


def format_duration(spent: float) -> str:
    """Return a duration as text: `40 s`, `12 min`, `2 h 5 min`."""
    if spent < 90:
        return f"{spent:.0f} s"
    minutes = round(spent / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def describe_focus(plan: Plan) -> str:
    """Return where the focus will be at each image, and how it is withdrawn."""
    offsets = {each.name: each.focus_um for each in plan.objectives}
    safe = None if plan.limits is None else plan.limits.safe_z
    corrected = ", ".join(f"{offset:+g} µm for {name}" for name, offset in offsets.items() if offset)
    if plan.plate.z is not None:
        belongs = f"z {plan.plate.z:g} µm" + (f" ({corrected})" if corrected else "")
    elif safe is None and len(set(offsets.values())) == 1:
        return "stays where it is; nothing moves it, and there is no safe_z for travel"
    else:
        belongs = "where it was before" + (f" ({corrected})" if corrected else "")
    if safe is None:
        return f"{belongs}; no safe_z: it stays there while the stage travels"
    refused = "; a focus that is at safe_z from the start is refused" if plan.plate.z is None else ""
    return (
        f"{belongs}; to safe_z {safe:g} µm before the stage travels over {FAR_UM / 1000:g} mm or the objective "
        f"changes, and back before the image{refused}"
    )


def describe_plan(
    plan: Plan, scale: Scale, positions: Sequence[Position], warnings: Warnings | None = None
) -> Iterator[str]:
    """Yield the lines that `--dry-run` prints.

    Args:
        plan: The plan.
        scale: The pixel sizes.
        positions: The planned fields.
        warnings: For each objective the warnings that its fields will carry.
    """
    width, height = scale.frame
    yield f"microscope  {plan.microscope.config}, {width} × {height} px"
    for each in plan.objectives:
        across, down = scale.field_um(each.name)
        use = "overview" if each is plan.objectives[0] else "for rules"
        size = scale.pixel_size[each.name]
        yield f"objective   {each.name}: {size:g} µm a pixel, {across:.0f} × {down:.0f} µm, {use}"
    for index, channel in enumerate(CHANNELS):
        exposure = plan.channels.of(index)
        yield f"channel     {channel.name} ({channel.stain}): {exposure.preset}, {exposure.exposure_ms:g} ms"
    for number, rule in enumerate(plan.rules, 1):
        yield f"rule {number}      {describe_rule(rule, plan, scale)}"
    yield f"budget      {plan.budget.fields} fields, {plan.budget.minutes:g} min"
    if plan.limits is None:
        yield "limits      none: nothing will move until the plan has [limits]"
    else:
        ranges = [f"{axis} {low:g} to {high:g}" for axis in "xyz" for low, high in (getattr(plan.limits, axis),)]
        yield f"limits      {', '.join(ranges)} µm"
    yield f"focus       {describe_focus(plan)}"
    yield from (f"note        {note}" for note in _format_warnings(warnings or {}))
    for position in positions:
        focus = "focus unchanged" if position.z is None else f"z {position.z:.1f}"
        yield f"field       {position.id}: x {position.x:.1f}, y {position.y:.1f} µm, {focus}"
    most = sum(estimate_rule_seconds(plan, scale, positions[0]))
    again = f", at most {format_duration(most)} more for the rules" if plan.rules else ""
    planned = format_duration(estimate_seconds(plan, positions))
    yield f"time        {planned} for {len(positions)} fields by the plan's timing{again}"


def summarize_plan(plan: Plan, scale: Scale, positions: Sequence[Position], warnings: Warnings) -> dict[str, Any]:
    """Return what `describe_plan` says as data."""
    return {
        "fields": [{"id": position.id, "x": position.x, "y": position.y, "z": position.z} for position in positions],
        "pixel_size": scale.pixel_size,
        "rules": [describe_rule(rule, plan, scale) for rule in plan.rules],
        "seconds": round(estimate_seconds(plan, positions), 1),
        "seconds_for_rules": [round(each, 1) for each in estimate_rule_seconds(plan, scale, positions[0])],
        "focus": describe_focus(plan),
        "moves": plan.limits is not None,
        "notes": _format_warnings(warnings),
    }


def _format_warnings(warnings: Warnings) -> list[str]:
    return [f"{objective}: {warning}" for objective, found in warnings.items() for warning in found]
