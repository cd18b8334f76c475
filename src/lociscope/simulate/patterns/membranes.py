"""The plasma membrane (21), cell junctions (22) and focal adhesion sites (13)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lociscope.simulate.canvas import Image, unit
from lociscope.simulate.patterns.registry import Levels, pattern
from lociscope.simulate.patterns.vesicles import numbers, soft_haze

if TYPE_CHECKING:
    from lociscope.simulate.scene import Scene


def _outline(scene: Scene, width: float) -> Image:
    depth = scene.depth
    return np.asarray(np.exp(-0.5 * (depth / width) ** 2) * (scene.owner > 0))


@pattern(21, "line", "spikes", "ruffles", "sheet", cover=True)
def plasma_membrane(scene: Scene, rng: np.random.Generator, style: str, levels: Levels) -> Image:
    """An outline, brighter where cells touch; ruffles; a fringe of spikes; or an even sheet over the cell."""
    canvas, level = scene.canvas, scene.spread(levels)
    uneven = np.clip(1 + 0.5 * canvas.noise(rng, 4) + 0.2 * canvas.noise(rng, 0.9), 0.1, 3)
    touch = 1 + 1.0 * np.exp(-((scene.contact / 0.8) ** 2))
    line = level * _outline(scene, 0.4) * uneven * touch
    grain = np.clip(1 + 0.35 * canvas.noise(rng, 0.7) + 0.2 * canvas.noise(rng, 3), 0.1, 3)
    surface = level * (scene.owner > 0) * grain
    if style == "sheet":
        return unit(np.asarray(surface * (0.8 + 0.2 * scene.body) + 0.8 * line, np.float32))
    if style == "ruffles":
        folds = np.exp(-np.abs(canvas.noise(rng, 2.2)) * 3) * np.exp(-scene.depth / 2.5)
        line = line + 1.2 * level * folds * np.clip(canvas.noise(rng, 9), 0, 2)
    if style == "spikes":
        line = line + _spikes(scene, rng, levels)
    return np.asarray(unit(np.asarray(line, np.float32)) + np.float32(rng.uniform(0.25, 1.0)) * surface)


def _spikes(scene: Scene, rng: np.random.Generator, levels: Levels) -> Image:
    """Thin straight protrusions that leave the outline outwards, and lie over it."""
    rim = (scene.depth > 0) & (scene.depth < 1.0)
    per_cell = scene.cells.radius * rng.uniform(4, 10)
    y, x, cell = scene.sample(rng, rim.astype(np.float32), per_cell)
    angle = scene.inward(y, x, 1.5) + np.pi + rng.normal(0, 0.25, len(y))
    length = rng.uniform(2, rng.uniform(3.5, 9), len(y))
    start = np.stack([y, x], 1)
    way = np.stack([np.sin(angle), np.cos(angle)], 1) * length[:, None]
    tracks = np.stack([start - 0.15 * way, start + 0.5 * way, start + way], 1)
    weight = levels[cell][:, None] * rng.gamma(4, 0.25, (len(y), 1)) * np.array([1.0, 0.6])
    return scene.canvas.strokes(tracks, weight)


@pattern(22, "line", "beads", "patches")
def junctions(scene: Scene, rng: np.random.Generator, style: str, levels: Levels) -> Image:
    """Only where two cells touch: a sharp line, beads like a zip, or patches."""
    canvas = scene.canvas
    line = np.exp(-0.5 * (scene.contact / rng.uniform(0.18, 0.35)) ** 2)
    if style == "line":
        shape = np.clip(1 + 0.3 * canvas.noise(rng, 2), 0.2, 2) * (canvas.noise(rng, 25) > -1.0)
    elif style == "beads":
        shape = np.clip(canvas.noise(rng, 0.8) - 0.2, 0, 3) * (canvas.noise(rng, 12) > -0.6)
    else:
        shape = np.clip(canvas.noise(rng, 3) - 0.5, 0, 1.5)
    return unit(np.asarray(scene.spread(levels) * line * shape, np.float32)) + soft_haze(scene, rng, levels, 0.02, 0.15)


@pattern(13, "rim", "scattered")
def focal_adhesions(scene: Scene, rng: np.random.Generator, style: str, levels: Levels) -> Image:
    """Dense elongated plaques that point inward from the edge; none under the middle of the nucleus."""
    reach = 1.6 if style == "rim" else 4.5
    arcs = np.clip(scene.canvas.noise(rng, 9) + 0.7, 0.02, 2)
    density = np.exp(-scene.depth / reach) * (scene.depth > 0.4) * arcs * scene.cytoplasm * (scene.contact > 1)
    y, x, cell = scene.sample(rng, density.astype(np.float32), numbers(scene, rng, rng.uniform(25, 60)))
    angle = scene.inward(y, x, 2.0) + rng.normal(0, 0.25, len(y))
    length = np.clip(np.exp(rng.normal(0.65, 0.35, len(y))), 0.8, 5)
    width = rng.uniform(0.35, 0.7, len(y))
    radius = np.sqrt(length * width) / 2
    weight = levels[cell] * rng.gamma(4, 0.25, len(y))
    plaques = scene.canvas.discs(y, x, radius, weight, stretch=np.maximum(1, length / width), angle=angle)
    return unit(scene.canvas.blur(plaques, 0.12)) + soft_haze(scene, rng, levels, 0.03, 0.25)
