"""Statistics of a field for drift detection: they change when the microscope changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lociscope.channels import CHANNEL_NAMES
from lociscope.images.quality import PAIRS, InputMeasures, Measures
from lociscope.images.scale import percentiles_of_sorted

if TYPE_CHECKING:
    from lociscope.images.preprocess import Preprocessed

GREY_LEVELS = 255
"""Intensities are given in levels of a full scale of 255, for every bit depth."""

FULL_SCALES = (255, 1023, 4095, 16383, 65535)
"""Largest values of the bit depths of cameras; the field's bright end reveals 12 bits in a 16-bit file."""

INTENSITIES = {"BackgroundIntensity": 1.0, "MedianIntensity": 50.0, "BrightIntensity": 99.0}
"""The percentile of a channel that each statistic is."""

_TOP = 99.9

PER_CHANNEL = (*INTENSITIES, *Measures.NAMES)
"""Names of the statistics of each channel.

Of the pixels in the file: the 1st, 50th and 99th percentile, in grey levels 0–255 (gain, offset, exposure, staining).
Of the network's input: `lociscope.images.quality.Measures` (saturation, focus, noise, and how well a threshold
separates dark from bright). Statistics that CellProfiler has are named as there.
"""

STATISTICS: tuple[str, ...] = (
    *(f"{name}_{channel}" for channel in CHANNEL_NAMES for name in PER_CHANNEL),
    *(f"Correlation_{CHANNEL_NAMES[one]}_{CHANNEL_NAMES[two]}" for one, two in PAIRS),
)
"""Names of a field's statistics, in order. A change changes the schemas of the log and of `reference.npz`."""


def compute_statistics(whole: Preprocessed, measures: InputMeasures) -> np.ndarray:
    """Return the statistics of a field.

    Args:
        whole: The preprocessed field.
        measures: The measures of the network's input; for a field of several tiles, of the first.

    Returns:
        (k,) float32, finite, in the order of `STATISTICS`.
    """
    levels = percentiles_of_sorted(whole.sample, tuple(INTENSITIES.values())) * (
        GREY_LEVELS / estimate_full_scale(whole.sample)
    )
    channels = [value for number, those in enumerate(measures.planes) for value in (*levels[:, number], *those)]
    return np.array([*channels, *measures.correlations], np.float32)


def estimate_full_scale(sample: np.ndarray) -> float:
    """Estimate the largest value of the camera from the type and the bright end of the pixels.

    Only statistics for drift depend on it, never a prediction or a warning.

    Args:
        sample: (c, n), values of each channel, sorted.

    Returns:
        255 for 8 bits; for 16 bits the smallest of `FULL_SCALES` that is not below the 99.9th percentile of the
        brightest channel; 1 for floats up to 1; for other floats as for integers.
    """
    if sample.dtype == np.uint8:
        return 255.0
    top = float(percentiles_of_sorted(sample, (_TOP,)).max(initial=0))
    if sample.dtype.kind == "f" and top <= 1:
        return 1.0
    return float(next((scale for scale in FULL_SCALES if top <= scale), top))
