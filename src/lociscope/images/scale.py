"""From a field of any size and bit depth to the input of a network."""

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lociscope.card import InputSpec

FULL_SCALES = (255, 1023, 4095, 16383, 65535)
"""Largest values of the bit depths that cameras have; 12 bits in a 16-bit file are told by their maximum."""


def prepare(pixels: np.ndarray, spec: "InputSpec") -> np.ndarray:
    """Makes the input of a network: shrunk by area, each channel scaled by its own percentiles.

    Training, prediction and the service all come through here, so that they see the same numbers. The result
    is kept in 8 bits: that is what the training stores, and it makes 8-bit and 16-bit files agree.

    Args:
        pixels: (y, x, c) of uint8, uint16 or float.
        spec: What the network wants.

    Returns:
        (height, width, c) of uint8.
    """
    return scaled(pixels, spec.height, spec.width, spec)


def scaled(pixels: np.ndarray, height: int, width: int, spec: "InputSpec") -> np.ndarray:
    """Resizes to any size, and scales each channel as the network wants.

    Args:
        pixels: (y, x, c) of uint8, uint16 or float.
        height: Rows wanted.
        width: Columns wanted.
        spec: Whose percentiles and floor to use.

    Returns:
        (height, width, c) of uint8.
    """
    small = resize(pixels, height, width)
    flat = small.reshape(-1, small.shape[-1])
    low, high = percentiles(flat, (spec.low, spec.high)).astype(np.float32)
    span = np.maximum(high - low, spec.floor * full_scale(pixels))
    span[span == 0] = 1  # floor 0 and a constant channel: all zeros
    result: np.ndarray = np.rint(np.clip((small - low) / span, 0, 1) * 255)
    return result.astype(np.uint8)


def percentiles(values: np.ndarray, at: tuple[float, ...]) -> np.ndarray:
    """Percentiles of each column, as `numpy.percentile(values, at, axis=0)` gives them.

    That one imports numpy.ma on its way, a twentieth of the time of predicting one field from the shell.

    Args:
        values: (n, …) of any real type.
        at: Percentiles, 0–100.

    Returns:
        (len(at), …) of float64.
    """
    places = np.asarray(at) / 100 * (len(values) - 1)
    below = np.floor(places).astype(int)
    above = np.minimum(below + 1, len(values) - 1)
    ordered = np.partition(values, sorted({*below.tolist(), *above.tolist()}), axis=0)
    share = (places - below).reshape(-1, *[1] * (values.ndim - 1))
    found: np.ndarray = ordered[below] * (1 - share) + ordered[above] * share
    return found


def full_scale(pixels: np.ndarray) -> float:
    """The largest value that the camera could have given, judged by type and maximum.

    A field of 16 bits that is dark as a whole looks like one of fewer bits, and its floor is lower by as much.

    Args:
        pixels: Any array of pixels.

    Returns:
        255 for 8 bits; the least of `FULL_SCALES` that holds the maximum for other integers; 1 for floats up
        to 1, and for other floats as for integers.
    """
    if pixels.dtype == np.uint8:
        return 255.0
    top = float(pixels.max(initial=0))
    if np.issubdtype(pixels.dtype, np.floating) and top <= 1:
        return 1.0
    return float(next((scale for scale in FULL_SCALES if top <= scale), top))


def resize(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Shrinks each axis by the mean over the target pixel's area, or enlarges it linearly.

    Args:
        pixels: (y, x, c).
        height: Rows wanted.
        width: Columns wanted.

    Returns:
        (height, width, c) of float32, in the units of `pixels`.
    """
    rows, columns, _ = pixels.shape
    if rows % height == 0 and columns % width == 0:
        return _block_mean(pixels, rows // height, columns // width)
    lines = _resize_axis(pixels, height)
    columns_first = _resize_axis(np.ascontiguousarray(lines.swapaxes(0, 1)), width)
    return columns_first.swapaxes(0, 1)


def _block_mean(pixels: np.ndarray, down: int, right: int) -> np.ndarray:
    """Mean over blocks, as a sum of strided views: a tenth of the time of a reshape and mean."""
    if down == right == 1:
        return pixels.astype(np.float32)
    kind = np.uint32 if np.issubdtype(pixels.dtype, np.integer) else np.float32
    rows = sum((pixels[i::down] for i in range(1, down)), pixels[0::down].astype(kind))
    total = sum((rows[:, j::right] for j in range(1, right)), rows[:, 0::right].copy())
    return (total / np.float32(down * right)).astype(np.float32)


def _resize_axis(values: np.ndarray, n: int) -> np.ndarray:
    """The first axis resized to n; a pixel that an edge cuts counts on both sides by its share, unlike in Pillow."""
    if n > len(values):
        at = np.clip((np.arange(n) + 0.5) * (len(values) / n) - 0.5, 0, len(values) - 1)
        below = at.astype(int)
        share = (at - below).astype(np.float32)[:, None, None]
        above = np.minimum(below + 1, len(values) - 1)
        enlarged: np.ndarray = values[below] * (1 - share) + values[above] * share
        return enlarged
    whole, rest = np.divmod(np.arange(n + 1) * len(values), n)
    share = (rest / n).astype(np.float32)
    result = np.empty((n, *values.shape[1:]), np.float32)
    for i, (start, stop) in enumerate(pairwise(whole)):
        result[i] = values[start:stop].sum(axis=0, dtype=np.float32) - share[i] * values[start]
        if rest[i + 1]:
            result[i] += share[i + 1] * values[stop]
    return result * np.float32(n / len(values))
