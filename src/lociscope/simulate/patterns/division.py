"""Locations of dividing cells: cytokinetic bridge (16), mitotic spindle (17)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lociscope.simulate.canvas import Image, unit
from lociscope.simulate.filaments import spindles
from lociscope.simulate.patterns.registry import Levels, pattern
from lociscope.simulate.patterns.texture import soft_haze

if TYPE_CHECKING:
    from lociscope.simulate.scene import Scene


@pattern(16, "cones", "midbody", "ring")
def cytokinetic_bridge(scene: Scene, rng: np.random.Generator, style: str, levels: Levels) -> Image:
    """Between two daughters: two cones that narrow towards a dark gap, only their tips, or the ring around it."""
    return unit(tapering_bridges(rng, scene, style)) + soft_haze(scene, rng, levels, 0.05, 0.3)


def tapering_bridges(rng: np.random.Generator, scene: Scene, style: str) -> Image:
    """Render bridges as bundles of fibres that part from 0.4 µm at the middle to 1–2 µm at the cells, slightly bent.

    Args:
        rng: Source of randomness.
        scene: The cells.
        style: "cones" for both bundles, "midbody" for their tips, "ring" for the ring around the gap.
    """
    cells = scene.cells
    rows = np.flatnonzero(cells.partner > np.arange(len(cells)))
    if not len(rows):
        return scene.canvas.blank()
    start, end = (np.stack([cells.y[each], cells.x[each]], 1) for each in (rows, cells.partner[rows]))
    way = (end - start) / np.maximum(np.hypot(*(end - start).T), 0.1)[:, None]
    middle = (start + end) / 2 + rng.normal(0, 0.3, way.shape)
    angle = np.arctan2(way[:, 0], way[:, 1])
    if style == "ring":
        return scene.canvas.discs(
            middle[:, 0], middle[:, 1], rng.uniform(0.6, 0.9), hollow=0.85, stretch=2.2, angle=angle + np.pi / 2
        )
    count = 28
    side = np.where(np.arange(count) % 2, 1.0, -1.0)[:, None]
    reach = np.array([0.06, 0.3, 0.65, 1.0]) * rng.uniform(0.7, 1, (len(rows), count, 1))
    reach = reach * (rng.uniform(1.2, 1.8) if style == "midbody" else rng.uniform(3, 7, (len(rows), 1, 1)))
    open_by = rng.normal(0, 1, (len(rows), count, 1)) * (0.12 + 0.14 * reach)
    bend = rng.normal(0, 0.02, (len(rows), 2, 1))[:, np.arange(count) % 2] * reach**2
    across = np.stack([way[:, 1], -way[:, 0]], 1)
    along = way[:, None, None] * (side * reach)[..., None]
    tracks = middle[:, None, None] + along + across[:, None, None] * (open_by + bend)[..., None]
    weight = np.tile([1.0, 0.8, 0.45], (len(rows) * count, 1)) * rng.gamma(4, 0.25, (len(rows) * count, 1))
    return scene.canvas.threads(tracks.reshape(-1, 4, 2), 0.1, weight)


@pattern(17, "fans", "poles", "plate")
def mitotic_spindle(scene: Scene, rng: np.random.Generator, style: str, levels: Levels) -> Image:
    """In rounded cells: two fans to a plate, or the poles alone."""
    fans = spindles(rng, scene, dots=style == "poles")
    fans = unit(fans)
    if style == "plate":
        fans = fans + 0.6 * scene.canvas.blur(scene.chromatin, 0.6)
    return np.asarray(fans, np.float32) + soft_haze(scene, rng, levels, 0.05, 0.3)
