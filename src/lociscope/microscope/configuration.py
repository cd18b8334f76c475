"""Check a plan against the text of a Micro-Manager configuration, before any hardware is touched."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from lociscope.channels import CHANNEL_NAMES
from lociscope.errors import Code, LociscopeError, MissingExtraError, UsageError, suggest
from lociscope.images.extent import make_tiles
from lociscope.images.field import Field
from lociscope.labels import LABELS
from lociscope.microscope.conditions import STATUSES, can_hold, list_locations
from lociscope.predict.out_of_distribution import STATUS as UNLIKE
from lociscope.warnings import FieldWarning, WarningKind

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from lociscope.artifacts.bundle import Bundle
    from lociscope.microscope.plan import Plan
    from lociscope.microscope.sections import Objective, Rule

ZOOM_TOLERANCE = 0.15
"""Share by which an objective may differ from the zoom that a rule asks for."""


@dataclass(frozen=True, slots=True)
class Setup:
    """The names of a microscope's configuration.

    Attributes:
        presets: Presets by their group.
        labels: Labels of the positions of each state device, such as the turret.
        pixel_sizes: Side of a pixel in µm by device and label.
    """

    presets: dict[str, set[str]]
    labels: dict[str, set[str]]
    pixel_sizes: dict[tuple[str, str], float]


def read_setup(path: Path) -> Setup:
    """Read a Micro-Manager configuration without loading any device.

    Args:
        path: The `.cfg` file, as https://micro-manager.org/Micro-Manager_Configuration_Guide describes it.

    Raises:
        UsageError: The file cannot be read, or is not a configuration.
    """
    from pymmcore_plus.model import Microscope

    microscope = Microscope()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of lines that matter only to the hardware
            microscope.load_config(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"Cannot read the configuration '{path}': {error.strerror}. Check microscope.config.", code=Code.UNREADABLE
        ) from error
    except ValueError as error:  # also UnicodeDecodeError
        raise UsageError(
            f"'{path}' is not a Micro-Manager configuration ({error}). Check microscope.config.", code=Code.WRONG_FILE
        ) from error
    return Setup(
        {name: set(group.presets) for name, group in microscope.config_groups.items()},
        {device.name: {label for label in device.labels if label} for device in microscope.devices if device.labels},
        {
            (setting.device_name, setting.property_value): preset.pixel_size_um
            for preset in microscope.pixel_size_group.presets.values()
            for setting in preset.settings
            if setting.property_name == "Label"
        },
    )


def simulate_setup(plan: Plan) -> Setup:
    """Return the setup of the simulated microscope: the names of the channels, and the objectives of the plan.

    Raises:
        UsageError: The plan's frame is not square, as the simulated camera is.
    """
    width, height = plan.microscope.frame
    if width != height:
        raise UsageError(
            f"microscope.frame {width} × {height}: the simulated camera is square. Give it two equal sides.",
            code=Code.INVALID_VALUE,
        )
    names = {objective.label or objective.name for objective in plan.objectives}
    return Setup({"Channel": set(CHANNEL_NAMES)}, {plan.microscope.turret: names}, {})


@dataclass(frozen=True, slots=True)
class Scale:
    """The pixel size of each objective.

    Attributes:
        pixel_size: Side of a pixel in µm, by the name of the objective.
        frame: Width and height of the camera's image in px.
    """

    pixel_size: dict[str, float]
    frame: tuple[int, int]

    def field_um(self, objective: str) -> tuple[float, float]:
        """Return width and height in µm of the field of view of an objective."""
        width, height = self.frame
        return width * self.pixel_size[objective], height * self.pixel_size[objective]


def check_setup(plan: Plan, path: Path | None) -> Scale:
    """Check every name of the plan against the configuration, and find the pixel size of each objective.

    Args:
        plan: The plan.
        path: The configuration file; None for the simulated microscope.

    Returns:
        The scale.

    Raises:
        UsageError: A group, preset, turret or objective does not exist (the error suggests the nearest), or the pixel
            size of an objective is unknown.
    """
    setup = simulate_setup(plan) if path is None else read_setup(path)
    where = "the simulated microscope" if path is None else f"'{path}'"
    group, turret = plan.channels.group, plan.microscope.turret
    _check_name("channels.group", group, setup.presets, where)
    for index, name in enumerate(CHANNEL_NAMES):
        _check_name(f"channels.{name}.preset", plan.channels.of(index).preset, setup.presets[group], where)
    _check_name("microscope.turret", turret, setup.labels, where)
    for objective in plan.objectives:
        _check_name("objectives.label", objective.label or objective.name, setup.labels[turret], where)
    sizes = {objective.name: _find_pixel_size(objective, turret, setup) for objective in plan.objectives}
    return Scale(sizes, plan.microscope.frame)


def _check_name(key: str, received: str, known: Collection[str], where: str) -> None:
    if received not in known:
        raise UsageError(f"{key}: {where} has no {received!r}.{suggest(received, known)}", code=Code.UNKNOWN_NAME)


def _find_pixel_size(objective: Objective, turret: str, setup: Setup) -> float:
    size = objective.pixel_size or setup.pixel_sizes.get((turret, objective.label or objective.name))
    if not size:
        raise UsageError(
            f"The pixel size of the objective {objective.name!r} is unknown: neither the plan nor the configuration "
            "gives it. Measure it, and write pixel_size, in µm, into its table of the plan.",
            code=Code.PIXEL_SIZE,
        )
    return size


def require_scikit_image(what: str) -> None:
    """Raise an error unless scikit-image and SciPy are installed.

    Raises:
        MissingExtraError: One of them is not.
    """
    if find_spec("skimage") is None or find_spec("scipy") is None:
        raise MissingExtraError(what, "cells")


def check_libraries(plan: Plan, *, needs_cells: bool) -> None:
    """Raise an error unless the libraries that a plan needs are installed.

    Args:
        plan: The plan.
        needs_cells: Whether a rule compares the cells of a field.

    Raises:
        MissingExtraError: One of them is not installed.
    """
    keys = {"A rule about 'differing cells'": needs_cells, "`labels`": plan.labels,
            "`quality.drift_um`": plan.quality.drift_um > 0}  # fmt: skip
    what = next((key for key, given in keys.items() if given), None)
    if what is not None:
        require_scikit_image(what)
    if plan.images == "ome-zarr" and find_spec("zarr") is None:
        raise MissingExtraError('`images = "ome-zarr"`', "zarr")


def choose_objective(rule: Rule, plan: Plan, scale: Scale) -> Objective:
    """Return the objective with which a rule images fields again.

    Raises:
        UsageError: No objective has the zoom that the rule asks for.
    """
    if rule.zoom is None:
        return plan.objective(rule.objective)
    wanted = scale.pixel_size[plan.objectives[0].name] / rule.zoom
    best = min(plan.objectives, key=lambda each: abs(scale.pixel_size[each.name] / wanted - 1))
    if abs(scale.pixel_size[best.name] / wanted - 1) > ZOOM_TOLERANCE:
        sizes = ", ".join(f"{name} {size:g} µm" for name, size in scale.pixel_size.items())
        raise UsageError(
            f"No objective has the zoom {rule.zoom:g}, pixels of {wanted:.3g} µm (there are {sizes}). "
            "Add one to the plan, or name an objective in the rule.",
            code=Code.PIXEL_SIZE,
        )
    return best


def _check_conditions(plan: Plan, bundle: Bundle) -> None:
    """Refuse a rule that no prediction of the bundle can meet: its condition could never be judged."""
    card = bundle.card
    for rule in plan.rules:
        for number in list_locations(rule.condition):
            if number not in card.classes:
                known = ", ".join(LABELS[each] for each in card.classes)
                raise UsageError(
                    f"A rule names {LABELS[number]}, which the bundle '{card.name}' does not know. It knows "
                    f"{known}. Correct the rule, or use another bundle.",
                    code=Code.UNKNOWN_NAME,
                )
        statuses = STATUSES if bundle.detector is not None else tuple(each for each in STATUSES if each != UNLIKE)
        if not can_hold(rule.condition, statuses, len(card.classes)):
            lacks = "" if bundle.detector is not None else f", and never gives the status {UNLIKE}"
            raise UsageError(
                f"No field can meet the rule {rule.when!r} with the bundle '{card.name}': it knows "
                f"{len(card.classes)} locations{lacks}. Correct the rule, or use another bundle.",
                code=Code.INVALID_VALUE,
            )


def check_bundle(plan: Plan, scale: Scale, bundle: Bundle) -> dict[str, tuple[FieldWarning, ...]]:
    """Refuse a bundle that cannot read the fields of the overview's objective.

    Args:
        plan: The plan.
        scale: The pixel sizes.
        bundle: The bundle.

    Returns:
        For each objective the warnings that its fields will carry.

    Raises:
        UsageError: The pixels of the overview would be too coarse, a field would span less than a cell, or a rule names
            a location that the bundle does not know.
    """
    _check_conditions(plan, bundle)
    width, height = scale.frame
    blank = np.zeros((height, width, len(CHANNEL_NAMES)), np.uint8)
    found: dict[str, tuple[FieldWarning, ...]] = {}
    for objective in plan.objectives:
        size = scale.pixel_size[objective.name]
        try:
            found[objective.name] = make_tiles(Field(objective.name, blank, size), bundle.card.input).warnings
        except LociscopeError as error:
            across, down = scale.field_um(objective.name)
            raise UsageError(
                f"The objective {objective.name!r} shows {across:.4g} × {down:.4g} µm at {size:g} µm a pixel, which no "
                "bundle can read. Correct its pixel_size, or microscope.frame.",
                code=Code.PIXEL_SIZE,
            ) from error
        coarse = any(warning.kind == WarningKind.COARSE_PIXELS for warning in found[objective.name])
        if coarse and objective is plan.objectives[0]:
            raise UsageError(
                f"The objective {objective.name!r} shows pixels of {size:g} µm, too coarse for the bundle "
                f"'{bundle.card.name}', which expects {bundle.card.input.pixel_size:.3g} µm. "
                "List an objective of more magnification first, or use another bundle.",
                code=Code.PIXEL_SIZE,
            )
    return found
