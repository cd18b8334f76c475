"""A canvas measured in µm: dots, discs, strokes and noise, many at a time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.floating]
"""A picture, (size, size) of float32 wherever speed counts."""
Values = NDArray[np.floating]
"""Numbers of any shape."""

CHUNK = 1_000_000
"""Pixels that one batch of stamps may hold, so that memory does not grow with their number."""
PIXEL_VARIANCE = 1 / 12
"""Variance of a square pixel of side 1: what sampling adds to the width of a dot."""
SEEN = 0.6
"""Size in µm below which light is spread out before it is seen."""
COARSE = 1.6
"""Blurs wider than twice so many pixels are computed on a coarser grid, whose pixels fit so often into the width."""
MEAN_AND_LINE = 1 / 12 + 1 / 6
"""Variance, in coarse pixels squared, that the mean over a coarse pixel and linear interpolation add."""
SPLINE_POWER = 151 / 315
"""Variance that cubic B-spline interpolation leaves of white noise, per axis (the integral of B3²)."""


@dataclass(frozen=True, slots=True)
class Canvas:
    """A square image in which every position and length is given in µm from the upper left corner.

    Attributes:
        size: Side in pixels.
        pixel_size: Side of a pixel in µm.
    """

    size: int
    pixel_size: float

    @property
    def extent(self) -> float:
        """Side of the image in µm."""
        return self.size * self.pixel_size

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of every image of this canvas."""
        return self.size, self.size

    def blank(self) -> Image:
        """Return an image of zeros."""
        return np.zeros(self.shape, np.float32)

    def pixels(self, y: Values, x: Values) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the pixels of positions; those outside are moved to the border."""
        last = self.size - 1
        rows = np.clip((y / self.pixel_size).astype(np.intp), 0, last)
        return rows, np.clip((x / self.pixel_size).astype(np.intp), 0, last)

    def points(self, y: Values, x: Values, weight: Values) -> Image:
        """Add points, each distributed over the four pixels around it.

        Args:
            y: Positions in µm, any shape.
            x: Positions in µm.
            weight: What each point adds in all.

        Returns:
            The picture; points outside are dropped.
        """
        y, x, weight = np.broadcast_arrays(y, x, weight)
        scale, half = np.float32(1 / self.pixel_size), np.float32(0.5)
        v, u = np.ravel(y) * scale + half, np.ravel(x) * scale + half
        w = np.ravel(weight)
        inside = (v >= 0) & (v < self.size + 1) & (u >= 0) & (u < self.size + 1) & (w != 0)
        if not inside.all():
            v, u, w = v[inside], u[inside], w[inside]
        row, column = v.astype(np.int32), u.astype(np.int32)
        v, u = v - row.astype(np.float32), u - column.astype(np.float32)
        wide = self.size + 2
        flat = row.astype(np.intp) * wide + column
        lower = w * v
        upper = w - lower
        lower_right, upper_right = lower * u, upper * u
        total = np.bincount(flat, upper - upper_right, wide * wide)
        for step, share in ((1, upper_right), (wide, lower - lower_right), (wide + 1, lower_right)):
            total[step:] += np.bincount(flat, share, wide * wide)[:-step]
        return total.reshape(wide, wide)[1:-1, 1:-1].astype(np.float32)

    def dots(self, y: Values, x: Values, sigma: Values | float, weight: Values | float = 1.0) -> Image:
        """Add Gaussian dots; dots finer than a pixel are dimmer, as in a camera.

        Args:
            y: Positions (n,) in µm.
            x: Positions (n,) in µm.
            sigma: Widths in µm.
            weight: Peaks.
        """
        return self.discs(y, x, sigma, weight, gaussian=True)

    def discs(
        self,
        y: Values,
        x: Values,
        radius: Values | float,
        weight: Values | float = 1.0,
        *,
        hollow: Values | float = 0.0,
        stretch: Values | float = 1.0,
        angle: Values | float = 0.0,
        gaussian: bool = False,
    ) -> Image:
        """Add discs or ellipses with soft edges.

        Args:
            y: Positions (n,) in µm.
            x: Positions (n,) in µm.
            radius: Radius in µm (of a circle of equal area where stretched); the standard deviation where gaussian.
            weight: Height of each.
            hollow: 0 for a filled disc, 1 for a ring with an empty middle.
            stretch: Ratio of the axes.
            angle: Direction of the long axis in radians, from x towards y.
            gaussian: Draws a Gaussian in place of a disc.
        """
        columns = np.broadcast_arrays(y, x, radius, weight, hollow, stretch, angle)
        table = np.stack([np.ravel(column) for column in columns]).astype(np.float32)
        if not table.size:
            return self.blank()
        table[:3] /= self.pixel_size
        reach_of = (table[2] * (3 if gaussian else 1.2) * np.sqrt(table[5]) + 1.5).clip(2, self.size)
        total = np.zeros(self.size * self.size)
        for low, high in ((0, 4), (4, 9), (9, 20), (20, np.inf)):
            chosen = table[:, (reach_of > low) & (reach_of <= high)]
            if not chosen.shape[1]:
                continue
            reach = int(np.ceil(reach_of[(reach_of > low) & (reach_of <= high)].max()))
            step = max(1, CHUNK // (2 * reach + 1) ** 2)
            for first in range(0, chosen.shape[1], step):
                self._stamp(total, chosen[:, first : first + step], reach, gaussian)
        return total.reshape(self.shape).astype(np.float32)

    def _stamp(self, total: NDArray[np.float64], table: Image, reach: int, gaussian: bool) -> None:
        y, x, radius, weight, hollow, stretch, angle = (column[:, None, None] for column in table)
        grid = np.arange(-reach, reach + 1)
        row = np.floor(y).astype(np.intp) + grid[None, :, None]
        column = np.floor(x).astype(np.intp) + grid[None, None, :]
        dy, dx = (row + 0.5 - y).astype(np.float32), (column + 0.5 - x).astype(np.float32)
        long = dx * np.cos(angle) + dy * np.sin(angle)
        wide = dy * np.cos(angle) - dx * np.sin(angle)
        root = np.sqrt(stretch)
        if gaussian:
            a, b = (radius * root) ** 2, (radius / root) ** 2
            a_seen, b_seen = a + PIXEL_VARIANCE, b + PIXEL_VARIANCE
            value = np.exp(-0.5 * (long**2 / a_seen + wide**2 / b_seen)) * np.sqrt(a * b / (a_seen * b_seen))
        else:
            distance = np.sqrt((long / root) ** 2 + (wide * root) ** 2)
            value = np.clip(radius - distance + 0.5, 0, 1) * np.minimum(1, np.pi * radius**2)
            value = value * (1 - hollow * np.clip(1.25 * (1 - distance / np.maximum(radius, 0.3)), 0, 1))
        inside = (row >= 0) & (row < self.size) & (column >= 0) & (column < self.size)
        flat = (row * self.size + column)[inside]
        total += np.bincount(flat, (value * weight)[inside], total.size)

    def strokes(self, tracks: Values, weight: Values | float = 1.0) -> Image:
        """Add lines one pixel wide.

        Args:
            tracks: Points (n, steps, 2) in µm, y before x.
            weight: Height of the lines, (n,) or for each segment (n, steps - 1).
        """
        if tracks.shape[0] == 0 or tracks.shape[1] < 2:
            return self.blank()
        y, x = np.moveaxis(np.asarray(tracks, np.float32), -1, 0)
        dy, dx = np.diff(y), np.diff(x)
        length = np.hypot(dy, dx) / np.float32(self.pixel_size)
        heights = np.asarray(weight, np.float32)
        heights = np.broadcast_to(heights[..., None] if heights.ndim == 1 else heights, length.shape)
        visible = (length > 0) & (heights > 0)
        y, x, dy, dx = y[:, :-1][visible], x[:, :-1][visible], dy[visible], dx[visible]
        length, heights = length[visible], heights[visible]
        pieces = int(np.ceil(np.percentile(length, 98) / 1.2)) if length.size else 1
        share = ((np.arange(pieces, dtype=np.float32) + np.float32(0.5)) / np.float32(pieces))[:, None]
        return self.points(y + share * dy, x + share * dx, heights * length / np.float32(pieces))

    def threads(self, tracks: Values, sigma: float, weight: Values | float = 1.0) -> Image:
        """Add round threads whose middle is about as bright as their weight; where finer than a pixel, dimmer.

        Args:
            tracks: Points (n, steps, 2) in µm, y before x.
            sigma: Standard deviation of their profile in µm.
            weight: Brightness, (n,) or for each segment (n, steps - 1).
        """
        return self.blur(self.strokes(tracks, weight), sigma) * np.float32(np.sqrt(2 * np.pi) * sigma / self.pixel_size)

    def noise(self, rng: np.random.Generator, wavelength: float) -> Image:
        """Return a smooth random texture of mean 0 and variance 1; less where pixels are too coarse to show it.

        Args:
            rng: Source of randomness.
            wavelength: Distance in µm over which it changes; what is finer than a pixel is averaged away.
        """
        spacing = wavelength / self.pixel_size
        if spacing <= 1:
            return rng.standard_normal(self.shape, dtype=np.float32) * np.float32(spacing)
        coarse = int(self.size / spacing) + 5
        values = rng.standard_normal((coarse, coarse), dtype=np.float32)
        rows, weights = _spline(self.size, spacing)
        shift = weights.T[:, :, None]
        tall = np.ascontiguousarray(_blended(values, rows, shift).T)
        square = _blended(tall, rows, shift)
        square /= np.float32(SPLINE_POWER)
        return square.T

    def seen(self, image: Image) -> float:
        """Return the brightness of an image of unit brightness when nothing below `SEEN` is resolved, 0.45–1."""
        step = max(1, round(SEEN / self.pixel_size))
        side = self.size // step * step
        parts = image[:side, :side].reshape(side // step, step, side // step, step).mean((1, 3)).ravel()
        high = float(parts.max(initial=0))
        bright = parts[parts > 0.1 * high]
        if not bright.size:
            return 1.0
        return float(
            np.clip(np.partition(bright, int(0.9 * (bright.size - 1)))[int(0.9 * (bright.size - 1))], 0.45, 1.0)
        )

    def blur(self, image: Image, sigma: float) -> Image:
        """Blur by a Gaussian of `sigma` µm; broad ones are computed on a coarser grid."""
        from scipy.ndimage import gaussian_filter

        width = sigma / self.pixel_size
        if width < 0.2:
            return image
        factor = 1
        while 2 * factor <= width / COARSE and self.size % (2 * factor) == 0:
            factor *= 2
        if factor == 1:
            return np.asarray(gaussian_filter(image, width, truncate=3.0, mode="nearest"), np.float32)
        small = _halved(image, factor)
        narrower = np.sqrt((width / factor) ** 2 - MEAN_AND_LINE)
        small = gaussian_filter(small, narrower, truncate=3.0, mode="nearest")
        return enlarge(np.asarray(small, np.float32), self.size)


def _halved(image: Image, factor: int) -> Image:
    """Return means of squares of `factor` pixels, a power of 2; adding slices is faster than a mean over axes."""
    while factor > 1:
        image = image[::2] + image[1::2]
        image = (image[:, ::2] + image[:, 1::2]) * np.float32(0.25)
        factor //= 2
    return image


def enlarge(image: Image, size: int) -> Image:
    """Interpolate a square image linearly to `size` pixels a side."""
    side = image.shape[0]
    position = np.clip((np.arange(size) + 0.5) * side / size - 0.5, 0, side - 1).astype(np.float32)
    low = np.minimum(position.astype(np.intp), max(side - 2, 0))
    part = (position - low.astype(np.float32))[:, None]
    high = np.minimum(low + 1, side - 1)
    tall = np.ascontiguousarray((image[low] * (1 - part) + image[high] * part).T)
    return np.asarray((tall[low] * (1 - part) + tall[high] * part).T, np.float32)


def _blended(values: Image, rows: NDArray[np.intp], weights: Image) -> Image:
    """Interpolate rows of `values`: the weighted sum of four consecutive rows."""
    total: Image = weights[0] * values[rows]
    for k in range(1, 4):
        total += weights[k] * values[rows + k]
    return total


@lru_cache(maxsize=256)
def _spline(size: int, spacing: float) -> tuple[NDArray[np.intp], Image]:
    """Return for each pixel the first of four coarse points, and their cubic B-spline weights (size, 4)."""
    position = np.arange(size) / spacing
    first = position.astype(np.intp)
    t = position - first
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], 1) / 6
    return first, weights.astype(np.float32)


def unit(image: Image) -> Image:
    """Scale an image so that its bright parts are near 1; a blank image stays blank."""
    high = float(image.max(initial=0))
    if high <= 0:
        return image
    bright = image[image > 0.1 * high]
    rank = int(0.9 * (bright.size - 1))
    return image / np.float32(np.partition(bright, rank)[rank])
