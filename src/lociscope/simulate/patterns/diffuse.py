"""Locations that fill the cytoplasm: ER (6), cytosol (25)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lociscope.simulate.canvas import Image, unit
from lociscope.simulate.patterns.registry import Levels, pattern
from lociscope.simulate.patterns.texture import grain
from lociscope.simulate.reference import gaps, reticulum

if TYPE_CHECKING:
    from lociscope.simulate.scene import Scene


@pattern(6, "net", "sheets", cover=True)
def endoplasmic_reticulum(scene: Scene, rng: np.random.Generator, style: str, levels: Levels) -> Image:
    """A net that is dense around the nucleus and thins out to the edge, with a faint nuclear rim."""
    net = reticulum(rng, scene)
    if style == "sheets":
        net = net * np.clip(1 + 0.5 * scene.canvas.noise(rng, 3), 0.2, 3)
    return unit(np.asarray(scene.spread(levels) * net * gaps(scene), np.float32))


@pattern(25, "smooth", "granular", "central", "smooth", "granular", "vacuoles", cover=True)
def cytosol(scene: Scene, rng: np.random.Generator, style: str, levels: Levels) -> Image:
    """From the nuclear rim into tails and blebs, finely grained, often stronger near the nucleus, which is darker."""
    reach = rng.uniform(6, 12) if style == "central" else rng.uniform(15, 50)
    fade = 1 / (1 + np.square(np.maximum(scene.beyond, 0) / reach))
    within = rng.uniform(0.08, 0.65) * scene.hidden * (1 - rng.uniform(-0.3, 0.5) * scene.nucleoli)
    picture = (scene.cytoplasm * fade * (1 - 0.5 * scene.chromatin) + within) * scene.body ** rng.uniform(0.8, 1.8)
    texture = grain(scene, rng, rng.uniform(0.15, 0.35) if style == "granular" else rng.uniform(0.06, 0.18))
    picture = picture * texture * scene.filling ** rng.uniform(0.2, 0.7) * gaps(scene)
    if style == "vacuoles":
        y, x, _ = scene.sample(rng, scene.cytoplasm, rng.gamma(1.5, 14, len(scene.cells)))
        radius = np.clip(0.4 * np.exp(rng.normal(0, 0.4, len(y))), 0.25, 1.5)
        picture = picture * (1 - 0.75 * np.clip(scene.canvas.discs(y, x, radius), 0, 1))
    return unit(np.asarray(scene.spread(levels) * picture, np.float32))
