"""Fit what a plan says of its microscope: objectives, axes of the camera, A1 and rotation of the plate."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lociscope.microscope.autofocus import find_sharpest, measure_sharpness
from lociscope.microscope.positions import expand_wells, find_well_centres, get_well_size, is_inside
from lociscope.microscope.registration import PlacedImage, measure_displacement

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lociscope.microscope.plan import Plan
    from lociscope.microscope.positions import Position
    from lociscope.microscope.sections import Limits

STEP = 0.15
"""Move of the stage, in fields, by which the axes of the camera are measured."""
EDGE_UM = 10.0
"""How well the edge of a well is located, µm."""
MIN_CONTRAST = 1.2
"""Least ratio of brightness inside a well to outside."""
_NEAR, _FAR = 0.5, 1.25
"""Between which shares of the radius of a well its edge is looked for."""


@dataclass(frozen=True, slots=True)
class CameraAxes:
    """How the image moves with the stage.

    Attributes:
        scale: Distance in the image ÷ distance of the stage; other than 1 if `pixel_size` is wrong.
        rotation: Rotation of the camera against the stage, degrees anticlockwise.
        mirrored: Whether one axis is reversed.
    """

    scale: float
    rotation: float
    mirrored: bool

    @classmethod
    def fit(cls, steps: np.ndarray, seen: np.ndarray) -> CameraAxes:
        """Fit the axes.

        Args:
            steps: (n, 2) moves of the stage, µm, in at least two directions.
            seen: (n, 2) moves of the image, µm.
        """
        matrix = np.linalg.lstsq(steps, seen, rcond=None)[0].T
        determinant = float(np.linalg.det(matrix))
        if determinant < 0:  # the axis that is reversed is y, by convention
            matrix = np.diag([1.0, -1.0]) @ matrix
        angle = math.degrees(math.atan2(matrix[0, 1] - matrix[1, 0], matrix[0, 0] + matrix[1, 1]))
        return cls(math.sqrt(abs(determinant)), angle, determinant < 0)


@dataclass(frozen=True, slots=True)
class PlateFit:
    """Where the plate is.

    Attributes:
        a1: Stage position of the centre of A1, µm.
        rotation: Rotation of the plate, degrees anticlockwise.
        residual_um: Largest distance of a well that was found from where this puts it, µm.
        wells: The wells that were found.
    """

    a1: tuple[float, float]
    rotation: float
    residual_um: float
    wells: tuple[str, ...]


def measure_axes(position: Position, size: float, field_um: float, take: Callable[[Position], np.ndarray],
                 limits: Limits) -> CameraAxes | None:  # fmt: skip
    """Step the stage along x and y, and return how the image moves; None if the images show too little.

    Args:
        position: Where to begin.
        size: Side of a pixel, µm.
        field_um: Side of the field, µm.
        take: Images a field, (y, x, 4).
        limits: The limits of the plan.
    """
    first = PlacedImage(take(position), size, 0.0, 0.0)
    steps, seen = [], []
    for right, up in ((STEP, 0.0), (0.0, STEP), (-STEP, 0.0), (0.0, -STEP)):
        moved = replace(position, x=position.x + right * field_um, y=position.y + up * field_um)
        if not is_inside(moved, limits):
            continue
        found = measure_displacement(first, PlacedImage(take(moved), size, 0.0, 0.0))
        if found is not None:
            steps.append((right * field_um, up * field_um))
            seen.append(found)
    if np.linalg.matrix_rank(np.array(steps).reshape(-1, 2)) < 2:
        return None
    return CameraAxes.fit(np.array(steps), np.array(seen))


def find_focus_height(position: Position, see: Callable[[Position], np.ndarray], reach: float) -> float | None:
    """Return the height at which a field is sharpest, µm; None if sharpness has no maximum within `reach`."""
    centre = position.z or 0.0
    return find_sharpest(lambda z: measure_sharpness(see(replace(position, z=z))), centre, reach)


def fit_plate(plan: Plan, limits: Limits, see: Callable[[Position], np.ndarray], start: Position) -> PlateFit | None:
    """Find the edges of check wells, and fit A1 and the rotation to their centres.

    A well is bright inside and dark outside: along each of four directions from where the plan expects its centre, the
    edge is where brightness crosses the middle. Without a second well the rotation is that of the plan.

    Args:
        plan: The plan; of its wells the first one, and those furthest from it, are visited.
        limits: Its limits; a well whose surroundings they do not include is left out.
        see: Images the red channel of a field, (y, x).
        start: A planned field, whose objective and focus are used.

    Returns:
        The fit; None if no edge can be seen.
    """
    planned = find_well_centres(plan.plate)
    found: dict[str, tuple[float, float]] = {}
    for well in choose_check_wells(plan, planned):
        x, y = planned[well]
        centre = _find_centre(plan, limits, see, replace(start, x=x, y=y))
        if centre is not None:
            found[well] = centre
    return fit_centres(plan, found) if found else None


def choose_check_wells(plan: Plan, centres: Mapping[str, tuple[float, float]]) -> list[str]:
    """Return the first planned well, the one furthest from it, and the one furthest from the line between them."""
    wells = expand_wells(plan.plate)
    at = {well: np.array(centres[well]) for well in wells}
    first = wells[0]
    second = max(wells, key=lambda well: float(np.hypot(*(at[well] - at[first]))))
    right, up = at[second] - at[first]
    third = max(wells, key=lambda well: abs(float(np.dot((up, -right), at[well] - at[first]))))
    return list(dict.fromkeys((first, second, third)))


def fit_centres(plan: Plan, found: Mapping[str, tuple[float, float]]) -> PlateFit:
    """Fit A1 and the rotation to the centres of wells.

    Args:
        plan: The plan.
        found: Stage position of the centre of at least one well, µm.
    """
    flat = find_well_centres(plan.plate.model_copy(update={"a1": (0.0, 0.0), "rotation": 0.0}))
    nominal = np.array([flat[well] for well in found])
    measured = np.array(list(found.values()))
    angle = math.radians(plan.plate.rotation)
    if len(found) > 1:
        one, other = nominal - nominal.mean(0), measured - measured.mean(0)
        angle = math.atan2(float((one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]).sum()), float((one * other).sum()))
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    a1 = (measured - nominal @ turn.T).mean(0)
    missed = np.hypot(*(nominal @ turn.T + a1 - measured).T)
    return PlateFit((float(a1[0]), float(a1[1])), math.degrees(angle), float(missed.max()), tuple(found))


def _find_centre(
    plan: Plan, limits: Limits, see: Callable[[Position], np.ndarray], centre: Position
) -> tuple[float, float] | None:
    """Return the centre of a well from its four edges; None if one of them cannot be seen."""
    width, height, _ = get_well_size(plan.plate)
    x, y = centre.x, centre.y
    for _ in range(2):  # the chords of a round well are shorter beside its centre, which is better known then
        edges = []
        for right, up, radius in ((1, 0, width / 2), (-1, 0, width / 2), (0, 1, height / 2), (0, -1, height / 2)):
            edge = _find_edge(replace(centre, x=x, y=y), right, up, radius, limits, see)
            if edge is None:
                return None
            edges.append(edge)
        x, y = x + (edges[0] - edges[1]) / 2, y + (edges[2] - edges[3]) / 2
    return x, y


def _find_edge(
    centre: Position, right: int, up: int, radius: float, limits: Limits, see: Callable[[Position], np.ndarray]
) -> float | None:
    """Return the distance of the edge from a position along a direction, µm, by bisection."""

    def brightness(distance: float) -> float:
        moved = replace(centre, x=centre.x + right * distance, y=centre.y + up * distance)
        return float(see(moved).mean()) if is_inside(moved, limits) else math.nan

    near, far = _NEAR * radius, _FAR * radius
    inside, outside = brightness(near), brightness(far)
    if not inside > MIN_CONTRAST * max(outside, 1e-9):
        return None
    middle = (inside + outside) / 2
    while far - near > EDGE_UM:
        half = (near + far) / 2
        near, far = (half, far) if brightness(half) > middle else (near, half)
    return (near + far) / 2


def format_keys(fit: PlateFit | None, z: float | None, objectives: Mapping[str, Mapping[str, str]]) -> str:
    """Return what was fitted as TOML, to copy into the plan.

    Args:
        fit: Where the plate is.
        z: Focus of an objective whose `focus_um` is 0, µm.
        objectives: For each objective the fitted values by key.
    """
    lines = ["[plate]"] if fit is not None or z is not None else []
    if fit is not None:
        lines += [f"a1 = [{fit.a1[0]:.1f}, {fit.a1[1]:.1f}]", f"rotation = {fit.rotation:.3f}"]
    if z is not None:
        lines.append(f"z = {z:.2f}")
    for name, values in objectives.items():
        lines += ["", "[[objectives]]", f'name = "{name}"', *(f"{key} = {value}" for key, value in values.items())]
    return "\n".join(lines).strip() + "\n"
