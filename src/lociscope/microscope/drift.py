"""Correct the drift of the stage where a field is imaged again, by its first image."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lociscope.errors import LociscopeError
from lociscope.images.discovery.sources import find_fields
from lociscope.images.io.read import read_field
from lociscope.microscope.positions import find_offset, is_inside
from lociscope.microscope.registration import PlacedImage, measure_displacement

if TYPE_CHECKING:
    from lociscope.images.field import Field
    from lociscope.microscope.journal import Journal
    from lociscope.microscope.plan import Plan
    from lociscope.microscope.positions import Position

WORSE_UM = 1.0
"""Growth of the displacement after a correction that counts against correcting, µm."""
MOST_WORSE = 2
"""Such growths in a row after which nothing is corrected any more."""

logger = logging.getLogger(__name__)


class DriftTracker:
    """Measures how far fields that are imaged again are off, and moves the next ones around the same planned field.

    `correct` is called by the thread of the camera, `measure` by that of the predictor.

    Args:
        plan: Its `quality.drift_um` is the largest correction; 0 measures and corrects nothing.
        journal: The output folder, which has the first image of each field.
    """

    def __init__(self, plan: Plan, journal: Journal) -> None:
        self._plan = plan
        self._journal = journal
        self._most = plan.quality.drift_um
        self._shifts: dict[str, tuple[float, float]] = {}
        self._applied: dict[str, tuple[float, float]] = {}
        self._missed: dict[str, float] = {}
        self._worse = 0
        for line in journal.lines:
            if line.get("of") and line.get("drift_um"):
                self._shifts[line["of"]] = self._clip(*_subtract(line["shift_um"], line["drift_um"]))

    def correct(self, position: Position) -> Position:
        """Return where to image a field so that it shows what its position means."""
        shift = self._shifts.get(position.of or "")
        if shift is None or self._worse >= MOST_WORSE:
            return position
        moved = replace(position, x=position.x + shift[0], y=position.y + shift[1])
        if self._plan.limits is not None and not is_inside(moved, self._plan.limits):
            return position
        self._applied[position.id] = shift
        return moved

    def measure(self, position: Position, field: Field) -> dict[str, Any]:
        """Register a field that is imaged again on its first image.

        Returns:
            For its line of `decisions.jsonl`: `shift_um`, by how much its position was corrected, and `drift_um`, by
            how much it is still off, along x and y; null if that could not be measured. Empty for a field that is not
            imaged again, or if nothing is corrected.
        """
        if not self._most or position.of is None or field.pixel_size is None:
            return {}
        shift = self._applied.pop(position.id, (0.0, 0.0))
        missed = self._register(position, field)
        if missed is not None:
            self._update(position, shift, missed)
        return {"shift_um": [round(each, 3) for each in shift],
                "drift_um": None if missed is None else [round(each, 3) for each in missed]}  # fmt: skip

    def _register(self, position: Position, field: Field) -> tuple[float, float] | None:
        line = next((each for each in self._journal.lines if each["field"] == position.of), None)
        if line is None or field.pixel_size is None:
            return None
        try:
            first = read_field(find_fields([self._journal.image_path(line)])[0][0])
        except (LociscopeError, IndexError) as error:
            logger.warning("The first image of '%s' cannot be read: %s", position.of, error)
            return None
        right, up = find_offset(self._plan, line["objective"], position.objective)
        return measure_displacement(
            PlacedImage(first.pixels, line["pixel_size"], line["x"], line["y"]),
            PlacedImage(field.pixels, field.pixel_size, position.x - right, position.y - up),
        )

    def _update(self, position: Position, shift: tuple[float, float], missed: tuple[float, float]) -> None:
        root, far = position.of or "", math.hypot(*missed)
        if any(shift):
            worse = far > self._missed.get(root, math.inf) + WORSE_UM
            self._worse = self._worse + 1 if worse else 0
            if self._worse == MOST_WORSE:
                logger.warning(
                    "Corrections of the stage's drift make it larger (%.1f µm at '%s'), and are ended. Look whether "
                    "the camera is rotated or mirrored against the stage: `lociscope microscope check` measures it.",
                    far, position.id,
                )  # fmt: skip
        self._missed[root] = far
        if far <= self._most:
            self._shifts[root] = self._clip(*_subtract(shift, missed))
        else:
            logger.warning("Field '%s' is %.1f µm off, more than quality.drift_um.", position.id, far)

    def _clip(self, x: float, y: float) -> tuple[float, float]:
        far = math.hypot(x, y)
        share = min(1.0, self._most / far) if far else 1.0
        return x * share, y * share


def _subtract(a: Any, b: Any) -> tuple[float, float]:  # noqa: ANN401 - pairs, also from JSON
    return a[0] - b[0], a[1] - b[1]
