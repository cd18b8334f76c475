"""Render fields as pictures for people."""

from __future__ import annotations

import numpy as np

from lociscope.artifacts.card import InputSpec
from lociscope.channels import BLUE, CHANNELS, GREEN, RED
from lociscope.images.preprocess import prepare

DEFAULT_CHANNELS = (RED, GREEN, BLUE)
"""The channels of HPA's composites: microtubules red, protein green, nucleus blue."""


def render_composite(pixels: np.ndarray, size: int, shown: tuple[int, ...] = DEFAULT_CHANNELS) -> np.ndarray:
    """Render channels in their colours on top of each other, each scaled by its own percentiles.

    Args:
        pixels: (y, x, 4), RGBY.
        size: Side of the picture in px, 8–4096; a field that is not square is resized to a square.
        shown: Indices of the channels to render.

    Returns:
        (size, size, 3) of uint8, RGB.
    """
    spec = InputSpec(height=size, width=size, low=1.0, high=99.8)
    planes = prepare(pixels, spec)[..., list(shown)].astype(np.float32)
    colours = np.array([CHANNELS[channel].colour for channel in shown], np.float32)
    rendered: np.ndarray = np.clip(planes @ colours, 0, 255)
    return rendered.astype(np.uint8)
