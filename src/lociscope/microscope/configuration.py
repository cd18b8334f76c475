"""What a configuration calls its parts, read from its text: a plan is checked before any hardware is touched."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from lociscope.channels import CHANNEL_NAMES
from lociscope.errors import Code, LociscopeError, UsageError, suggest
from lociscope.images.extent import make_tiles
from lociscope.images.field import Field
from lociscope.warnings import WarningKind

if TYPE_CHECKING:
    from pathlib import Path

    from lociscope.artifacts.bundle import Bundle
    from lociscope.microscope.plan import Objective, Plan, Rule

ZOOM_TOLERANCE = 0.15
"""Share by which an objective may differ from the zoom that a rule asks for."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What there is to name.

    Attributes:
        presets: Presets by their group.
        labels: Labels by their device.
        pixel_sizes: Side of a pixel in µm by device and label.
    """

    presets: dict[str, set[str]] = field(default_factory=dict)
    labels: dict[str, set[str]] = field(default_factory=dict)
    pixel_sizes: dict[tuple[str, str], float] = field(default_factory=dict)


def read_setup(path: Path) -> Setup:
    """Reads a Micro-Manager configuration, lines of words between commas.

    Args:
        path: The `.cfg` file, as https://micro-manager.org/Micro-Manager_Configuration_Guide describes it.

    Raises:
        UsageError: There is no such file, or it is no text.
    """
    try:
        lines = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
    except OSError as error:
        raise UsageError(
            f"Cannot read the configuration '{path}': {error.strerror}. Check microscope.config.", code=Code.UNREADABLE
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(
            f"'{path}' is no Micro-Manager configuration ({error}). Check microscope.config.", code=Code.INVALID_VALUE
        ) from error
    setup = Setup()
    sizes: dict[str, float] = {}
    for line in lines:
        match line:
            case ["ConfigGroup", group, preset, *_]:
                setup.presets.setdefault(group, set()).add(preset)
            case ["Label", device, _, label]:
                setup.labels.setdefault(device, set()).add(label)
            case ["PixelSize_um", name, size]:
                sizes[name] = float(size)
    for line in lines:
        match line:
            case ["ConfigPixelSize", name, device, "Label", label] if name in sizes:
                setup.pixel_sizes[device, label] = sizes[name]
    return setup


def simulated_setup(plan: Plan) -> Setup:
    """The simulated microscope: presets called after the channels, and the objectives that the plan lists.

    Raises:
        UsageError: The plan's pictures are not square, as its camera is.
    """
    width, height = plan.microscope.frame
    if width != height:
        raise UsageError(
            f"microscope.frame {width} × {height}: the simulated camera is square. Give it two equal sides.",
            code=Code.INVALID_VALUE,
        )
    names = {objective.label or objective.name for objective in plan.objectives}
    return Setup({"Channel": set(CHANNEL_NAMES)}, {plan.microscope.turret: names})


@dataclass(frozen=True, slots=True)
class Scale:
    """How large things are, by the name of the objective.

    Attributes:
        pixel_size: Side of a pixel in µm.
        frame: Width and height of the picture in px.
    """

    pixel_size: dict[str, float]
    frame: tuple[int, int]

    def field_um(self, objective: str) -> tuple[float, float]:
        """Width and height in µm of what an objective shows."""
        width, height = self.frame
        return width * self.pixel_size[objective], height * self.pixel_size[objective]


def check_setup(plan: Plan, path: Path | None) -> Scale:
    """Checks every name of the plan against the configuration, and finds the scale of each objective.

    Args:
        plan: The plan.
        path: The configuration's file; None for the simulated microscope.

    Returns:
        The scale.

    Raises:
        UsageError: A group, preset, turret or objective is not there (the nearest is named), or nothing says how
            large the pixels of an objective are.
    """
    setup = simulated_setup(plan) if path is None else read_setup(path)
    where = "the simulated microscope" if path is None else f"'{path}'"
    presets = setup.presets.get(plan.channels.group)
    if presets is None:
        raise _unknown("channels.group", plan.channels.group, setup.presets, where)
    for index, name in enumerate(CHANNEL_NAMES):
        preset = plan.channels.of(index).preset
        if preset not in presets:
            raise _unknown(f"channels.{name}.preset", preset, presets, where)
    turret = plan.microscope.turret
    labels = setup.labels.get(turret)
    if labels is None:
        raise _unknown("microscope.turret", turret, setup.labels, where)
    sizes = {each.name: _size(each, turret, labels, setup, where) for each in plan.objectives}
    return Scale(sizes, plan.microscope.frame)


def _size(objective: Objective, turret: str, labels: set[str], setup: Setup, where: str) -> float:
    label = objective.label or objective.name
    if label not in labels:
        raise _unknown("objectives.label", label, labels, where)
    size = objective.pixel_size or setup.pixel_sizes.get((turret, label))
    if not size:
        raise UsageError(
            f"Nothing says how large a pixel is with the objective {objective.name!r}. Measure it, and write "
            "pixel_size, in µm, into its table of the plan.",
            code=Code.PIXEL_SIZE,
        )
    return size


def _unknown(key: str, received: str, known: set[str] | dict[str, set[str]], where: str) -> UsageError:
    return UsageError(f"{key}: {where} has no {received!r}.{suggest(received, known)}", code=Code.UNKNOWN_NAME)


def choose_objective(rule: Rule, plan: Plan, scale: Scale) -> Objective:
    """The objective that a rule looks again with.

    Raises:
        UsageError: None has the zoom that the rule asks for.
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


def check_bundle(plan: Plan, scale: Scale, bundle: Bundle) -> tuple[str, ...]:
    """Refuses a bundle that cannot read what the overview's objective shows.

    Args:
        plan: The plan.
        scale: How large the pixels are.
        bundle: The bundle.

    Returns:
        What else the bundle notices of the fields of each objective, as words.

    Raises:
        UsageError: Its pixels would be too coarse, or a field would span less than a cell.
    """
    width, height = scale.frame
    blank = np.zeros((height, width, len(CHANNEL_NAMES)), np.uint8)
    said = []
    for objective in plan.objectives:
        size = scale.pixel_size[objective.name]
        try:
            warnings = make_tiles(Field(objective.name, blank, size), bundle.card.input).warnings
        except LociscopeError as error:
            across, down = scale.field_um(objective.name)
            raise UsageError(
                f"The objective {objective.name!r} shows {across:.4g} × {down:.4g} µm at {size:g} µm a pixel, which no "
                "bundle can read. Mend its pixel_size, or microscope.frame.",
                code=Code.PIXEL_SIZE,
            ) from error
        coarse = any(warning.kind == WarningKind.COARSE_PIXELS for warning in warnings)
        if coarse and objective is plan.objectives[0]:
            raise UsageError(
                f"The objective {objective.name!r} shows pixels of {size:g} µm, too coarse for the bundle "
                f"'{bundle.card.name}', which wants {bundle.card.input.pixel_size:.3g} µm. "
                "List an objective of more magnification first, or take another bundle.",
                code=Code.PIXEL_SIZE,
            )
        said += [f"{objective.name}: {warning}" for warning in warnings]
    return tuple(said)
