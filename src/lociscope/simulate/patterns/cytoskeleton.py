"""Filaments: intermediate (11), actin (12), microtubules (14) and their ends (15)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lociscope.simulate.canvas import Image, unit
from lociscope.simulate.filaments import microtubules as tubules
from lociscope.simulate.filaments import spindles, walk
from lociscope.simulate.patterns.registry import Levels, beside, pattern
from lociscope.simulate.patterns.texture import numbers, soft_haze

if TYPE_CHECKING:
    from lociscope.simulate.scene import Scene


@pattern(11, "whole", "cage", "bundled", "mesh")
def intermediate_filaments(scene: Scene, rng: np.random.Generator, style: str, levels: Levels) -> Image:
    """A continuous mesh, dense around the nucleus, with wavy strands along the cell and holes of some 1 µm."""
    reach = {"whole": 16, "cage": 3, "bundled": 7, "mesh": 12}[style] * rng.uniform(0.8, 1.25)
    fade = np.exp(-np.maximum(scene.beyond, 0) / reach)
    one_sided = np.exp(rng.uniform(0.2, 0.8) * scene.canvas.noise(rng, 9))
    density = scene.cytoplasm * scene.body * fade * one_sided
    strands = unit(_wavy_strands(scene, rng, levels, density, style))
    strands = strands / (1 + 0.4 * strands)
    net = scene.spread(beside(levels)) * _net(scene, rng, rng.uniform(1.1, 1.9)) * (0.1 + fade) * one_sided
    light = strands + {"bundled": 0.25, "mesh": 0.8}.get(style, 0.45) * net
    light = light * scene.body * scene.filling**0.5 * (1 - rng.uniform(0.75, 0.95) * scene.hidden)
    return unit(light) + soft_haze(scene, rng, levels, 0.02, 0.15)


def _wavy_strands(scene: Scene, rng: np.random.Generator, levels: Levels, density: Image, style: str) -> Image:
    """Return strands of 16 µm, single or in bundles of a few, along the cell or around the nucleus."""
    cells = scene.cells
    count, bundle = {"whole": (220, 2), "cage": (170, 2), "bundled": (60, 6), "mesh": (130, 1)}[style]
    y, x, cell = scene.sample(rng, density, numbers(scene, rng, count * rng.uniform(0.7, 1.3)))
    around = np.arctan2(y - cells.nucleus_y[cell], x - cells.nucleus_x[cell])
    tangential = rng.random(len(y)) < {"cage": 0.6, "bundled": 0.15}.get(style, 0.3)
    lengthwise = cells.angle[cell] + np.pi * rng.integers(2, size=len(y)) + rng.normal(0, 0.45, len(y))
    angle = np.where(tangential, around + np.pi / 2 + rng.normal(0, 0.25, len(y)), lengthwise)
    tracks = walk(rng, scene, y, x, cell, angle, 18, rng.uniform(0.12, 0.2), 0.9)
    group = np.repeat(np.arange(len(y)), rng.integers(1, bundle + 1, len(y)))
    aside = rng.normal(0, 0.3, (len(group), 1, 2)) + np.cumsum(rng.normal(0, 0.07, (len(group), 19, 2)), 1)
    weight = levels[cell][group] * rng.gamma(1.5, 1 / 1.5, len(group))
    return scene.canvas.threads(tracks[group] + aside, rng.uniform(0.08, 0.14), weight)


def _net(scene: Scene, rng: np.random.Generator, mesh: float) -> Image:
    """Return a net of thin lines, about 1 on them, around holes of two sizes in µm."""
    canvas = scene.canvas
    coarse, fine = (np.exp(-2.5 * np.abs(canvas.noise(rng, width))) for width in (mesh, 0.5 * mesh))
    return np.asarray(0.6 * coarse + 0.5 * fine, np.float32)


@pattern(12, "fibres", "fibres", "edge", "mesh")
def actin(scene: Scene, rng: np.random.Generator, style: str, levels: Levels) -> Image:
    """Stress fibres across the cell, also over the nucleus; cables along free edges; or a fine mesh at the cortex."""
    own = scene.spread(levels) * (scene.owner > 0)
    count = rng.uniform(20, 70) if style == "fibres" else rng.uniform(5, 25)
    fibres = unit(_stress_fibres(scene, rng, levels, count)) * (1 - rng.uniform(0.2, 0.6) * scene.hidden)
    cables = unit(_edge_cables(scene, rng, levels, rng.uniform(4, 12)))
    strength = rng.uniform(0.3, 1.0) if style == "fibres" else 1.0
    light = fibres / (1 + 0.2 * fibres) + strength * cables / (1 + 0.3 * cables)
    cortex = np.exp(-0.5 * (scene.depth / 0.25) ** 2) * np.clip(0.6 + 0.7 * scene.canvas.noise(rng, 7), 0, 2)
    light = light + rng.uniform(0.05, 0.35) * own * cortex
    if style == "mesh":
        under = 0.3 + np.exp(-scene.depth / rng.uniform(2, 6))
        light = light + rng.uniform(0.2, 0.5) * own * _net(scene, rng, rng.uniform(0.45, 0.7)) * under * scene.body**0.5
    return unit(light) + soft_haze(scene, rng, levels, 0.1, 0.5)


def _edge_cables(scene: Scene, rng: np.random.Generator, levels: Levels, count: float) -> Image:
    """Return bundles of fibres along stretches of the free edge, as arcs within 2 µm of it."""
    rim = np.exp(-scene.depth / 0.8) * (scene.depth > 0.2) * (scene.contact > 1)
    rim = rim * np.exp(scene.canvas.noise(rng, 12))
    y, x, cell = scene.sample(rng, rim.astype(np.float32), numbers(scene, rng, count, 0.4))
    angle = scene.inward(y, x, 1.0) + np.pi / 2 * rng.choice([-1, 1], len(y))
    tracks = walk(rng, scene, y, x, cell, angle, int(rng.integers(16, 32)), 0.04, 0.9)
    for _ in range(6):
        tracks = (tracks[:, :-1] + tracks[:, 1:]) / 2
    group = np.repeat(np.arange(len(y)), rng.integers(2, 6, len(y)))
    tracks = tracks[group] + rng.normal(0, 0.35, (len(group), 1, 2))
    profile = np.sin(np.pi * (np.arange(tracks.shape[1] - 1) + 0.5) / (tracks.shape[1] - 1))
    weight = (levels[cell][group] * rng.gamma(1.5, 1 / 1.5, len(group)))[:, None] * profile
    return scene.canvas.threads(tracks, rng.uniform(0.12, 0.2), weight)


def _stress_fibres(scene: Scene, rng: np.random.Generator, levels: Levels, count: float) -> Image:
    """Return bundles of nearly straight fibres, parallel within domains of some 20 µm, that end at the cell's edge."""
    canvas, cells = scene.canvas, scene.cells
    y, x, cell = scene.sample(rng, (scene.owner > 0).astype(np.float32), numbers(scene, rng, count / 3, 0.4))
    group = np.repeat(np.arange(len(y)), rng.integers(1, 5, len(y)))
    domain = scene.at(canvas.noise(rng, 22), y, x) * rng.uniform(0.05, 0.35)
    lean = (cells.angle[cell] + domain)[group] + rng.normal(0, 0.06, len(group))
    aside = rng.normal(0, 1.6, len(group))
    cell = cell[group]
    share = np.linspace(-0.5, 0.5, 25)
    length = np.clip(rng.gamma(2.5, 8, len(y)), 5, 60)[group] * rng.uniform(0.6, 1.2, len(group))
    bend = rng.normal(0, 0.04, len(y))[group]
    along = share * length[:, None]
    across = aside[:, None] + bend[:, None] * (share**2 - 0.08) * length[:, None]
    sine, cosine = np.sin(lean)[:, None], np.cos(lean)[:, None]
    ty, tx = y[group][:, None] + along * sine + across * cosine, x[group][:, None] + along * cosine - across * sine
    own = scene.at(scene.owner, ty, tx) == (cell + 1)[:, None]
    profile = 1 - np.abs(2 * share[1:] - 0.04) ** 4
    weight = (levels[cell] * rng.gamma(1.0, 1.0, len(cell)))[:, None] * (own[:, 1:] & own[:, :-1]) * profile
    return canvas.threads(np.stack([ty, tx], -1).astype(np.float32), rng.uniform(0.12, 0.22), weight)


@pattern(14, "strands", "fine")
def microtubules(scene: Scene, rng: np.random.Generator, style: str, levels: Levels) -> Image:
    """Thin strands through the cell from the organising centre; the spindle in dividing cells."""
    lines = tubules(rng, scene, over_nucleus=rng.uniform(0.1, 0.5))
    level = scene.spread(levels)
    free = 0.2 * (1 if style == "strands" else 2)
    lines = lines + 0.5 * spindles(rng, scene)
    return unit(np.asarray(level * lines, np.float32)) + soft_haze(scene, rng, levels, 0.02, free)


@pattern(15, "comets")
def microtubule_ends(scene: Scene, rng: np.random.Generator, style: str, levels: Levels) -> Image:
    """Short dashes at the outermost tips, along the growth."""
    tracks, cell = scene.microtubules, scene.microtubule_cell
    tip = tracks[:, -1]
    moved = np.hypot(*(tracks[:, 1:] - tracks[:, :-1]).transpose(2, 0, 1)) > 0.1
    last = moved.shape[1] - 1 - np.argmax(moved[:, ::-1], axis=1)
    rows = np.arange(len(tracks))
    way = tip - tracks[rows, last]
    away = scene.at(scene.beyond, tip[:, 0], tip[:, 1])
    deep = scene.at(scene.depth, tip[:, 0], tip[:, 1])
    outer = (away > 0.45 * scene.cells.nucleus_radius[cell]) & (deep < 5)
    length = rng.uniform(1, 2.2, len(tip))
    weight = levels[cell] * outer * rng.gamma(4, 0.25, len(tip))
    angle = np.arctan2(way[:, 0], way[:, 1])
    dashes = scene.canvas.discs(
        tip[:, 0], tip[:, 1], np.sqrt(length * 0.35) / 2, weight, stretch=length / 0.35, angle=angle
    )
    faint = rng.uniform(0.0, 0.2) * unit(tubules(rng, scene, over_nucleus=0.2) * scene.spread(levels))
    return unit(scene.canvas.blur(dashes, 0.1)) + faint + soft_haze(scene, rng, levels, 0.03, 0.2)
