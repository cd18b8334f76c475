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
        place: Its class number.
        styles: Names of the ways in which it may look.
        render: Renders it, in any unit, since brightness is set later.
        cover: True for a place that fills much of the cell, which shines less per pixel than dots do.
    """

    place: int
    styles: tuple[str, ...]
    render: Render
    cover: bool


PATTERNS: dict[int, Pattern] = {}
"""Every location that can be simulated, by class number."""


def beside(levels: Levels) -> Levels:
    """Return each cell's strength relative to bright cells, as `unit` scales it: for weak light with a structure."""
    shown = levels[levels > 0]
    return levels / np.quantile(shown, 0.85) if len(shown) else levels


def pattern(place: int, *styles: str, cover: bool = False) -> Callable[[Render], Render]:
    """Register a function as the pattern of a location."""

    def register(render: Render) -> Render:
        PATTERNS[place] = Pattern(place, styles, render, cover)
        return render

    return register


def pattern_of(place: int) -> Pattern:
    """Return the pattern of a location.

    Raises:
        UsageError: There is no such place.
    """
    if place not in PATTERNS:
        raise UsageError(
            f"Place {place!r} is no class number; expected whole numbers 0–{len(LABELS) - 1}, as of "
            f"'lociscope.labels.LABELS'.",
            code=Code.INVALID_VALUE,
        )
    return PATTERNS[place]


def place_number(name: str) -> int:
    """Return the class number of a location by its name, as in `Nucleoli`; case does not matter.

    Raises:
        UsageError: There is no such place.
    """
    for number, label in enumerate(LABELS):
        if label.lower() == name.strip().lower():
            return number
    raise UsageError(f"Place {name!r} is not one of the 28.{suggest(name, LABELS)}", code=Code.UNKNOWN_NAME)
