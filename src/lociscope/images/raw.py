"""Resize raw pixels for a network that standardises its input itself."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from lociscope.images.scale import resize

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SHARPNESS = -0.75
"""a of Keys' cubic convolution, that of OpenCV's `INTER_CUBIC`."""


def scale_raw(pixels: np.ndarray, height: int, width: int) -> NDArray[np.float32]:
    """Resize raw pixels without clipping them, and bring the range of their type to 0–255.

    An axis is enlarged by cubic convolution (Keys, IEEE Transactions on Acoustics, Speech, and Signal Processing 29,
    1153–1160, 1981) and rounded to the type of the file, as OpenCV does, or shrunk by the mean over the target pixel's
    area. Floats, which have no range, are scaled by the smallest and largest value of each channel.

    Args:
        pixels: (y, x, c) of any integer or float type.
        height: Rows of the result.
        width: Columns of the result.

    Returns:
        (height, width, c) in 0–255.
    """
    if pixels.dtype.kind in "iu":
        limits = np.iinfo(pixels.dtype)
        low, span = float(limits.min), float(limits.max) - float(limits.min)
        resized = np.clip(np.rint(_resize(pixels, height, width)), limits.min, limits.max)
        return np.asarray((resized - low) * (255 / span), np.float32)
    resized = _resize(np.asarray(pixels, np.float64), height, width)
    least, most = (edge(pixels.astype(np.float64), axis=(0, 1)) for edge in (np.min, np.max))
    scaled = np.clip((resized - least) / np.where(most > least, most - least, 1), 0, 1)
    return np.asarray(255 * scaled, np.float32)


def _resize(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    rows, columns = pixels.shape[:2]
    if (rows, columns) == (height, width):
        return pixels
    if rows >= height and columns >= width:
        return resize(pixels, height, width)
    planes = np.moveaxis(np.asarray(pixels, np.float32), -1, 0)
    return np.moveaxis(_cubic(rows, height) @ planes @ _cubic(columns, width).T, 0, -1)


@lru_cache(maxsize=8)
def _cubic(side: int, wanted: int) -> np.ndarray:
    """Return the weights (wanted, side) of cubic convolution; beyond an edge its pixel is repeated."""
    at = (np.arange(wanted) + 0.5) * side / wanted - 0.5
    first = np.floor(at).astype(int)
    weights = np.zeros((wanted, side), np.float32)
    a = _SHARPNESS
    for step in range(-1, 3):
        d = np.abs(at - first - step)
        near = (a + 2) * d**3 - (a + 3) * d**2 + 1
        far = a * (d**3 - 5 * d**2 + 8 * d - 4)
        np.add.at(weights, (np.arange(wanted), np.clip(first + step, 0, side - 1)), np.where(d <= 1, near, far))
    return weights
