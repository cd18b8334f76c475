"""Single and threaded organelles: Golgi (7), MTOC (18), centrosome (19), mitochondria (23), aggresome (24)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lociscope.simulate.canvas import Image, unit
from lociscope.simulate.filaments import walk
from lociscope.simulate.patterns.registry import Levels, beside, pattern
from lociscope.simulate.patterns.texture import follow_microtubules, nearness, numbers, soft_haze

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lociscope.simulate.scene import Scene


@dataclass(frozen=True, slots=True)
class GolgiStyle:
    """How the stacks of a Golgi are arranged.

    Attributes:
        stacks: Mean number in a cell.
        wide: How far they reach around the nucleus, radians.
        deep: How far they reach away from it, µm.
        length: Length of a stack, µm.
    """

    stacks: float
    wide: float
    deep: float
    length: float


GOLGI_STYLES = {
    "ribbon": GolgiStyle(54, 0.55, 1.6, 1.8),
    "compact": GolgiStyle(42, 0.28, 1.7, 1.2),
    "crescent": GolgiStyle(54, 0.9, 0.6, 1.6),
    "stacks": GolgiStyle(50, 0.5, 1.8, 0.9),
    "scattered": GolgiStyle(54, 1.4, 1.0, 0.9),
}


@pattern(7, *GOLGI_STYLES)
def golgi(scene: Scene, rng: np.random.Generator, style: str, levels: Levels) -> Image:
    """One patch of folded, crowded stacks 0.4 µm thick beside the nucleus, towards the pole; in mitosis only dots."""
    cells, shape = scene.cells, GOLGI_STYLES[style]
    counts = np.where(cells.mitotic, 0, rng.poisson(shape.stacks * np.clip(cells.nucleus_radius / 7, 0.5, 1.6)))
    cell = np.repeat(np.arange(len(cells)), counts)
    turn, away = _beside_nucleus(scene, rng, cell, shape)
    y, x = cells.nucleus_y[cell] + away * np.sin(turn), cells.nucleus_x[cell] + away * np.cos(turn)
    tangent = turn + np.pi / 2 * rng.choice([-1, 1], len(cell)) + rng.normal(0, 0.75, len(cell))
    inside = scene.at(scene.owner, y, x) == cell + 1
    y, x, cell, tangent = y[inside], x[inside], cell[inside], tangent[inside]
    tracks = walk(rng, scene, y, x, cell, tangent, 4, 0.5, shape.length / 4)
    shown = np.arange(4) < rng.integers(1, 5, len(cell))[:, None]
    weight = levels[cell][:, None] * rng.gamma(4, 0.25, (len(cell), 1)) * shown
    stacks = scene.canvas.threads(tracks, rng.uniform(0.14, 0.2), weight) * (1 - 0.6 * scene.hidden)
    stacks = unit(stacks)
    stacks = stacks / (1 + 0.25 * stacks)
    sy, sx, scell = scene.sample(rng, nearness(scene, 9), numbers(scene, rng, rng.gamma(1.5, 12)))
    weight = rng.uniform(0.15, 0.5) * beside(levels)[scell] * rng.gamma(2, 0.5, len(sy))
    carriers = scene.canvas.dots(sy, sx, 0.14, weight)
    return unit(stacks) + carriers + soft_haze(scene, rng, levels, 0.01, 0.2)


def _beside_nucleus(
    scene: Scene, rng: np.random.Generator, cell: NDArray[np.intp], shape: GolgiStyle
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return the direction from the nucleus and the distance from its centre of each stack, in a few lumps per cell."""
    cells, lumps = scene.cells, 5
    pole = np.arctan2(cells.pole_y - cells.nucleus_y, cells.pole_x - cells.nucleus_x)
    lump_turn = pole[:, None] + shape.wide * rng.uniform(-1, 1, (len(cells), lumps))
    lump_away = shape.deep * rng.gamma(1.5, 0.6, (len(cells), lumps))
    which = rng.integers(lumps, size=len(cell))
    turn = lump_turn[cell, which] + rng.normal(0, 0.12 + 0.12 * shape.wide, len(cell))
    rim = cells.nucleus_long[cell] * cells.nucleus_wide[cell] / np.hypot(
        cells.nucleus_wide[cell] * np.cos(turn - cells.nucleus_angle[cell]),
        cells.nucleus_long[cell] * np.sin(turn - cells.nucleus_angle[cell]),
    )  # fmt: skip
    return turn, rim + np.maximum(0.2, 0.5 + lump_away[cell, which] + rng.normal(0, 0.5, len(cell)))


@pattern(18, "cloud")
def organizing_center(scene: Scene, rng: np.random.Generator, style: str, levels: Levels) -> Image:
    """A dense cluster of granules where microtubules meet, thinning outwards over some µm; it differs between cells."""
    cells = scene.cells
    counts = rng.poisson(rng.uniform(25, 80) * rng.gamma(2, 0.5, len(cells)))
    cell = np.repeat(np.arange(len(cells)), counts)
    wide = rng.uniform(0.4, 1.0, len(cells))[cell] * np.sqrt(1.5 / rng.gamma(1.5, 1.0, len(cell)).clip(0.08))
    y = cells.pole_y[cell] + wide * rng.standard_normal(len(cell))
    x = cells.pole_x[cell] + wide * rng.standard_normal(len(cell))
    sigma = rng.uniform(0.12, 0.2, len(cell))
    granules = scene.canvas.dots(y, x, sigma, levels[cell] * rng.gamma(2, 0.5, len(cell)))
    granules = unit(granules * (scene.owner > 0))
    return granules / (1 + 0.3 * granules) + soft_haze(scene, rng, levels, 0.02, 0.25)


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
    return unit(scene.canvas.dots(y, x, sigma, weight)) + soft_haze(scene, rng, levels, 0.02, 0.14)


@pattern(23, "threads", "rods", "grains")
def mitochondria(scene: Scene, rng: np.random.Generator, style: str, levels: Levels) -> Image:
    """Threads, rods or grains 0.4 µm thick that follow microtubules outwards; the nucleus stays black."""
    count, steps = {"threads": (200, 4), "rods": (260, 2), "grains": (420, 1)}[style]
    reach = rng.uniform(3, 12)
    density = scene.cytoplasm * scene.body * np.exp(-np.maximum(scene.beyond, 0) / reach)
    density = density * np.exp(rng.uniform(0.2, 0.7) * scene.canvas.noise(rng, 6))
    counts = numbers(scene, rng, count * rng.uniform(0.7, 1.5)) * ~scene.cells.mitotic
    tracks, cell = follow_microtubules(scene, rng, density, counts, steps, rng.uniform(0.15, 0.35))
    pieces = tracks.shape[1] - 1
    shown = np.arange(pieces) < rng.integers(pieces // 3, pieces + 1, len(cell))[:, None]
    weight = levels[cell][:, None] * rng.gamma(4, 1 / 4, (len(cell), 1)) * shown
    threads = scene.canvas.threads(tracks, rng.uniform(0.1, 0.16), weight)
    y, x, round_cell = scene.sample(rng, scene.cytoplasm * scene.body, 120.0 * scene.cells.mitotic)
    threads = unit(threads + scene.canvas.dots(y, x, 0.2, levels[round_cell]))
    threads = threads / (1 + 0.5 * threads)
    return unit(threads * (1 - 0.93 * scene.hidden)) + soft_haze(scene, rng, levels, 0.0, 0.15)


@pattern(24, "ball", "hollow")
def aggresome(scene: Scene, rng: np.random.Generator, style: str, levels: Levels) -> Image:
    """A dense ball next to the nucleus, sometimes hollow."""
    y, x, radius, cell = scene.inclusion.T
    hollow = 0.8 * (rng.random(len(y)) < 0.7) if style == "hollow" else 0.0
    weight = levels[cell.astype(int)] * rng.gamma(4, 0.25, len(y))
    balls = scene.canvas.blur(scene.canvas.discs(y, x, radius, weight, hollow=hollow), 0.15)
    return unit(balls) + soft_haze(scene, rng, levels, 0.02, 0.15)
