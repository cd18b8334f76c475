"""Figures of a field that move when the microscope does: what drift is told by."""

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from lociscope.channels import CHANNEL_NAMES
from lociscope.images.quality import Measures, measure
from lociscope.images.scale import full_scale, percentiles

if TYPE_CHECKING:
    from collections.abc import Sequence

GREY_LEVELS = 255
"""Intensities are in levels of which full scale has this many, whatever the bit depth."""

INTENSITIES = {"BackgroundIntensity": 1.0, "MedianIntensity": 50.0, "BrightIntensity": 99.0}
"""Which percentile of a channel each is."""

_PAIRS = tuple(combinations(range(len(CHANNEL_NAMES)), 2))
_MOST = 128
_LEAST_SIDE = 16

PER_CHANNEL = (*INTENSITIES, *Measures._fields)
"""What is measured of each channel.

Of the pixels as they come: the 1st, 50th and 99th percentile, in grey levels 0–255 (gain, offset, exposure,
staining). At the scale of the network's input: `lociscope.images.quality.Measures` (saturation, focus, noise, and
how well the channel parts into dark and bright). CellProfiler's names where it has the figure.
"""

STATISTICS: tuple[str, ...] = (
    *(f"{name}_{channel}" for channel in CHANNEL_NAMES for name in PER_CHANNEL),
    *(f"Correlation_{CHANNEL_NAMES[one]}_{CHANNEL_NAMES[two]}" for one, two in _PAIRS),
)
"""Names of a field's statistics, in order; another list is another schema of the log and of `reference.npz`."""


def measures_of(pixels: np.ndarray) -> list[Measures]:
    """Measures each channel of a network's input.

    Args:
        pixels: (height, width, 4) of uint8.

    Returns:
        The figures of each; zeros where the input is smaller than 16 px.
    """
    if min(pixels.shape[:2]) < _LEAST_SIDE:
        return [Measures(0.0, 0.0, 0.0, 0.0)] * pixels.shape[-1]
    return [measure(pixels[..., number]) for number in range(pixels.shape[-1])]


def statistics_of(pixels: np.ndarray, seen: np.ndarray, measures: "Sequence[Measures] | None" = None) -> np.ndarray:
    """Measures a field.

    Intensities are those of about 128 × 128 pixels spread evenly over the field: percentiles of more cost
    time and say no more.

    Args:
        pixels: (y, x, 4), RGBY, as they come from the file.
        seen: (height, width, 4) of uint8, what the network sees; of a field of several tiles, the first.
        measures: What `measures_of(seen)` gave, if it is known.

    Returns:
        (k,) float32, finite, in the order of `STATISTICS`. A channel without any contrast has the correlation 0.
    """
    step = [max(1, side // _MOST) for side in pixels.shape[:2]]
    some = pixels[:: step[0], :: step[1]].reshape(-1, pixels.shape[-1])
    levels = percentiles(some, tuple(INTENSITIES.values())) * (GREY_LEVELS / full_scale(pixels))
    figures = measures_of(seen) if measures is None else measures
    channels = [value for number, those in enumerate(figures) for value in (*levels[:, number], *those)]
    return np.array([*channels, *_correlations(seen)], np.float32)


def _correlations(seen: np.ndarray) -> list[float]:
    """Pearson's correlation of each two channels, pixel by pixel."""
    values = np.ascontiguousarray(seen.reshape(-1, seen.shape[-1]).T, np.float32)
    values -= values.mean(axis=1, keepdims=True)
    products = values @ values.T
    spread = np.sqrt(np.diag(products))
    return [
        float(products[one, two] / (spread[one] * spread[two])) if spread[one] * spread[two] > 0 else 0.0
        for one, two in _PAIRS
    ]
