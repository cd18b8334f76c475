"""A plan in words: what `--dry-run` prints, before anything moves."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from lociscope.channels import CHANNELS
from lociscope.microscope.plan import Plan, Rule
from lociscope.microscope.rules import text
from lociscope.microscope.setup import Scale, objective_of
from lociscope.microscope.stops import Stop, around, seconds


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
        "moves": plan.limits is not None,
        "notes": list(notes),
    }
