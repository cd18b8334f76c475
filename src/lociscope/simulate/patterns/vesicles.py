"""Dots in the cytoplasm: 8–10, 20, 26, 27, and dots that nobody identified."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lociscope.simulate.canvas import Image, unit
from lociscope.simulate.patterns.registry import Levels, pattern
from lociscope.simulate.patterns.texture import nearness, numbers, soft_haze

if TYPE_CHECKING:
    from lociscope.simulate.scene import Scene


@pattern(8, "even")
def peroxisomes(scene: Scene, rng: np.random.Generator, style: str, levels: Levels) -> Image:
    """Some 350 alike, filled, round dots all over the cytoplasm, nearly without haze."""
    y, x, cell = scene.sample(rng, nearness(scene, 30), numbers(scene, rng, rng.uniform(180, 400)))
    sigma = 0.2 * np.exp(rng.normal(0, 0.2, len(y)))
    spots = scene.canvas.dots(y, x, sigma, levels[cell] * rng.gamma(6, 1 / 6, len(y)))
    return unit(spots) + soft_haze(scene, rng, levels, 0, 0.04)


@pattern(9, "small")
def endosomes(scene: Scene, rng: np.random.Generator, style: str, levels: Levels) -> Image:
    """Some 270 small unequal dots, denser near the nucleus and at the Golgi."""
    y, x, cell = scene.sample(rng, _at_pole(scene, 9), numbers(scene, rng, rng.uniform(150, 350)))
    sigma = 0.17 * np.exp(rng.normal(0, 0.25, len(y)))
    spots = scene.canvas.dots(y, x, sigma, levels[cell] * rng.gamma(1.3, 1 / 1.3, len(y)))
    return unit(spots) + soft_haze(scene, rng, levels, 0.02, 0.12)


def _at_pole(scene: Scene, distance: float) -> Image:
    cells = scene.cells
    visible = (cells.pole_y > 0) & (cells.pole_x > 0)
    glow = scene.canvas.dots(cells.pole_y[visible], cells.pole_x[visible], 3.0, 1.0)
    return nearness(scene, distance) * (1 + 3 * glow)


@pattern(10, "along", "clustered")
def lysosomes(scene: Scene, rng: np.random.Generator, style: str, levels: Levels) -> Image:
    """Some 220 bigger, brighter dots around the nucleus and along microtubules, many of them hollow."""
    density = _at_pole(scene, 5 if style == "clustered" else 12)
    y, x, cell = scene.sample(rng, density, numbers(scene, rng, rng.uniform(90, 220)))
    radius = np.clip(0.36 * np.exp(rng.normal(0, 0.33, len(y))), 0.2, 0.95)
    hollow = (rng.random(len(y)) < 0.45) * 0.6 * (radius > 0.33)
    spots = scene.canvas.discs(y, x, radius, levels[cell] * rng.gamma(3, 1 / 3, len(y)), hollow=hollow)
    return unit(scene.canvas.blur(spots, 0.1)) + soft_haze(scene, rng, levels, 0.01, 0.08)


@pattern(20, "rings")
def lipid_droplets(scene: Scene, rng: np.random.Generator, style: str, levels: Levels) -> Image:
    """The surface of droplets: rings with a dark centre where large enough; cells differ strongly."""
    y, x, radius, cell = scene.droplet.T
    weight = levels[cell.astype(int)] * rng.gamma(4, 0.25, len(y))
    hollow = np.clip((radius - 0.2) / 0.15, 0, 1)
    rings = scene.canvas.discs(y, x, radius + 0.12, weight, hollow=hollow)
    return unit(scene.canvas.blur(rings, 0.1)) + soft_haze(scene, rng, levels, 0.02, 0.15)


@pattern(26, "distinct")
def cytoplasmic_bodies(scene: Scene, rng: np.random.Generator, style: str, levels: Levels) -> Image:
    """Some 20 round distinct spots over weak cytosol."""
    y, x, cell = scene.sample(rng, nearness(scene, 25), numbers(scene, rng, rng.uniform(7, 28), 0.5))
    sigma = 0.3 * np.exp(rng.normal(0, 0.25, len(y)))
    spots = scene.canvas.dots(y, x, sigma, levels[cell] * rng.gamma(4, 0.25, len(y)))
    return unit(spots) + soft_haze(scene, rng, levels, 0.04, 0.25)


@pattern(27, "mixed", "rods", "rings")
def rods_and_rings(scene: Scene, rng: np.random.Generator, style: str, levels: Levels) -> Image:
    """Straight rods and small rings side by side."""
    canvas = scene.canvas
    share = {"mixed": 0.65, "rods": 0.9, "rings": 0.35}[style]
    y, x, cell = scene.sample(rng, nearness(scene, 25), numbers(scene, rng, rng.uniform(3, 14), 0.6))
    rod = rng.random(len(y)) < share
    length = np.exp(rng.normal(np.log(rng.uniform(1.5, 5)), 0.35, len(y)))
    radius = np.sqrt(length / 2 * 0.22)
    weight = levels[cell] * rng.gamma(6, 1 / 6, len(y))
    rods = canvas.discs(
        y[rod], x[rod], radius[rod], weight[rod],
        stretch=length[rod] / 0.44, angle=rng.uniform(0, np.pi, rod.sum()),
    )  # fmt: skip
    rings = canvas.discs(y[~rod], x[~rod], np.clip(length[~rod] / 4, 0.4, 1.3), weight[~rod], hollow=1.0)
    return unit(canvas.blur(rods + rings, 0.1)) + soft_haze(scene, rng, levels, 0.02, 0.12)


def unidentified(scene: Scene, rng: np.random.Generator, levels: Levels) -> Image:
    """Dots of any kind that annotators call vesicles, or leave unnamed."""
    mean, distance = np.exp(rng.uniform(np.log(8), np.log(500))), rng.uniform(4, 20)
    density = nearness(scene, distance) + np.float32(0.6 * rng.random() ** 2) * scene.inner * (1 - scene.nucleoli)
    y, x, cell = scene.sample(rng, density, numbers(scene, rng, mean, 0.5))
    sigma = rng.uniform(0.1, 0.28) * np.exp(rng.normal(0, 0.25, len(y)))
    return scene.canvas.dots(y, x, sigma, levels[cell] * rng.gamma(1.3, 1 / 1.3, len(y)))
