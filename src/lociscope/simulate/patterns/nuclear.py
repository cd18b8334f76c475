"""Locations in and around the nucleus: 0–5."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lociscope.simulate.canvas import Image, unit
from lociscope.simulate.patterns.registry import Levels, beside, pattern
from lociscope.simulate.patterns.texture import grain

if TYPE_CHECKING:
    from lociscope.simulate.scene import Scene


def released(scene: Scene, levels: Levels) -> Image:
    """Return nuclear proteins in mitosis: all over the rounded cell, less among the chromosomes."""
    return scene.spread(beside(levels) * scene.cells.mitotic) * scene.body * (1 - 0.6 * scene.chromatin)


def haze(scene: Scene, levels: Levels, strength: float) -> Image:
    """Return a clear nuclear haze without nucleoli, as around speckles and bodies."""
    between = np.exp(-0.15 * scene.grain)
    return np.asarray(strength * scene.spread(beside(levels)) * scene.inner * between * (1 - 0.8 * scene.nucleoli))


def rim_of(scene: Scene, soft: Image, width: float) -> Image:
    """Return the outline of soft-edged areas."""
    smooth = scene.canvas.blur(soft, width)
    return np.clip(4 * smooth * (1 - smooth), 0, 1) * (soft > 0.02)


@pattern(0, "smooth", "punctate", "holed", "clumped", cover=True)
def nucleoplasm(scene: Scene, rng: np.random.Generator, style: str, levels: Levels) -> Image:
    """The whole nucleus, smooth to finely punctate, with or without the holes of nucleoli."""
    contrast = {"smooth": 0.05, "punctate": 0.22, "holed": 0.09, "clumped": 0.12}[style]
    texture = grain(scene, rng, contrast) * np.exp(rng.normal(-0.15, 0.12) * scene.grain)
    if style == "clumped":
        texture = texture * (1 + 0.2 * scene.canvas.noise(rng, 1.6))
    holes = rng.uniform(0.6, 0.95) if style in ("holed", "clumped") else rng.uniform(0, 0.45)
    inside = scene.inner * np.clip(texture, 0.1, 3) * (1 - holes * scene.nucleoli)
    return np.asarray(unit(scene.spread(levels) * inside) + 0.25 * released(scene, levels), np.float32)


@pattern(1, "ring", "folded", "hazy")
def nuclear_membrane(scene: Scene, rng: np.random.Generator, style: str, levels: Levels) -> Image:
    """A thin uneven ring, with folds, and often haze within."""
    canvas = scene.canvas
    ring = np.exp(-0.5 * ((scene.beyond + 0.15) / 0.22) ** 2) * (scene.spread(~scene.cells.mitotic))
    ring *= np.clip(1 + 0.3 * canvas.noise(rng, 1.5), 0.3, 2)
    within = rng.uniform(0.15, 0.5) if style == "hazy" else rng.uniform(0.02, 0.15)
    picture = ring + within * scene.nucleus * (1 - 0.5 * scene.nucleoli)
    if style != "ring":
        fold = np.exp(-np.abs(canvas.noise(rng, 2.5) + 0.25 * canvas.noise(rng, 1)) * 7)
        place = canvas.noise(rng, 6) > 0.9
        picture = picture + 0.7 * fold * place * scene.nucleus
    return np.asarray(unit(scene.spread(levels) * picture) + 0.15 * released(scene, levels), np.float32)


@pattern(2, "filled", "rim", "hazy")
def nucleoli(scene: Scene, rng: np.random.Generator, style: str, levels: Levels) -> Image:
    """Filled, sharp and lobed; or hollow rims; with or without haze."""
    canvas = scene.canvas
    if style == "rim":
        areas = rim_of(scene, scene.nucleoli, 0.25) + rng.uniform(0.2, 0.6) * scene.nucleoli
    else:
        areas = scene.nucleoli * np.clip(1 + 0.2 * canvas.noise(rng, 0.8), 0.3, 2)
    around = rng.uniform(0.12, 0.4) if style == "hazy" else rng.uniform(0.0, 0.12)
    shining = unit(scene.spread(levels) * areas) + haze(scene, levels, around)
    return np.asarray(shining + 0.2 * released(scene, levels), np.float32)


@pattern(3, "raspberry", "single")
def fibrillar_center(scene: Scene, rng: np.random.Generator, style: str, levels: Levels) -> Image:
    """Inside nucleoli: clusters of dots, or one spot in each."""
    table = scene.nucleolus
    count = np.ones(len(table), int)
    if style == "raspberry":
        count = rng.poisson(2 + 3.0 * table[:, 2] ** 1.5).clip(2, 16)
    y, x, radius, cell = (np.repeat(column, count) for column in table.T)
    away = radius * (rng.uniform(0.2, 0.85, len(y)) if style == "raspberry" else 0.15)
    way = rng.uniform(0, 2 * np.pi, len(y))
    sigma = rng.uniform(0.14, 0.24, len(y)) if style == "raspberry" else rng.uniform(0.25, 0.5, len(y))
    weight = levels[cell.astype(int)] * rng.gamma(4, 0.25, len(y))
    spots = scene.canvas.dots(y + away * np.sin(way), x + away * np.cos(way), sigma, weight)
    return unit(spots * scene.nucleus) + haze(scene, levels, 0.15 * rng.random() ** 2) + 0.1 * released(scene, levels)


@pattern(4, "mottled", "fine")
def speckles(scene: Scene, rng: np.random.Generator, style: str, levels: Levels) -> Image:
    """20–50 crisp lobed patches between the chromatin, never in nucleoli, on a clear haze."""
    canvas = scene.canvas
    y, x, radius, cell = (np.repeat(column, 3) for column in scene.speckle.T)
    radius = radius * rng.uniform(0.45, 0.8, len(y)) * (0.65 if style == "fine" else 1)
    y, x = y + 0.9 * radius * rng.standard_normal(len(y)), x + 0.9 * radius * rng.standard_normal(len(y))
    weight = levels[cell.astype(int)] * np.repeat(rng.gamma(4, 0.25, len(y) // 3), 3)
    stretch, angle = rng.uniform(1, 2, len(y)), rng.uniform(0, np.pi, len(y))
    lobes = canvas.discs(y, x, radius, weight, stretch=stretch, angle=angle)
    patches = canvas.blur(lobes / (1 + 0.4 * lobes), 0.07) * scene.nucleus * (1 - 0.9 * scene.nucleoli)
    return unit(patches) + haze(scene, levels, rng.uniform(0.06, 0.4)) + 0.15 * released(scene, levels)


@pattern(5, "few", "many", "hazy")
def bodies(scene: Scene, rng: np.random.Generator, style: str, levels: Levels) -> Image:
    """A few round bright spots, alike, often at the rim or at nucleoli."""
    canvas = scene.canvas
    lure = 1 + 2 * np.exp(-(((scene.beyond + 0.9) / 0.5) ** 2)) + 2 * canvas.blur(scene.nucleoli, 0.5)
    density = scene.nucleus * (scene.beyond < -0.5) * lure * (1 - 0.9 * scene.nucleoli)
    mean = {"few": rng.uniform(2, 6), "many": rng.uniform(9, 22), "hazy": rng.uniform(3, 10)}[style]
    y, x, cell = scene.sample(rng, density, mean * rng.gamma(4, 0.25, len(scene.cells)))
    sigma = rng.uniform(0.19, 0.36) * np.exp(rng.normal(0, 0.15, len(y)))
    spots = canvas.dots(y, x, sigma, levels[cell] * rng.gamma(8, 1 / 8, len(y)))
    around = rng.uniform(0.1, 0.3) if style == "hazy" else rng.uniform(0.0, 0.1)
    return unit(spots) + haze(scene, levels, around) + 0.1 * released(scene, levels)
