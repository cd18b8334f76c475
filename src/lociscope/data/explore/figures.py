"""Summarize the pixels of fields: quantiles of their statistics, sizes and types."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lociscope.channels import CHANNEL_NAMES
from lociscope.data.explore.comparison import stack_statistics
from lociscope.images.statistics import STATISTICS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lociscope.channels import ChannelName
    from lociscope.data.explore.inspect import InspectedField

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
MEASURES = ("BackgroundIntensity", "MedianIntensity", "BrightIntensity", "PercentClipped", "PowerLogLogSlope")
"""Statistics of a channel that a page shows; `PercentClipped` is `InspectedField.clipped`."""


class PixelSummary(NamedTuple):
    """The pixels of n fields.

    Attributes:
        quantiles: By measure and channel, its `QUANTILES`.
        sizes: Height, width and type of the pixels, with the number of fields, most frequent first.
    """

    quantiles: dict[str, dict[ChannelName, tuple[float, ...]]]
    sizes: list[tuple[int, int, str, int]]


def summarize_pixels(fields: Sequence[InspectedField]) -> PixelSummary | None:
    """Summarize the pixels of fields; None where there are none."""
    if not fields:
        return None
    statistics, clipped = stack_statistics(fields), np.stack([field.clipped for field in fields])

    def values(measure: str, number: int) -> np.ndarray:
        if measure == "PercentClipped":
            return clipped[:, number]
        return statistics[:, STATISTICS.index(f"{measure}_{CHANNEL_NAMES[number]}")]

    quantiles = {
        measure: {
            name: tuple(np.quantile(values(measure, number), QUANTILES).tolist())
            for number, name in enumerate(CHANNEL_NAMES)
        }
        for measure in MEASURES
    }
    sizes = Counter((*field.shape, field.kind) for field in fields)
    return PixelSummary(quantiles, [(*size, count) for size, count in sizes.most_common()])
