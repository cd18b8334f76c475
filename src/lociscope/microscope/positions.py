"""Stage positions: the fields of the wells, the fields around one of them, and the limits of the stage."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lociscope.channels import CHANNEL_NAMES
from lociscope.errors import Code, LociscopeError, UsageError, suggest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import useq

    from lociscope.microscope.configuration import Scale
    from lociscope.microscope.plan import Plan
    from lociscope.microscope.sections import Limits, Objective, Plate

_BLOCK = re.compile(r"([A-Za-z]+)(\d+):([A-Za-z]+)(\d+)")


@dataclass(frozen=True, slots=True)
class Position:
    """One field to image.

    Attributes:
        id: Its name.
        well: Its well.
        site: Its number in the well.
        x: Stage position of its centre, µm.
        y: Stage position of its centre, µm.
        z: Focus in µm, or None to leave the focus unchanged.
        objective: Name of the objective.
        of: The planned field that it images again, or None.
        rule: Number of the rule that requested it, from 1, or None.
        time: Number of its time point in a series, from 1, or None.
        autofocus: Whether the focus is looked for before it is imaged.
        exposures: Exposures of RGBY in ms; empty for those of the plan.
    """

    id: str
    well: str
    site: int
    x: float
    y: float
    z: float | None
    objective: str
    of: str | None = None
    rule: int | None = None
    time: int | None = None
    autofocus: bool = False
    exposures: tuple[float, ...] = ()

    @property
    def is_judged(self) -> bool:
        """Whether the rules decide about it: a planned field, or one that replaces its bad image."""
        return self.of is None or ((self.autofocus or bool(self.exposures)) and self.rule is None)


class OutsideLimitsError(LociscopeError):
    """A position is outside the limits of the plan."""

    code = Code.REFUSED


def expand_wells(plate: Plate, wells: Sequence[str] | None = None, key: str = "plate.wells") -> list[str]:
    """Return the wells that a plan names, in its order, each once.

    Args:
        plate: The plate.
        wells: Wells and blocks of them; by default those of the plate.
        key: The key of the plan that names them, for errors.

    Raises:
        UsageError: The plate or a well does not exist; the error suggests the nearest.
    """
    grid = [[str(name) for name in row] for row in _find_plate(plate).all_well_names]
    indices = {name: (i, j) for i, row in enumerate(grid) for j, name in enumerate(row)}
    found: dict[str, None] = {}
    for word in plate.wells if wells is None else wells:
        block = _BLOCK.fullmatch(word)
        corners = [f"{block[1]}{block[2]}", f"{block[3]}{block[4]}"] if block else [word, word]
        for corner in corners:
            if corner not in indices:
                raise UsageError(
                    f"{key}: a plate of {plate.name} has no well {corner!r}.{_suggest_well(corner, grid)}",
                    code=Code.UNKNOWN_NAME,
                )
        (top, left), (bottom, right) = (indices[corner] for corner in corners)
        for row in grid[min(top, bottom) : max(top, bottom) + 1]:
            found |= dict.fromkeys(row[min(left, right) : max(left, right) + 1])
    return list(found)


def _suggest_well(well: str, grid: list[list[str]]) -> str:
    flat = [name for row in grid for name in row]
    return suggest(well, flat) if len(flat) < 7 or well in flat else f" It has {grid[0][0]} to {grid[-1][-1]}."


def _find_plate(plate: Plate) -> useq.WellPlate:
    import useq

    known = useq.registered_well_plate_keys()
    if plate.name not in known:
        raise UsageError(
            f"plate.name: there is no plate {plate.name!r}.{suggest(plate.name, known)}", code=Code.UNKNOWN_NAME
        )
    return useq.WellPlate.from_str(plate.name)


def find_well_centres(plate: Plate) -> dict[str, tuple[float, float]]:
    """Return the stage position in µm of the centre of every well; y decreases from row to row, as in useq-schema."""
    import useq

    whole = useq.WellPlatePlan(plate=_find_plate(plate), a1_center_xy=plate.a1, rotation=plate.rotation)
    return {str(each.name): (float(each.x or 0), float(each.y or 0)) for each in whole.all_well_positions}


def get_well_size(plate: Plate) -> tuple[float, float, bool]:
    """Return the width and height of a well in µm, and whether it is round."""
    shape = _find_plate(plate)
    return shape.well_size[0] * 1000, shape.well_size[1] * 1000, shape.circular_wells


def plan_positions(plan: Plan, scale: Scale) -> list[Position]:
    """Return the fields of the overview, well by well.

    Raises:
        UsageError: The plate or a well does not exist.
    """
    objective = plan.objectives[0]
    offsets = list(_make_grid(plan.plate.sites, scale.field_um(objective.name), plan.plate.gap))
    centres = find_well_centres(plan.plate)
    return [
        Position(
            f"{well}_{site:02d}", well, site,
            centres[well][0] + dx + objective.offset_um[0], centres[well][1] + dy + objective.offset_um[1],
            find_focus(plan, objective), objective.name,
        )
        for well in expand_wells(plan.plate)
        for site, (dx, dy) in enumerate(offsets, 1)
    ]  # fmt: skip


def positions_around(
    position: Position,
    number: int,
    sites: int,
    objective: Objective,
    plan: Plan,
    scale: Scale,
    planes: Sequence[float] = (0.0,),
) -> list[Position]:
    """Return fields side by side around the centre of one: 1 shows its centre, 4 at twice its zoom all of it.

    Args:
        position: The planned field.
        number: Number of the rule that requests them, from 1.
        sites: How many; of a square of fields those nearest to the centre are chosen.
        objective: The objective to image them with.
        plan: The plan.
        scale: The pixel sizes.
        planes: Offsets of the planes of a stack from the focus, µm.
    """
    side = next(side for side in range(1, 11) if side * side >= sites)
    grid = sorted(_make_grid((side, side), scale.field_um(objective.name), 0.0), key=lambda at: at[0] ** 2 + at[1] ** 2)
    focus = find_focus(plan, objective)
    right, up = find_offset(plan, position.objective, objective.name)
    return [
        Position(
            f"{position.id}-{number}-{objective.name}-{each}" + f"-z{plane:02d}" * (len(planes) > 1),
            position.well, position.site, position.x + dx + right, position.y + dy + up,
            focus if focus is None else focus + dz, objective.name, position.of or position.id, number,
            exposures=position.exposures,
        )
        for each, (dx, dy) in enumerate(grid[:sites], 1)
        for plane, dz in enumerate(planes, 1)
    ]  # fmt: skip


def _make_grid(sites: tuple[int, int], field_um: tuple[float, float], gap: float) -> Iterator[tuple[float, float]]:
    """Yield the offsets of rows and columns of fields around a centre; every second row runs backwards."""
    rows, columns = sites
    width, height = (side + gap for side in field_um)
    for row in range(rows):
        along = range(columns) if row % 2 == 0 else reversed(range(columns))
        for column in along:
            yield (column - (columns - 1) / 2) * width, ((rows - 1) / 2 - row) * height


def find_focus(plan: Plan, objective: Objective) -> float | None:
    """Return the focus of an objective in µm, or None if the plan leaves it where it is."""
    return None if plan.plate.z is None else plan.plate.z + objective.focus_um


def find_offset(plan: Plan, before: str, after: str) -> tuple[float, float]:
    """Return by how much the stage moves along x and y to show a place with another objective, µm."""
    one, other = plan.objective(before).offset_um, plan.objective(after).offset_um
    return other[0] - one[0], other[1] - one[1]


def check_limits(x: float | None, y: float | None, z: float | None, limits: Limits, what: str) -> None:
    """Refuse a position outside the plan's limits.

    Args:
        x: Stage position in µm, or None if it does not move; likewise `y` and `z`.
        y: Stage position in µm.
        z: Focus in µm.
        limits: The limits of the plan.
        what: What the position belongs to.

    Raises:
        OutsideLimitsError: It is outside, or not a finite number.
    """
    for axis, at in (("x", x), ("y", y), ("z", z)):
        low, high = getattr(limits, axis)
        if at is not None and not low <= at <= high:
            raise OutsideLimitsError(
                f"{what} is at {axis} {at:.1f} µm, outside the limits {low:g} to {high:g}. Leave it out, or change "
                f"limits.{axis} after you have made sure that nothing is in the way."
            )


def is_inside(position: Position, limits: Limits) -> bool:
    """Return whether a field is inside the limits."""
    try:
        check_limits(position.x, position.y, position.z, limits, position.id)
    except OutsideLimitsError:
        return False
    return True


def make_events(position: Position, plan: Plan) -> Iterator[useq.MDAEvent]:
    """Yield the four images of a field, RGBY, as events of useq-schema; `metadata` has the field and the channel."""
    import useq

    objective = plan.objective(position.objective)
    for index in range(len(CHANNEL_NAMES)):
        channel = plan.channels.of(index)
        yield useq.MDAEvent(
            index={"c": index},
            channel={"config": channel.preset, "group": plan.channels.group},
            exposure=position.exposures[index] if position.exposures else channel.exposure_ms,
            pos_name=position.id,
            x_pos=position.x,
            y_pos=position.y,
            z_pos=position.z,
            properties=[(plan.microscope.turret, "Label", objective.label or objective.name)],
            metadata={"field": position.id, "channel": index, "autofocus": position.autofocus},
        )


def estimate_field_seconds(start: Position | None, position: Position, plan: Plan) -> float:
    """Return how many seconds a field takes by the plan's timing, with the travel to it.

    Args:
        start: The field before, or None for the first, which is counted without travel.
        position: The field.
        plan: The plan.
    """
    timing = plan.timing
    exposures = sum(plan.channels.of(index).exposure_ms for index in range(len(CHANNEL_NAMES))) / 1000
    spent = exposures + len(CHANNEL_NAMES) * (timing.channel_s + timing.readout_s)
    if start is None:
        return spent
    travel = math.hypot(position.x - start.x, position.y - start.y)
    spent += travel / timing.stage_um_per_s + timing.settle_s * (travel > 0)
    return spent + timing.objective_s * (start.objective != position.objective)
