"""Walk through a plan on its microscope: move, turn, focus and image once, and compare what happens with the plan."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lociscope.channels import CHANNEL_NAMES
from lociscope.errors import LociscopeError
from lociscope.images.field import Field
from lociscope.microscope.check_fit import fit_steps
from lociscope.microscope.engine import ARRIVED_UM, StrictEngine
from lociscope.microscope.finding import Finding
from lociscope.microscope.focus import FocusController
from lociscope.microscope.hardware import open_microscope
from lociscope.microscope.positions import Position, find_focus, make_events

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pymmcore_plus import CMMCorePlus

    from lociscope.microscope.acquire import CheckedPlan
    from lociscope.microscope.plan import Plan
    from lociscope.microscope.sections import Limits
    from lociscope.predict.predictor import Predictor

REPEATABLE_UM = 2.0
"""Largest distance between two visits of a position that is not remarked on, µm."""


def check_microscope(
    checked: CheckedPlan, limits: Limits, predictor: Predictor, log: Path | None = None, *, fit: bool = False
) -> Iterator[Finding]:
    """Open the microscope of a plan, and check it step by step.

    It visits the first planned field with each objective, the corners of the planned fields, and the first one again.
    Every move is inside the limits; the shutter is open only during exposures.

    Args:
        checked: The plan.
        limits: Its limits.
        predictor: The bundle, which judges the images.
        log: File for the log of Micro-Manager.
        fit: Whether to fit the offsets of the objectives, the axes of the camera, and the plate; the last finding then
            has `toml`, the keys for the plan.

    Yields:
        What was found, as it is found; a device that fails is the last finding.

    Raises:
        LociscopeError: The microscope cannot be opened.
    """
    plan = checked.plan
    with open_microscope(plan, checked.scale, log) as session:
        yield Finding("devices", True, "camera, stage and presets are those of the plan")
        focus = FocusController(session.core, plan)
        engine = StrictEngine(session.core, limits, focus)
        walk = Walk(plan, session.core, engine)
        engine.setup_sequence(None)
        try:
            focus.begin()
            yield from _check_steps(checked, walk, predictor)
            if fit:
                yield from fit_steps(checked, limits, walk)
        except LociscopeError as error:
            yield Finding("device", False, str(error))
        finally:
            engine.teardown_sequence(None)


def _check_steps(checked: CheckedPlan, walk: Walk, predictor: Predictor) -> Iterator[Finding]:
    first = checked.positions[0]
    for objective in checked.plan.objectives:
        here = replace(first, id=f"{first.id} {objective.name}", objective=objective.name)
        here = replace(here, z=find_focus(checked.plan, objective))
        pixels, focus = walk.visit(here)
        yield _judge_focus(here, focus)
        yield _judge_images(here, pixels, checked, predictor)
    start = walk.visit_stage(first)
    for corner in _find_corners(checked.positions):
        walk.visit_stage(corner)
        yield _judge_arrival(corner, walk)
    again = walk.visit_stage(first)
    distance = math.dist(start, again)
    passed = distance <= REPEATABLE_UM
    remedy = "" if passed else ": look at the stage and its clamps"
    yield Finding("stage, return", passed, f"returns within {distance:.2f} µm{remedy}", {"um": round(distance, 3)})
    yield _judge_timing(checked.plan, walk)


class Walk:
    """Visits positions with the engine of a run, and measures how long each step takes."""

    def __init__(self, plan: Plan, core: CMMCorePlus, engine: StrictEngine) -> None:
        self._plan, self._core, self._engine = plan, core, engine
        self.image_s: list[float] = []
        self.missed_um = 0.0

    def visit(self, position: Position) -> tuple[np.ndarray, float | None]:
        """Image a field; return its pixels (y, x, 4) and the position of the focus, µm."""
        images, focus = [], None
        for event in make_events(position, self._plan):
            began = time.perf_counter()
            self._engine.setup_event(event)
            for image, _, meta in self._engine.exec_event(event):
                images.append(image)
                focus = meta["focus"]
            self.image_s.append(time.perf_counter() - began)
        return np.moveaxis(np.stack(images), 0, -1), focus

    def take(self, position: Position) -> np.ndarray:
        """Return the image of a field, (y, x, 4)."""
        return self.visit(position)[0]

    def see(self, position: Position) -> np.ndarray:
        """Return the image of the red channel of a field, (y, x)."""
        event = next(iter(make_events(position, self._plan)))
        self._engine.setup_event(event)
        image: np.ndarray = next(iter(self._engine.exec_event(event)))[0]
        return image

    def visit_stage(self, position: Position) -> tuple[float, float]:
        """Move to a field, and return where the stage says that it is, µm."""
        event = next(iter(make_events(position, self._plan)))
        self._engine.setup_event(event)
        self._engine.busy_since = None
        x, y = self._core.getXYPosition()
        self.missed_um = math.hypot(x - position.x, y - position.y)
        return float(x), float(y)


def _find_corners(positions: Sequence[Position]) -> list[Position]:
    """Return the planned fields that lie furthest out, each once."""
    ways = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    found = [max(positions, key=lambda each: right * each.x + up * each.y) for right, up in ways]
    return list(dict.fromkeys(found))


def _judge_arrival(position: Position, walk: Walk) -> Finding:
    passed = walk.missed_um <= ARRIVED_UM
    text = f"arrives within {walk.missed_um:.2f} µm of x {position.x:.1f}, y {position.y:.1f}"
    return Finding(f"stage, {position.id}", passed, text, {"um": round(walk.missed_um, 3)})


def _judge_focus(position: Position, focus: float | None) -> Finding:
    what = f"focus, {position.objective}"
    if focus is None:
        return Finding(what, True, "no focus device: nothing moves it")
    where = "stays where it was" if position.z is None else f"expected at {position.z:.1f}"
    return Finding(what, True, f"at {focus:.2f} µm, {where}", {"um": round(float(focus), 3)})


def _judge_images(position: Position, pixels: np.ndarray, checked: CheckedPlan, predictor: Predictor) -> Finding:
    """Judge the four images of a field by the warnings that its predictions would carry."""
    made = Field(position.id, pixels, checked.scale.pixel_size[position.objective])
    levels = {name: [int(level) for level in np.percentile(pixels[..., number], (1, 50, 99.9))]
              for number, name in enumerate(CHANNEL_NAMES)}  # fmt: skip
    warnings = [str(warning) for warning in predictor.prepare(made).warnings]
    shown = ", ".join(f"{name} {low} to {high}" for name, (low, _, high) in levels.items())
    remedy = f": {'; '.join(warnings)}. Look at cells, lamp, filter, focus and exposure" if warnings else ""
    return Finding(
        f"images, {position.objective}", not warnings, f"{shown}{remedy}", {"levels": levels, "warnings": warnings}
    )


def _judge_timing(plan: Plan, walk: Walk) -> Finding:
    """Compare the time of an image without travel with the plan's timing."""
    exposures = [plan.channels.of(index).exposure_ms / 1000 for index in range(len(CHANNEL_NAMES))]
    expected = float(np.mean(exposures)) + plan.timing.channel_s + plan.timing.readout_s
    took = float(np.median(walk.image_s))
    return Finding(
        "timing", True, f"{took:.3f} s an image, {expected:.3f} s by [timing]",
        {"image_s": round(took, 4), "expected_s": round(expected, 4)},
    )  # fmt: skip
