"""The table of patterns: one function per location, each with its styles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lociscope.errors import Code, UsageError, suggest
from lociscope.labels import LABELS
from lociscope.simulate.canvas import Image
from lociscope.simulate.scene import Scene

Levels = NDArray[np.floating]
Render = Callable[[Scene, np.random.Generator, str, Levels], Image]
"""From the cells, a source of randomness, a style and each cell's strength (n,) to a picture of the protein."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """How one location is rendered.

    Attributes:
        location: Its class number.
        styles: Names of the ways in which it may look.
        render: Renders it, in any unit, since brightness is set later.
        cover: True for a location that fills much of the cell, which shines less per pixel than dots do.
    """

    location: int
    styles: tuple[str, ...]
    render: Render
    cover: bool


PATTERNS: dict[int, Pattern] = {}
"""Every location that can be simulated, by class number."""


def beside(levels: Levels) -> Levels:
    """Return each cell's strength relative to bright cells, as `unit` scales it: for weak light with a structure."""
    shown = levels[levels > 0]
    return levels / np.quantile(shown, 0.85) if len(shown) else levels


def pattern(location: int, *styles: str, cover: bool = False) -> Callable[[Render], Render]:
    """Register a function as the pattern of a location."""

    def register(render: Render) -> Render:
        PATTERNS[location] = Pattern(location, styles, render, cover)
        return render

    return register


def pattern_of(location: int) -> Pattern:
    """Return the pattern of a location.

    Raises:
        UsageError: The location is not known.
    """
    if location not in PATTERNS:
        raise UsageError(
            f"Location {location!r} is not a class number; expected whole numbers 0–{len(LABELS) - 1}, as of "
            f"'lociscope.labels.LABELS'.",
            code=Code.INVALID_VALUE,
        )
    return PATTERNS[location]


def location_number(name: str) -> int:
    """Return the class number of a location by its name, as in `Nucleoli`; case does not matter.

    Raises:
        UsageError: The location is not known.
    """
    for number, label in enumerate(LABELS):
        if label.lower() == name.strip().lower():
            return number
    raise UsageError(f"Location {name!r} is not one of the 28.{suggest(name, LABELS)}", code=Code.UNKNOWN_NAME)
