"""A field at the two scales of its measures, and means over the zones of its cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lociscope.channels import GREEN, RED
from lociscope.images.scale import percentiles
from lociscope.images.segmentation.cells import estimate_percentiles
from lociscope.images.segmentation.compartments import Compartments, Zone

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FAINT = 0.004
"""Added to the numerator and denominator of every ratio of levels: one grey level of 255, as a share of full scale."""
MIN_PIXELS = 6
"""Minimum number of coarse pixels of a zone of a cell; smaller zones are not measured."""
SCALES = (0.32, 0.64, 1.28, 2.56)
"""Standard deviations in µm that separate the bands of structure."""


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """A field at the two scales of its measures; the background of green is subtracted.

    Attributes:
        pixel: Side of a fine pixel in µm.
        step: Number of fine pixels along a side of a coarse one.
        has: Whether each of the four stains is present.
        green: (y, x) fine, smoothed by `SCALES[0]`.
        coarse: (4, y / step, x / step) means over blocks.
        smooth: The same, smoothed by `SCALES[1]`.
        wide: The same, smoothed by `SCALES[2]`.
        turns: Fine gradients' products of red and green, means over blocks: (2, 3, y / step, x / step).
        finest: Mean square below `SCALES[0]`, over blocks.
        saturated: Share of fine green pixels at full scale.
        brightest: 99.9th percentile of green, less the background.
    """

    pixel: float
    step: int
    has: tuple[bool, ...]
    green: np.ndarray
    coarse: np.ndarray
    smooth: np.ndarray
    wide: np.ndarray
    turns: np.ndarray
    finest: np.ndarray
    saturated: float
    brightest: float

    @classmethod
    def of(cls, fine: np.ndarray, coarse: np.ndarray, pixel: float, step: int, zones: Compartments) -> Stack:
        """Make the stack of a field, in shares of full scale."""
        coarse = np.moveaxis(coarse, -1, 0).copy()
        has = tuple(float(np.ptp(estimate_percentiles(plane, (0.5, 99.5)))) > 0.012 for plane in coarse)
        ground = estimate_background(coarse[GREEN], zones)
        raw = np.ascontiguousarray(fine[..., GREEN])
        green = gaussian_blur(raw, SCALES[0] / pixel)
        finest = block_means((raw - green) ** 2, step)
        red = gaussian_blur(np.ascontiguousarray(fine[..., RED]), SCALES[0] / pixel)
        turns = np.stack([_structure_tensor(red, step), _structure_tensor(green, step)])
        coarse[GREEN] -= ground
        smooth, wide = np.empty_like(coarse), np.empty_like(coarse)
        for sigma, blurred in zip(SCALES[1:3], (smooth, wide), strict=True):
            for plane, target in zip(coarse, blurred, strict=True):
                gaussian_blur(plane, sigma / (pixel * step), target)
        rank = max(1, raw.size // 1000)
        brightest = float(np.partition(raw.ravel(), -rank)[-rank]) - float(ground)
        saturated = float((raw >= 0.999).mean())
        return cls(pixel, step, has, green - ground, coarse, smooth, wide, turns, finest, saturated, brightest)


def estimate_background(green: np.ndarray, zones: Compartments) -> np.float32:
    """Estimate green's background: a low percentile outside the cells, or of all pixels if cells fill the field."""
    outside = green[zones.cells == 0]
    values, at = (outside, 20) if outside.size > 0.02 * green.size else (green.ravel(), 0.5)
    return np.float32(percentiles(values, (at,))[0])


def gaussian_blur(image: np.ndarray, sigma: float, out: np.ndarray | None = None) -> np.ndarray:
    """Return a Gaussian blur as float32, truncated at 3 standard deviations, in `out` if it is given."""
    from scipy.ndimage import gaussian_filter

    blurred = np.empty(image.shape, np.float32) if out is None else out
    gaussian_filter(image, sigma, truncate=3.0, output=blurred)
    return blurred


def block_means(image: np.ndarray, step: int) -> np.ndarray:
    """Return means over blocks of step × step pixels."""
    if step == 1:
        return image
    rows = sum((image[i::step] for i in range(1, step)), image[::step].copy())
    return np.asarray(sum((rows[:, i::step] for i in range(1, step)), rows[:, ::step].copy()) / np.float32(step**2))


def _structure_tensor(image: np.ndarray, step: int) -> np.ndarray:
    """Return the three products of the structure tensor, as means over blocks."""
    y, x = np.gradient(image)
    return np.stack([block_means(product, step) for product in (y * y, x * x, y * x)])


def log_ratio(part: Any, whole: Any) -> Any:  # noqa: ANN401 - numbers in, numbers out
    """Return log2 of a ratio of levels, which may be 0 or, because of noise, negative."""
    return np.log2((np.maximum(part, 0) + FAINT) / (np.maximum(whole, 0) + FAINT))


class Means:
    """Means of coarse images by cell; pixels are sorted by region only once.

    Args:
        zones: The n cells.

    Attributes:
        counts: (zones, n) number of coarse pixels.
    """

    def __init__(self, zones: Compartments) -> None:
        self.n = len(zones)
        size = len(Zone) * (self.n + 1)
        regions = zones.regions.astype(np.uint16 if size <= np.iinfo(np.uint16).max else np.uint32)
        counts = np.bincount(regions, minlength=size)
        outside = int(counts[: self.n + 1].sum())
        self._order = np.argsort(regions, kind="stable")[outside:]
        inside = counts[self.n + 1 :]
        self._present = np.flatnonzero(inside) + self.n + 1
        self._starts = (np.cumsum(inside) - inside)[inside > 0]
        self.counts = counts.reshape(len(Zone), -1)[:, 1:].astype(np.float64)

    def gather(self, image: np.ndarray) -> np.ndarray:
        """Return the pixels (m,) of a coarse image that belong to a cell, which `over` takes in place of the image."""
        return np.take(image, self._order)

    def _sums(self, image: np.ndarray) -> NDArray[np.float64]:
        values = image if image.ndim == 1 else self.gather(image)
        total = np.zeros(len(Zone) * (self.n + 1))
        if len(values):
            total[self._present] = np.add.reduceat(values, self._starts, dtype=np.float64)
        return total.reshape(len(Zone), -1)[:, 1:]

    def by_zone(self, image: np.ndarray) -> NDArray[np.float64]:
        """Return means (zones, n); NaN where a zone of a cell has too few pixels."""
        return np.where(self.counts >= MIN_PIXELS, self._sums(image) / np.maximum(self.counts, 1), np.nan)

    def over(self, image: np.ndarray, *sides: Sequence[Zone]) -> list[NDArray[np.float64]]:
        """Return means (n,) over each of several unions of zones; NaN where a cell has too few pixels of them."""
        total = self._sums(image)
        found = []
        for side in sides:
            count = self.counts[list(side)].sum(axis=0)
            mean = total[list(side)].sum(axis=0) / np.maximum(count, 1)
            found.append(np.where(count >= MIN_PIXELS, mean, np.nan))
        return found


CELL_ZONES = tuple(Zone)[1:]
"""Every zone of a cell."""


def correlate(means: Means, one: np.ndarray, other: np.ndarray, *sides: Sequence[Zone]) -> list[NDArray[np.float64]]:
    """Return Pearson's correlations (n,) of two coarse images over each of several unions of zones."""
    one, other = (image if image.ndim == 1 else means.gather(image) for image in (one, other))
    x, y, xx, yy, xy = (means.over(image, *sides) for image in (one, other, one * one, other * other, one * other))
    found = []
    for i in range(len(sides)):
        spread = np.maximum(xx[i] - x[i] ** 2, 0) * np.maximum(yy[i] - y[i] ** 2, 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            found.append(np.where(spread > 1e-16, (xy[i] - x[i] * y[i]) / np.sqrt(spread), np.nan))
    return found
