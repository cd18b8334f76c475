"""Single and threaded organelles: Golgi (7), MTOC (18), centrosome (19), mitochondria (23), aggresome (24)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lociscope.simulate.canvas import Image, unit
from lociscope.simulate.filaments import walk
from lociscope.simulate.patterns.registry import Levels, pattern
from lociscope.simulate.patterns.vesicles import nearness, numbers, soft_haze

if TYPE_CHECKING:
    from lociscope.simulate.scene import Scene


@dataclass(frozen=True, slots=True)
class GolgiStyle:
    """How the pieces of a Golgi lie.

    Attributes:
        pieces: Mean number in a cell.
        wide: How far they reach around the nucleus, radians.
        deep: How far they reach away from it, µm.
        steps: Length of a piece in steps of 0.45 µm.
    """

    pieces: float
    wide: float
    deep: float
    steps: int


GOLGI_STYLES = {
    "ribbon": GolgiStyle(15, 0.45, 1.7, 8),
    "compact": GolgiStyle(13, 0.22, 1.3, 5),
    "crescent": GolgiStyle(18, 0.9, 1.0, 8),
    "scattered": GolgiStyle(16, 1.5, 2.2, 2),
}


@pattern(7, *GOLGI_STYLES)
def golgi(scene: Scene, rng: np.random.Generator, style: str, levels: Levels) -> Image:
    """A folded ribbon beside the nucleus where microtubules meet; in mitosis it falls into dots."""
    cells, shape = scene.cells, GOLGI_STYLES[style]
    counts = np.where(cells.mitotic, 0, rng.poisson(shape.pieces * np.clip(cells.radius / 13, 0.4, 1.6)))
    cell = np.repeat(np.arange(len(cells)), counts)
    way = np.arctan2(cells.pole_y - cells.nucleus_y, cells.pole_x - cells.nucleus_x)[cell]
    turn = way + rng.normal(0, shape.wide, len(cell))
    away = cells.nucleus_radius[cell] + 0.7 + np.abs(rng.normal(0, shape.deep, len(cell)))
    y, x = cells.nucleus_y[cell] + away * np.sin(turn), cells.nucleus_x[cell] + away * np.cos(turn)
    tangent = turn + np.pi / 2 * rng.choice([-1, 1], len(cell)) + rng.normal(0, 0.7, len(cell))
    inside = scene.at(scene.owner, y, x) == cell + 1
    y, x, cell, tangent = y[inside], x[inside], cell[inside], tangent[inside]
    tracks = walk(rng, scene, y, x, cell, tangent, shape.steps, 0.8, 0.45)
    weight = levels[cell] * rng.gamma(4, 0.25, len(cell))
    ribbons = scene.canvas.blur(scene.canvas.strokes(tracks, weight), rng.uniform(0.2, 0.32))
    ribbons = np.minimum(ribbons, 2.2) * (1 - 0.75 * scene.hidden)
    sy, sx, scell = scene.sample(rng, nearness(scene, 6), numbers(scene, rng, rng.uniform(4, 25)))
    stacks = scene.canvas.dots(sy, sx, 0.2, 0.5 * levels[scell] * rng.gamma(2, 0.5, len(sy)))
    return unit(ribbons + stacks) + soft_haze(scene, rng, levels, 0.01, 0.08)


@pattern(18, "cloud")
def organizing_center(scene: Scene, rng: np.random.Generator, style: str, levels: Levels) -> Image:
    """A diffuse patch of granules where microtubules meet; it differs between cells."""
    cells = scene.cells
    counts = rng.poisson(rng.uniform(8, 26) * rng.gamma(2, 0.5, len(cells)))
    cell = np.repeat(np.arange(len(cells)), counts)
    wide = rng.uniform(0.5, 1.2, len(cells))[cell]
    y = cells.pole_y[cell] + wide * rng.standard_normal(len(cell))
    x = cells.pole_x[cell] + wide * rng.standard_normal(len(cell))
    sigma = rng.uniform(0.14, 0.26, len(cell))
    granules = scene.canvas.dots(y, x, sigma, levels[cell] * rng.gamma(2, 0.5, len(cell)))
    cloud = scene.canvas.dots(cells.pole_y, cells.pole_x, rng.uniform(0.6, 1.2, len(cells)), 0.4 * levels)
    return unit(granules + cloud) + soft_haze(scene, rng, levels, 0.02, 0.14)


@pattern(19, "pair", "single")
def centrosome(scene: Scene, rng: np.random.Generator, style: str, levels: Levels) -> Image:
    """One or two sharp dots where microtubules meet; at both poles of a dividing cell."""
    cells = scene.cells
    way = rng.uniform(0, 2 * np.pi, len(cells))
    half = rng.uniform(0.25, 0.75, len(cells)) if style == "pair" else np.full(len(cells), 0.08)
    pole = cells.mitotic
    way = np.where(pole, cells.nucleus_angle, way)
    half = np.where(pole, 0.72 * cells.nucleus_radius, half)
    y = np.concatenate([cells.pole_y + half * np.sin(way), cells.pole_y - half * np.sin(way)])
    x = np.concatenate([cells.pole_x + half * np.cos(way), cells.pole_x - half * np.cos(way)])
    second = np.where(rng.random(len(cells)) < 0.75, rng.uniform(0.5, 1, len(cells)), 0)
    seen = np.where(rng.random(len(cells)) < 0.85, 1.0, 0.15)
    weight = np.concatenate([levels * seen, levels * seen * second])
    sigma = np.tile(rng.uniform(0.2, 0.34) * np.exp(rng.normal(0, 0.12, len(cells))), 2)
    return unit(scene.canvas.dots(y, x, sigma, weight)) + soft_haze(scene, rng, levels, 0.02, 0.15)


@pattern(23, "threads", "rods", "grains")
def mitochondria(scene: Scene, rng: np.random.Generator, style: str, levels: Levels) -> Image:
    """Threads, short rods or grains around the nucleus and outward; the nucleus stays black."""
    count, steps = {"threads": (90, 10), "rods": (130, 4), "grains": (220, 1)}[style]
    reach = rng.uniform(3.5, 11)
    density = scene.cytoplasm * scene.body * np.exp(-np.maximum(scene.beyond, 0) / reach)
    density = density * np.exp(0.7 * scene.canvas.noise(rng, 4)) * scene.along ** rng.uniform(0.3, 1.2)
    y, x, cell = scene.sample(rng, density, numbers(scene, rng, count * rng.uniform(0.7, 1.5)))
    out = np.arctan2(y - scene.cells.pole_y[cell], x - scene.cells.pole_x[cell])
    angle = out + rng.normal(0, 0.7, len(y))
    tracks = walk(rng, scene, y, x, cell, angle, steps, 0.45, 0.6)
    weight = levels[cell][:, None] * rng.gamma(3, 1 / 3, (len(y), 1)) * rng.gamma(4, 0.25, (len(y), steps))
    threads = scene.canvas.blur(scene.canvas.strokes(tracks, weight), 0.17)
    return unit(threads * (1 - 0.93 * scene.hidden)) + soft_haze(scene, rng, levels, 0.0, 0.08)


@pattern(24, "ball", "hollow")
def aggresome(scene: Scene, rng: np.random.Generator, style: str, levels: Levels) -> Image:
    """A dense ball next to the nucleus, sometimes hollow."""
    y, x, radius, cell = scene.inclusion.T
    hollow = 0.8 * (rng.random(len(y)) < 0.7) if style == "hollow" else 0.0
    weight = levels[cell.astype(int)] * rng.gamma(4, 0.25, len(y))
    balls = scene.canvas.blur(scene.canvas.discs(y, x, radius, weight, hollow=hollow), 0.15)
    return unit(balls) + soft_haze(scene, rng, levels, 0.02, 0.15)
