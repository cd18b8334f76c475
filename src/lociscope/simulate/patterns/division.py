"""Locations of dividing cells: cytokinetic bridge (16), mitotic spindle (17)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lociscope.simulate.canvas import Image, unit
from lociscope.simulate.filaments import bridges, spindles
from lociscope.simulate.patterns.registry import Levels, pattern
from lociscope.simulate.patterns.texture import soft_haze

if TYPE_CHECKING:
    from lociscope.simulate.scene import Scene


@pattern(16, "cones", "midbody", "ring")
def cytokinetic_bridge(scene: Scene, rng: np.random.Generator, style: str, levels: Levels) -> Image:
    """Between two daughters: two cones that narrow towards a dark gap, only their tips, or the ring around it."""
    return unit(bridges(rng, scene, style)) + soft_haze(scene, rng, levels, 0.05, 0.3)


@pattern(17, "fans", "poles", "plate")
def mitotic_spindle(scene: Scene, rng: np.random.Generator, style: str, levels: Levels) -> Image:
    """In rounded cells: two fans to a plate, or the poles alone."""
    fans = spindles(rng, scene, dots=style == "poles")
    fans = unit(fans)
    if style == "plate":
        fans = fans + 0.6 * scene.canvas.blur(scene.chromatin, 0.6)
    return np.asarray(fans, np.float32) + soft_haze(scene, rng, levels, 0.05, 0.3)
