"""A plan in words: what `--dry-run` prints, before anything moves."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from lociscope.channels import CHANNELS
from lociscope.microscope.configuration import Scale, objective_of
from lociscope.microscope.engine import FAR_UM
from lociscope.microscope.positions import Stop, around, seconds
from lociscope.microscope.rules import text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lociscope.microscope.plan import Plan, Rule


def estimate(plan: Plan, stops: Sequence[Stop]) -> float:
    """Seconds that fields take one after the other, by the plan's timing; without the way to the first."""
    if not stops:
        return 0.0
    return seconds(None, stops[0], plan) + sum(seconds(here, there, plan) for here, there in pairwise(stops))


def estimate_again(plan: Plan, scale: Scale, stop: Stop) -> list[float]:
    """For each rule the seconds that all its fields may take at most, if they lie around fields like `stop`."""
    times = []
    for number, rule in enumerate(plan.rules, 1):
        group = around(stop, number, rule.sites, objective_of(rule, plan, scale), plan, scale)
        rounds = -(-rule.most // rule.sites)
        times.append(rounds * estimate(plan, [stop, *group]))
    return times


def words(rule: Rule, plan: Plan, scale: Scale) -> str:
    """A rule as a sentence."""
    objective = objective_of(rule, plan, scale).name
    how = "its middle again" if rule.sites == 1 else f"{rule.sites} fields around its middle"
    when = "at once" if rule.order == "now" else "after the planned fields, the likeliest first"
    return f"where {text(rule.condition)}: {how} with {objective}, {when}, at most {rule.most} fields"


def clock(spent: float) -> str:
    """A time as one says it: `40 s`, `12 min`, `2 h 5 min`."""
    if spent < 90:
        return f"{spent:.0f} s"
    minutes = round(spent / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def focus_words(plan: Plan) -> str:
    """Say where the focus will be at each picture, and how it is withdrawn."""
    offsets = {each.name: each.focus_um for each in plan.objectives}
    safe = None if plan.limits is None else plan.limits.safe_z
    corrected = ", ".join(f"{offset:+g} µm for {name}" for name, offset in offsets.items() if offset)
    if plan.plate.z is not None:
        belongs = f"z {plan.plate.z:g} µm" + (f" ({corrected})" if corrected else "")
    elif safe is None and len(set(offsets.values())) == 1:
        return "stays where it is; nothing moves it, and there is no safe_z for travels"
    else:
        belongs = "where it was before" + (f" ({corrected})" if corrected else "")
    if safe is None:
        return f"{belongs}; no safe_z: it stays there while the stage travels"
    refused = "; a focus that is at safe_z from the start is refused" if plan.plate.z is None else ""
    return (
        f"{belongs}; to safe_z {safe:g} µm before the stage travels over {FAR_UM / 1000:g} mm or the objective "
        f"changes, and back before the picture{refused}"
    )


def describe(plan: Plan, scale: Scale, stops: Sequence[Stop], notes: Sequence[str] = ()) -> Iterator[str]:
    """The lines that `--dry-run` prints.

    Args:
        plan: The plan.
        scale: How large the pixels are.
        stops: The planned fields.
        notes: What the bundle notices of the objectives' fields.
    """
    width, height = scale.frame
    yield f"microscope  {plan.microscope.config}, {width} × {height} px"
    for each in plan.objectives:
        across, down = scale.field_um(each.name)
        use = "overview" if each is plan.objectives[0] else "for rules"
        size = scale.pixel_size[each.name]
        yield f"objective   {each.name}: {size:g} µm a pixel, {across:.0f} × {down:.0f} µm, {use}"
    for index, channel in enumerate(CHANNELS):
        said = plan.channels.of(index)
        yield f"channel     {channel.name} ({channel.stain}): {said.preset}, {said.exposure_ms:g} ms"
    for number, rule in enumerate(plan.rules, 1):
        yield f"rule {number}      {words(rule, plan, scale)}"
    yield f"budget      {plan.budget.fields} fields, {plan.budget.minutes:g} min"
    if plan.limits is None:
        yield "limits      none: nothing will move until the plan has [limits]"
    else:
        ranges = [f"{axis} {low:g} to {high:g}" for axis in "xyz" for low, high in (getattr(plan.limits, axis),)]
        yield f"limits      {', '.join(ranges)} µm"
    yield f"focus       {focus_words(plan)}"
    yield from (f"note        {note}" for note in notes)
    for stop in stops:
        focus = "focus left" if stop.z is None else f"z {stop.z:.1f}"
        yield f"field       {stop.id}: x {stop.x:.1f}, y {stop.y:.1f} µm, {focus}"
    most = sum(estimate_again(plan, scale, stops[0]))
    again = f", at most {clock(most)} more for the rules" if plan.rules else ""
    yield f"time        {clock(estimate(plan, stops))} for {len(stops)} fields by the plan's timing{again}"


def as_json(plan: Plan, scale: Scale, stops: Sequence[Stop], notes: Sequence[str]) -> dict[str, Any]:
    """The same for a program."""
    return {
        "fields": [{"id": stop.id, "x": stop.x, "y": stop.y, "z": stop.z} for stop in stops],
        "pixel_size": scale.pixel_size,
        "rules": [words(rule, plan, scale) for rule in plan.rules],
        "seconds": round(estimate(plan, stops), 1),
        "seconds_for_rules": [round(each, 1) for each in estimate_again(plan, scale, stops[0])],
        "focus": focus_words(plan),
        "moves": plan.limits is not None,
        "notes": list(notes),
    }
