"""Describe a plan before anything moves, as text and as data for `--dry-run`."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from lociscope.channels import CHANNELS
from lociscope.microscope.conditions import format_condition
from lociscope.microscope.configuration import Scale, choose_objective
from lociscope.microscope.engine import FAR_UM
from lociscope.microscope.positions import Position, estimate_field_seconds, positions_around

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lociscope.microscope.plan import Plan
    from lociscope.microscope.sections import Rule
    from lociscope.warnings import FieldWarning

    Warnings = Mapping[str, tuple[FieldWarning, ...]]


DEFAULT_PRIORITY = 5
_MODES = {
    "observe": "observe: rules are evaluated and logged, and request nothing",
    "propose": "propose: a person accepts or rejects what the rules want",
    "act": "act: the microscope does what the rules want",
}


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
        objective = choose_objective(rule, plan, scale)
        group = positions_around(position, number, rule.sites, objective, plan, scale, rule.planes)
        series = estimate_seconds(plan, [position, *group])
        rounds = -(-(rule.most or 0) // (len(group) * rule.times))
        times.append(rounds * max(series * rule.times, (rule.times - 1) * (rule.every_s or 0.0) + series))
    return times


def describe_rule(rule: Rule, plan: Plan, scale: Scale) -> str:
    """Return a rule as text."""
    when = f"if {format_condition(rule.condition)}"
    if rule.wells:
        when += f" in {', '.join(rule.wells)}"
    if rule.found > 1:
        when += f", from the {_ordinal(rule.found)} such field of the {rule.per} on"
    if rule.stop is not None:
        return f"{when}: image no further planned field of the {rule.stop}"
    how = ["its centre again" if rule.sites == 1 else f"{rule.sites} fields around its centre"]
    if rule.z_stack is not None:
        how.append(f"in {len(rule.planes)} planes, {rule.z_stack[1]:g} µm apart")
    how.append(f"with {choose_objective(rule, plan, scale).name}")
    if rule.every_s is not None:
        how.append(f"{rule.times} times, every {format_duration(rule.every_s)}")
    order = "at once" if rule.order == "now" else "after the planned fields, the most urgent first"
    limits = [f"at most {rule.most} fields"]
    if rule.most_per_well is not None:
        limits.append(f"{rule.most_per_well} in a well")
    if rule.enough is not None:
        limits.append(f"until {rule.enough} of them meet the rule themselves")
    priority = "" if rule.priority == DEFAULT_PRIORITY else f", priority {rule.priority}"
    return f"{when}: {' '.join(how)}, {order}, {', '.join(limits)}{priority}"


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


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
    light = "" if plan.budget.light_s is None else f", {plan.budget.light_s:g} s of light on a field"
    yield f"mode        {_MODES[plan.mode]}"
    yield f"budget      {plan.budget.fields} fields, {plan.budget.minutes:g} min{light}"
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
        "mode": plan.mode,
        "moves": plan.limits is not None,
        "notes": _format_warnings(warnings),
    }


def _format_warnings(warnings: Warnings) -> list[str]:
    return [f"{objective}: {warning}" for objective, found in warnings.items() for warning in found]
