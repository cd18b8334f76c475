"""Effect sizes: which differences are too small to matter, however many fields prove them.

With 60,000 fields a test proves a difference of 0.4 grey levels. A statistic has moved only if its difference is
significant and above these floors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lociscope.images.quality import Measures
from lociscope.images.statistics import INTENSITIES

if TYPE_CHECKING:
    from lociscope.monitor.compare import Distance

MIN_DISTANCE = 0.1
"""Smallest difference of two cumulative distributions that matters."""

MIN_SHIFTS = {
    "BackgroundIntensity": 2.0,
    "MedianIntensity": 2.0,
    "BrightIntensity": 4.0,
    "PercentMaximal": 0.2,
    "PercentMinimal": 1.0,
    "PowerLogLogSlope": 0.05,
    "parts": 0.02,
    "Correlation": 0.03,
}
"""Smallest shift of a quartile that matters, in the unit of the statistic."""

MIN_RATE_DIFFERENCE = 0.03
"""Smallest difference of the shares of fields with a location that matters."""

MIN_MMD2 = 0.01
"""Smallest MMD² of embeddings that matters."""

GREEN_LEVELS = frozenset(f"{name}_green" for name in (*INTENSITIES, *Measures.NAMES[:2]))
"""The statistics of the protein channel's brightness. They differ between antibodies, and alone are no drift."""


def is_relevant_shift(name: str, window: np.ndarray, reference: np.ndarray, distance: Distance) -> bool:
    """Return whether a statistic differs by more than the floors.

    Args:
        name: One of `lociscope.images.statistics.STATISTICS`.
        window: The quartiles of the window, (3,).
        reference: The quartiles of the reference, (3,).
        distance: The result of Kolmogorov and Smirnov's test.
    """
    shift = float(np.max(np.abs(window - reference)))
    return distance.value >= MIN_DISTANCE and shift >= MIN_SHIFTS[name.partition("_")[0]]
