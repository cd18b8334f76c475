"""Fit the calibration of a plan during `lociscope microscope check`, and compare it with the plan."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from lociscope.microscope.calibration import PlateFit, find_focus_height, fit_plate, format_keys, measure_axes
from lociscope.microscope.finding import Finding
from lociscope.microscope.positions import find_focus
from lociscope.microscope.registration import PlacedImage, measure_displacement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lociscope.microscope.acquire import CheckedPlan
    from lociscope.microscope.check import Walk
    from lociscope.microscope.positions import Position
    from lociscope.microscope.sections import Limits, Objective

REACH_UM = 15.0
"""How far up and down the focus of each objective is looked for, µm."""
SAME_SCALE, SAME_DEGREES, SAME_FOCUS_UM, SAME_PLACE_UM = 0.03, 2.0, 1.0, 5.0
"""Differences from the plan that pass: pixel size (share), camera (degrees), focus and place (µm)."""
SAME_A1_UM, SAME_PLATE_DEGREES = 100.0, 0.2
"""The same for the centre of A1 (µm) and for the plate (degrees)."""


def fit_steps(checked: CheckedPlan, limits: Limits, walk: Walk) -> Iterator[Finding]:
    """Fit axes, objectives and plate.

    Yields:
        What was fitted; the last finding has the keys for the plan as `toml`.
    """
    plan, first = checked.plan, checked.positions[0]
    yield _fit_axes(checked, limits, walk, first)
    reference: PlacedImage | None = None
    z: float | None = plan.plate.z
    objectives: dict[str, dict[str, str]] = {}
    for objective in plan.objectives:
        at = replace(first, objective=objective.name, z=find_focus(plan, objective))
        values: dict[str, str] = {}
        if at.z is not None:
            height = find_focus_height(at, walk.see, min(REACH_UM, at.z - limits.z[0], limits.z[1] - at.z))
            if height is not None:
                z = height - objective.focus_um if reference is None else z
                values["focus_um"] = f"{height - (z or 0.0):.2f}"
                at = replace(at, z=height)
            yield _judge_focus(objective, None if height is None else height - (z or 0.0))
        image = PlacedImage(walk.take(at), checked.scale.pixel_size[objective.name], 0.0, 0.0)
        if reference is None:
            reference = image
        else:
            missed = measure_displacement(reference, image)
            offset = None if missed is None else (-missed[0], -missed[1])
            yield _judge_place(objective, offset)
            if offset is not None:
                values["offset_um"] = f"[{offset[0]:.2f}, {offset[1]:.2f}]"
        if values:
            objectives[objective.name] = values
    fit = fit_plate(plan, limits, walk.see, first)
    yield _judge_plate(checked, fit, format_keys(fit, z, objectives))


def _fit_axes(checked: CheckedPlan, limits: Limits, walk: Walk, first: Position) -> Finding:
    size = checked.scale.pixel_size[first.objective]
    axes = measure_axes(first, size, min(checked.scale.field_um(first.objective)), walk.take, limits)
    if axes is None:
        return Finding("camera, axes", False, "the images show too little to compare them: begin on a field with cells")
    passed = abs(axes.scale - 1) <= SAME_SCALE and abs(axes.rotation) <= SAME_DEGREES and not axes.mirrored
    mirrored = ", mirrored" if axes.mirrored else ""
    remedy = "" if passed else ": correct pixel_size, or the orientation of the camera in Micro-Manager"
    text = f"a pixel is {size / axes.scale:.4g} µm, rotated by {axes.rotation:.2f} degrees{mirrored}{remedy}"
    values = {"pixel_size": round(size / axes.scale, 5), "degrees": round(axes.rotation, 3), "mirrored": axes.mirrored}
    return Finding("camera, axes", passed, text, values)


def _judge_focus(objective: Objective, found: float | None) -> Finding:
    what = f"focus_um, {objective.name}"
    if found is None:
        return Finding(what, False, f"no height within {REACH_UM:g} µm is sharpest: focus on cells first")
    passed = abs(found - objective.focus_um) <= SAME_FOCUS_UM
    remedy = "" if passed else ": write it into the plan"
    return Finding(
        what, passed, f"{found:.2f} µm, {objective.focus_um:.2f} by the plan{remedy}", {"um": round(found, 3)}
    )


def _judge_place(objective: Objective, found: tuple[float, float] | None) -> Finding:
    what = f"offset_um, {objective.name}"
    if found is None:
        return Finding(what, False, "shows other cells than the first objective: align it")
    passed = math.dist(found, objective.offset_um) <= SAME_PLACE_UM
    remedy = "" if passed else ": write it into the plan"
    planned = objective.offset_um
    text = f"{found[0]:.1f}, {found[1]:.1f} µm, {planned[0]:.1f}, {planned[1]:.1f} by the plan{remedy}"
    return Finding(what, passed, text, {"um": [round(each, 3) for each in found]})


def _judge_plate(checked: CheckedPlan, fit: PlateFit | None, toml: str) -> Finding:
    if fit is None:
        text = "no edge of a well can be seen inside the limits: bring A1 under the objective, and write plate.a1"
        return Finding("plate", False, text, {"toml": toml})
    plate = checked.plan.plate
    far, turned = math.dist(fit.a1, plate.a1), abs(fit.rotation - plate.rotation)
    passed = far <= SAME_A1_UM and turned <= SAME_PLATE_DEGREES
    remedy = "" if passed else ": write them into the plan"
    text = (
        f"A1 at {fit.a1[0]:.0f}, {fit.a1[1]:.0f} µm ({far:.0f} µm from the plan), rotation {fit.rotation:.2f} degrees, "
        f"from {', '.join(fit.wells)}, within {fit.residual_um:.0f} µm{remedy}"
    )
    values = {"a1": [round(each, 1) for each in fit.a1], "rotation": round(fit.rotation, 4), "wells": list(fit.wells),
              "residual_um": round(fit.residual_um, 1), "toml": toml}  # fmt: skip
    return Finding("plate", passed, text, values)
