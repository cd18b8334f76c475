"""The plasma membrane (21), cell junctions (22) and focal adhesion sites (13)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lociscope.simulate.canvas import Image, unit
from lociscope.simulate.patterns.registry import Levels, pattern
from lociscope.simulate.patterns.texture import grain, numbers, soft_haze

if TYPE_CHECKING:
    from lociscope.simulate.scene import Scene


@pattern(21, "line", "spikes", "ruffles", "sheet", "ruffles", cover=True)
def plasma_membrane(scene: Scene, rng: np.random.Generator, style: str, levels: Levels) -> Image:
    """The whole surface, grainy and also over the nucleus, with an uneven edge, ruffles, or a fringe of filopodia."""
    canvas, level = scene.canvas, scene.spread(levels)
    patches = np.clip(0.9 + 0.45 * canvas.noise(rng, rng.uniform(4, 9)) + 0.45 * canvas.noise(rng, 0.8), 0.05, 3)
    touch = 1 + rng.uniform(0.3, 1.3) * np.exp(-((scene.contact / 0.6) ** 2))
    ragged = scene.depth + rng.uniform(0.1, 0.4) * canvas.noise(rng, 0.7)
    edge = np.exp(-0.5 * (ragged / rng.uniform(0.2, 0.4)) ** 2) * (scene.owner > 0) * patches * touch
    picture = {"line": 1.0, "spikes": 0.4, "ruffles": 0.7, "sheet": 0.25}[style] * level * edge
    if style == "ruffles":
        picture = picture + level * _ruffles(scene, rng)
    if style == "spikes" or rng.random() < 0.6:
        picture = picture + (1.0 if style == "spikes" else rng.uniform(0.3, 0.8)) * unit(_spikes(scene, rng, levels))
    strength = {"line": rng.uniform(0.2, 0.6), "sheet": 1.0}.get(style, rng.uniform(0.3, 0.8))
    return unit(np.asarray(picture + strength * level * _surface(scene, rng), np.float32))


def _surface(scene: Scene, rng: np.random.Generator) -> Image:
    """Return the membrane seen from above: grains and small bright folds of 0.3–1 µm, with no hole at the nucleus."""
    folds = np.clip(scene.canvas.noise(rng, rng.uniform(0.5, 0.9)) - 1.2, 0, 2) * rng.uniform(0.3, 1.3)
    even = scene.body ** rng.uniform(0.15, 0.5) * (1 - rng.uniform(0, 0.5) * scene.hidden)
    return np.asarray((scene.owner > 0) * even * (grain(scene, rng, rng.uniform(0.1, 0.22)) + folds), np.float32)


def _ruffles(scene: Scene, rng: np.random.Generator) -> Image:
    """Return bright crumpled folds within 3 µm of the edge, on some stretches of it."""
    canvas = scene.canvas
    folds = np.exp(-3 * np.abs(canvas.noise(rng, 1.4))) * np.clip(1 + 0.5 * canvas.noise(rng, 0.6), 0.1, 3)
    some = np.clip(canvas.noise(rng, 8) + 0.2, 0, 2)
    return np.asarray(1.3 * folds * some * np.exp(-scene.depth / rng.uniform(1, 3)) * (scene.owner > 0), np.float32)


def _spikes(scene: Scene, rng: np.random.Generator, levels: Levels) -> Image:
    """Thin straight protrusions that leave the outline outwards, and lie over it."""
    rim = (scene.depth > 0) & (scene.depth < 1.0)
    per_cell = scene.cells.radius * rng.uniform(4, 10)
    y, x, cell = scene.sample(rng, rim.astype(np.float32), per_cell)
    angle = scene.inward(y, x, 1.5) + np.pi + rng.normal(0, 0.25, len(y))
    length = rng.uniform(2, rng.uniform(3.5, 9), len(y))
    start = np.stack([y, x], 1)
    way = np.stack([np.sin(angle), np.cos(angle)], 1) * length[:, None]
    bent = way[:, ::-1] * rng.normal(0, 0.08, (len(y), 1)) * [1, -1]
    tracks = np.stack([start - 0.15 * way, start + 0.3 * way + bent, start + 0.7 * way + bent, start + way], 1)
    weight = levels[cell][:, None] * rng.gamma(2.5, 0.4, (len(y), 1)) * np.array([1.0, 0.8, 0.5])
    return scene.canvas.threads(tracks, 0.09, weight)


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
        shape = np.clip(canvas.noise(rng, 2) - 0.3, 0, 1.5) * np.clip(1 + 0.5 * canvas.noise(rng, 0.6), 0.2, 3)
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
