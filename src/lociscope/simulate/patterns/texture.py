"""What patterns share: the grain of a stain, weak light behind a location, numbers and densities of dots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lociscope.simulate.patterns.registry import Levels, beside

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lociscope.simulate.canvas import Image
    from lociscope.simulate.scene import Scene

TYPICAL_AREA = 700.0
"""Area in µm² of the flat cells in which dots are counted; larger cells have more."""


def grain(scene: Scene, rng: np.random.Generator, contrast: float) -> Image:
    """Return the grain of a stain, of mean 1, with a similar contrast at 0.2, 0.4 and 0.9 µm, as real cytosol has it.

    The finest grains are smaller than a pixel of a 512 px field, and are averaged there.

    Args:
        scene: The cells.
        rng: Source of randomness.
        contrast: Standard deviation of each scale, 0.06 for a smooth stain and 0.25 for a granular one.
    """
    noise = scene.canvas.noise
    texture = 1.3 * noise(rng, 0.2) + noise(rng, 0.42) + np.float32(0.6) * noise(rng, 0.9)
    return np.asarray(np.clip(1 + np.float32(contrast) * texture, 0.05, None))


def numbers(scene: Scene, rng: np.random.Generator, mean: float, spread: float = 0.25) -> Levels:
    """Return the number of dots of each cell, by its area."""
    area = np.pi * scene.cells.long * scene.cells.wide
    return np.asarray(mean * (area / TYPICAL_AREA) ** 0.8 * np.exp(rng.normal(0, spread, len(area))))


def nearness(scene: Scene, distance: float) -> Image:
    """Return a density of dots in the cytoplasm that falls off from the nucleus over a distance in µm."""
    over = 0.12 * scene.nucleus
    return np.asarray(
        (scene.cytoplasm + over) * scene.body**0.5 * scene.along**0.5 * np.exp(-np.maximum(scene.beyond, 0) / distance)
    )


def soft_haze(scene: Scene, rng: np.random.Generator, levels: Levels, low: float, high: float) -> Image:
    """Return weak light of the whole cell behind a location, of a strength between two, more often weak."""
    strength = np.float32(low + (high - low) * rng.random() ** 2)
    return np.asarray(strength * scene.spread(beside(levels)) * background(scene, rng))


def background(scene: Scene, rng: np.random.Generator) -> Image:
    """Return what an antibody leaves all over a cell, at most about 1: finely grained, smooth, thin at the edges.

    The nucleus may be as bright as the cytoplasm, or nearly dark.
    """
    inside = rng.uniform(0.25, 1.0) * scene.hidden * (1 - 0.3 * scene.nucleoli)
    fade = 1 / (1 + np.square(np.maximum(scene.beyond, 0) / rng.uniform(14, 45)))
    room = scene.filling ** rng.uniform(0.1, 0.4)
    texture = grain(scene, rng, rng.uniform(0.06, 0.22))
    return np.asarray((1 - scene.hidden + inside) * scene.body ** rng.uniform(1, 2) * fade * room * texture)


def follow_microtubules(
    scene: Scene, rng: np.random.Generator, density: Image, counts: Levels, steps: int, wiggle: float
) -> tuple[Image, NDArray[np.intp]]:
    """Return wavy threads that follow microtubules.

    Args:
        scene: The cells.
        rng: Source of randomness.
        density: How likely a thread starts at a pixel, within its cell.
        counts: How many threads each cell (n,) has.
        steps: Length of a thread in steps of a microtubule, about 1.1 µm.
        wiggle: How far the threads swing from the microtubule, µm.

    Returns:
        Tracks (m, 3 · steps + 1, 2) in µm, and the row of the cell of each.
    """
    tracks, cell = scene.microtubules, scene.microtubule_cell
    steps = min(steps, tracks.shape[1] - 1)
    starts = tracks.shape[1] - steps
    y, x = tracks[:, :starts, 0], tracks[:, :starts, 1]
    extent = scene.canvas.extent
    within = (y >= 0) & (y < extent) & (x >= 0) & (x < extent)
    moving = np.hypot(*np.moveaxis(tracks[:, steps:] - tracks[:, :starts], -1, 0)) > 0.5 * steps
    rate = np.where(within & moving, scene.at(density, y, x), 0)
    row, rows = np.repeat(cell, starts), len(scene.cells)
    total, shown, points = (np.bincount(row, each.ravel(), rows) for each in (rate, within, np.ones_like(rate)))
    edge = np.cumsum(rate.ravel() * (counts * shown / np.maximum(total * points, 1e-9))[row])
    number = int(rng.poisson(edge[-1])) if len(edge) else 0
    chosen = np.searchsorted(edge, rng.random(number) * edge[-1]).clip(0, len(edge) - 1) if number else np.zeros(0, int)
    track, start = chosen // starts, chosen % starts
    at = np.arange(3 * steps + 1) / 3
    low = np.minimum(at.astype(int), steps - 1)
    part = (at - low)[:, None]
    corners = tracks[track[:, None], start[:, None] + np.arange(steps + 1)]
    threads = corners[:, low] * (1 - part) + corners[:, low + 1] * part
    wave = rng.uniform(0, 2 * np.pi, (number, 1, 2)) + at[:, None] * rng.uniform(1.5, 4.5, (number, 1, 2))
    threads = threads + wiggle * (np.sin(wave) + rng.normal(0, 0.7, (number, 1, 2)))
    return threads.astype(np.float32), cell[track]
