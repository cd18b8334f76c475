"""Render fields as pictures for people."""

from __future__ import annotations

import numpy as np

from lociscope.artifacts.card import InputSpec
from lociscope.channels import BLUE, CHANNELS, GREEN, RED
from lociscope.images.preprocess import prepare

DEFAULT_CHANNELS = (RED, GREEN, BLUE)
"""The channels of HPA's composites: microtubules red, protein green, nucleus blue."""


HPA_COLOURS = tuple(channel.colour for channel in CHANNELS)
SAFE_COLOURS = ((1.0, 0.0, 1.0), (0.0, 1.0, 0.0), (0.25, 0.45, 1.0), (1.0, 0.6, 0.0))
"""Colours of the four channels that readers with a colour vision deficiency can distinguish: microtubules magenta,
protein green (magenta and green make white), nucleus light blue, ER orange."""


def render_planes(pixels: np.ndarray, size: int) -> np.ndarray:
    """Render the four channels in grey, each scaled by its own percentiles.

    Args:
        pixels: (y, x, 4), RGBY.
        size: Side of the pictures in px, 8–4096.

    Returns:
        (size, size, 4) of uint8.
    """
    return prepare(pixels, InputSpec(height=size, width=size, low=1.0, high=99.8))


def render_composite(
    pixels: np.ndarray,
    size: int,
    shown: tuple[int, ...] = DEFAULT_CHANNELS,
    colours: tuple[tuple[float, float, float], ...] = HPA_COLOURS,
) -> np.ndarray:
    """Render channels in their colours on top of each other, each scaled by its own percentiles.

    Args:
        pixels: (y, x, 4), RGBY.
        size: Side of the picture in px, 8–4096; a field that is not square is resized to a square.
        shown: Indices of the channels to render.
        colours: The colour of each of the four channels, RGB weights in 0–1; HPA's by default.

    Returns:
        (size, size, 3) of uint8, RGB.
    """
    planes = render_planes(pixels, size)[..., list(shown)].astype(np.float32)
    weights = np.array([colours[channel] for channel in shown], np.float32)
    rendered: np.ndarray = np.clip(planes @ weights, 0, 255)
    return rendered.astype(np.uint8)
