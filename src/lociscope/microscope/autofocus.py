"""Image-based autofocus: image a reference channel at several heights, and find the sharpest between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

COARSE, FINE = 9, 4
"""Images over the whole range, and between the neighbours of the sharpest of them."""
FOCUS_IMAGES = COARSE + FINE
"""Most images that finding a focus takes."""
MIN_GAIN = 1.1
"""Least ratio between the sharpest and the least sharp image: with less there is nothing to focus on."""


def measure_sharpness(image: np.ndarray) -> float:
    """Return how sharp an image (y, x) is, for comparison with others of the same field.

    This is Brenner's measure, the mean squared difference of pixels two apart, along both axes, divided by the squared
    mean, so that bleaching and a flickering lamp matter little.
    """
    pixels = np.asarray(image, np.float32)
    pixels = pixels - pixels.min()
    mean = float(pixels.mean())
    if mean <= 0:
        return 0.0
    down, across = pixels[2:] - pixels[:-2], pixels[:, 2:] - pixels[:, :-2]
    return float((np.square(down).mean() + np.square(across).mean()) / mean**2)


def find_sharpest(measure: Callable[[float], float], centre: float, reach: float) -> float | None:
    """Return the height at which a measure is largest.

    Args:
        measure: Returns the sharpness at a height in µm; it is called at most `FOCUS_IMAGES` times.
        centre: Height in the middle, µm.
        reach: Distance to either end, µm.

    Returns:
        The height in µm; None if sharpness has no maximum inside: nothing to focus on, or focus is further away.
    """
    heights = list(np.linspace(centre - reach, centre + reach, COARSE))
    values = [measure(float(height)) for height in heights]
    best = int(np.argmax(values))
    if best in (0, COARSE - 1) or max(values) < MIN_GAIN * max(min(values), 1e-12):
        return None
    fine = np.linspace(heights[best - 1], heights[best + 1], FINE + 3)[1:-1]
    for height in fine:
        if not np.isclose(height, heights[best]):
            heights.append(float(height))
            values.append(measure(float(height)))
    return _fit_peak(np.array(heights), np.array(values), 2 * reach / (COARSE - 1))


def _fit_peak(heights: np.ndarray, values: np.ndarray, step: float) -> float:
    """Return the vertex of a parabola through the logarithms of the values within a coarse step of the largest."""
    top = heights[int(np.argmax(values))]
    near = np.abs(heights - top) <= step * 1.01
    x, y = heights[near] - top, np.log(np.maximum(values[near], 1e-12))
    a, b, _ = np.polyfit(x, y, 2)
    return float(top + np.clip(-b / (2 * a), -step, step)) if a < 0 else float(top)
