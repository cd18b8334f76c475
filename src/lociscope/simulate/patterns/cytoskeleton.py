"""Filaments: intermediate (11), actin (12), microtubules (14) and their ends (15)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lociscope.simulate.canvas import Image, unit
from lociscope.simulate.filaments import microtubules as tubules
from lociscope.simulate.filaments import spindles, walk
from lociscope.simulate.patterns.registry import Levels, pattern
from lociscope.simulate.patterns.vesicles import numbers, soft_haze

if TYPE_CHECKING:
    from lociscope.simulate.scene import Scene


@pattern(11, "whole", "cage", "bundled")
def intermediate_filaments(scene: Scene, rng: np.random.Generator, style: str, levels: Levels) -> Image:
    """Wavy tangled strands that cross: a cage around the nucleus or throughout the cell."""
    reach = {"whole": 14, "cage": 2.5, "bundled": 6}[style]
    density = scene.cytoplasm * np.exp(-np.maximum(scene.beyond, 0) / reach)
    count = {"whole": 200, "cage": 110, "bundled": 55}[style] * rng.uniform(0.6, 1.3)
    y, x, cell = scene.sample(rng, density, numbers(scene, rng, count))
    around = np.arctan2(y - scene.cells.nucleus_y[cell], x - scene.cells.nucleus_x[cell])
    angle = around + (np.pi / 2 if style == "cage" else 0) + rng.normal(0, 1.2, len(y))
    tracks = walk(rng, scene, y, x, cell, angle, 16, rng.uniform(0.25, 0.45), 1.0)
    weight = levels[cell][:, None] * rng.gamma(3, 1 / 3, (len(y), 1)) * rng.gamma(5, 0.2, (len(y), 16))
    strands = scene.canvas.strokes(tracks, weight)
    if style == "bundled":
        strands = scene.canvas.blur(strands, 0.2) * 1.4
    fade = 1 if style == "whole" else 0.2 + 0.8 * np.exp(-np.maximum(scene.beyond, 0) / (2 * reach))
    strands = strands * fade * scene.body * scene.filling * (1 - rng.uniform(0.6, 0.95) * scene.hidden)
    return unit(strands) + soft_haze(scene, rng, levels, 0.05, 0.25)


@pattern(12, "fibres", "fibres", "edge", "mesh")
def actin(scene: Scene, rng: np.random.Generator, style: str, levels: Levels) -> Image:
    """Straight parallel stress fibres, also across the nucleus; arcs at the edge; or a branched thin net."""
    canvas, cells = scene.canvas, scene.cells
    rim = np.exp(-scene.depth / 0.7) * (scene.owner > 0) * np.clip(1 + 0.6 * canvas.noise(rng, 6), 0.1, 3)
    picture = scene.spread(levels) * rim * {"fibres": 0.35, "edge": 0.9, "mesh": 0.5}[style]
    if style == "mesh":
        net = np.exp(-np.abs(canvas.noise(rng, 1.0)) * 3) * np.exp(-scene.depth / 4)
        return unit(picture + scene.spread(levels) * net * (scene.owner > 0)) + soft_haze(scene, rng, levels, 0.02, 0.2)
    count = rng.uniform(14, 32) if style == "fibres" else rng.uniform(3, 9)
    y, x, cell = scene.sample(rng, (scene.owner > 0).astype(np.float32), numbers(scene, rng, count, 0.4))
    lean = (cells.angle + rng.normal(0, 0.35, len(cells)))[cell] + rng.normal(0, 0.09, len(y))
    length = rng.uniform(6, 32, len(y))
    share = np.linspace(-0.5, 0.5, 25)
    sag = rng.normal(0, 0.03, len(y))[:, None] * (share**2 - 0.08) * length[:, None]
    along = share * length[:, None]
    sine, cosine = np.sin(lean)[:, None], np.cos(lean)[:, None]
    ty = y[:, None] + along * sine + sag * cosine
    tx = x[:, None] + along * cosine - sag * sine
    own = scene.at(scene.owner, ty, tx) == (cell + 1)[:, None]
    weight = (levels[cell] * rng.gamma(2, 0.5, len(y)))[:, None] * (own[:, 1:] & own[:, :-1])
    fibres = canvas.strokes(np.stack([ty, tx], -1).astype(np.float32), weight)
    thick = canvas.blur(fibres, rng.uniform(0.08, 0.25))
    return unit(picture + 1.3 * thick) + soft_haze(scene, rng, levels, 0.04, 0.2)


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
