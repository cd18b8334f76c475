"""The three reference channels: microtubules (red), DNA (blue), ER (yellow)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lociscope.simulate.canvas import Image, unit
from lociscope.simulate.filaments import bridges, microtubules, spindles

if TYPE_CHECKING:
    from lociscope.simulate.scene import Scene


def red_channel(rng: np.random.Generator, scene: Scene) -> Image:
    """Render tubulin: microtubules, spindles, bridges, and free tubulin."""
    lines = microtubules(rng, scene, over_nucleus=0.02 + 0.3 * rng.random() ** 2)
    expression = scene.spread(np.exp(rng.normal(0, 0.2, len(scene.cells))))
    free = rng.uniform(0.0, 0.12) * scene.body * scene.filling * (1 - 0.7 * scene.hidden)
    dividing = 1.6 * unit(spindles(rng, scene)) + 0.25 * scene.body * (scene.spread(scene.cells.mitotic))
    growing = (0.6 * lines + free) * expression * gaps(scene)
    return np.asarray(growing + dividing + 1.5 * unit(bridges(rng, scene)))


def blue_channel(rng: np.random.Generator, scene: Scene) -> Image:
    """Render DNA: nuclei with texture and dark nucleoli; condensed chromosomes are brighter."""
    canvas = scene.canvas
    grain = np.exp(rng.uniform(0.12, 0.3) * scene.grain + 0.05 * canvas.noise(rng, 4))
    level = np.exp(rng.normal(0, 0.22, len(scene.cells)))
    dark = 1 - rng.uniform(0.45, 0.95) * canvas.blur(scene.nucleoli, 0.15)
    table = scene.speckle
    dark = dark * (1 - rng.uniform(0.0, 0.4) * np.clip(canvas.discs(*table[:, :3].T), 0, 1))
    cells = scene.cells
    blurred = rng.random(len(cells)) < rng.uniform(0, 0.4)  # nuclei whose edge is not in the slice
    level = scene.spread(level * np.where(blurred, rng.uniform(0.25, 1.1, len(cells)), 1))
    edge = scene.spread(np.where(blurred, rng.uniform(1, 2.5, len(cells)), rng.uniform(0.3, 0.9, len(cells))))
    soft = np.clip(0.5 - scene.beyond / np.maximum(edge, scene.canvas.pixel_size), 0, 1) * scene.spread(~cells.mitotic)
    lamina = rng.uniform(-0.3, 0.5) * np.exp(np.minimum(scene.beyond, 0) / 0.4)  # dense at the rim, or pale
    nuclei = soft * np.clip(grain, 0.2, 3) * dark * (1 + lamina)
    stray = 0.01 * rng.random() ** 3 * scene.body
    return np.asarray((np.maximum(nuclei, 0) + stray + 1.7 * scene.chromatin * np.clip(grain, 0.4, 2)) * level)


def yellow_channel(rng: np.random.Generator, scene: Scene) -> Image:
    """Render the ER: a net that is dense around the nucleus and thins out to the edge."""
    net = reticulum(rng, scene)
    level = scene.spread(np.exp(rng.normal(0, 0.22, len(scene.cells))))
    return np.asarray(net * level * gaps(scene))


def reticulum(rng: np.random.Generator, scene: Scene) -> Image:
    """Render the ER's net; 1 where it is dense."""
    canvas = scene.canvas
    far = np.maximum(scene.beyond, 0) / np.float32(scene.line.focus * rng.uniform(0.6, 1.4))
    close = np.exp(np.maximum(scene.beyond, 0) / np.float32(-1.5))
    fade = (1 - np.float32(rng.uniform(0, 0.4)) * close) / (1 + far ** rng.uniform(2, 4))
    patches = np.clip(1 + 0.2 * canvas.noise(rng, 7), 0.2, 2)
    rim = rng.uniform(0, 0.12) * np.exp(-((scene.beyond / 0.4) ** 2))
    within = rng.uniform(0.06, 0.55) * scene.mesh * scene.hidden
    spindle = scene.spread(scene.cells.mitotic) * np.exp(-np.maximum(scene.beyond, 0) / 2)
    mesh = scene.mesh * patches * scene.filling * scene.along ** rng.uniform(0.1, 0.35)
    thick = scene.body ** rng.uniform(1.1, 1.9)
    cytoplasm = scene.cytoplasm * thick * (rng.uniform(0.1, 0.6) + fade) * mesh * (1 - 0.7 * spindle)
    return np.asarray(cytoplasm + rim * scene.body * (1 - spindle) + within, np.float32)


def gaps(scene: Scene) -> Image:
    """Return 0 within aggresomes and lipid droplets, which exclude other structures, and 1 elsewhere."""
    table = np.concatenate([scene.inclusion, scene.droplet])
    return 1 - 0.8 * np.clip(scene.canvas.discs(*table[:, :3].T), 0, 1)
