"""Hot and dead pixels: a single pixel that differs far from all of its neighbours is replaced by their mean."""

from __future__ import annotations

import numpy as np

ISOLATION = 12.0
"""By how many times the range of its neighbours a pixel must differ from their mean. Light from one point also reaches
the neighbours, so that its factor is below 5; shot noise of faint stains exceeds that in some hundred pixels of a real
plane. At 12 the shipped network's probabilities change by 0.012 at most on 56 real fields."""

MIN_STEP = 0.5
"""By how much a pixel must differ from their mean, as a share of the plane's range between the bounds."""

FAR, FAR_ISOLATION = 8.0, 3.0
"""Above `FAR` times that range a stain cannot be the cause: then one of the neighbours may differ as much, and the
factor for the others is only `FAR_ISOLATION`."""

_ROW_NEIGHBOURS = ((0, -1), (0, 1))
_ALL_NEIGHBOURS = tuple((down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if down or right)
_MIN_SIDE = 3


def replace_outliers(pixels: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Replace hot and dead pixels by the mean of their neighbours.

    Only pixels beyond the bounds are examined: the others, the large majority, change the result little.

    Args:
        pixels: (y, x, c) of uint8, uint16 or float32.
        low: (c,), a low percentile of each channel.
        high: (c,), a high percentile of each channel.

    Returns:
        `pixels` itself where nothing is replaced, else a copy.
    """
    if min(pixels.shape[:2]) < _MIN_SIDE:
        return pixels
    y, x, channel = _find_beyond(pixels, low, high)
    span = (high - low).astype(np.float32)[channel]
    value = pixels[y, x, channel].astype(np.float32)
    farthest = np.abs(value - _get_neighbours(pixels, y, x, channel, _ROW_NEIGHBOURS)).max(axis=0)
    some = (
        farthest > (1 - 1 / ISOLATION) * MIN_STEP * span
    )  # implied by the test below, which reads six more neighbours
    y, x, channel, span, value = (each[some] for each in (y, x, channel, span, value))
    sign = np.where(value > high[channel], 1, -1).astype(np.float32)
    ring = np.sort(sign * _get_neighbours(pixels, y, x, channel, _ALL_NEIGHBOURS), axis=0)
    mean = ring[:-1].mean(axis=0)
    step = sign * value - mean
    far = step > FAR * span
    spread = np.where(far, ring[-2], ring[-1]) - ring[0]
    found = (step > MIN_STEP * span) & (step > np.where(far, FAR_ISOLATION, ISOLATION) * spread)
    if not found.any():
        return pixels
    replaced = pixels.copy(order="K")
    mean = (sign * mean)[found]
    replaced[y[found], x[found], channel[found]] = np.rint(mean) if pixels.dtype.kind == "u" else mean
    return replaced


def _find_beyond(pixels: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows, columns and channels of pixels beyond the bounds of their channel."""
    if pixels.dtype.kind == "u":  # integer bounds can be compared without converting the pixels to floats
        low, high = np.ceil(low), np.floor(high)
    low, high = low.astype(pixels.dtype), high.astype(pixels.dtype)
    if pixels.flags.c_contiguous:  # interleaved channels: whole rows are compared at once
        rows = pixels.reshape(len(pixels), -1)
        outside = (rows > np.tile(high, pixels.shape[1])) | (rows < np.tile(low, pixels.shape[1]))
        y, rest = np.divmod(_nonzero(outside), rows.shape[1])
        return y, *np.divmod(rest, pixels.shape[2])
    parts = []
    for number in range(pixels.shape[-1]):
        plane = pixels[..., number]
        y, x = np.divmod(_nonzero((plane > high[number]) | (plane < low[number])), pixels.shape[1])
        parts.append((y, x, np.full(len(y), number)))
    y, x, channel = (np.concatenate(each) for each in zip(*parts, strict=True))
    return y, x, channel


def _nonzero(mask: np.ndarray) -> np.ndarray:
    """Return `numpy.flatnonzero(mask)`, several times faster where few values are true: it tests eight at a time."""
    flat = np.ascontiguousarray(mask).ravel()
    whole = len(flat) // 8 * 8
    eights = np.flatnonzero(flat[:whole].view(np.uint64))
    at = (eights[:, None] * 8 + np.arange(8)).ravel()
    return np.concatenate([at[flat[at]], whole + np.flatnonzero(flat[whole:])])


def _get_neighbours(
    pixels: np.ndarray, y: np.ndarray, x: np.ndarray, channel: np.ndarray, steps: tuple[tuple[int, int], ...]
) -> np.ndarray:
    """Return the neighbours of pixels, (steps, n) of float32; edges are mirrored."""
    height, width = pixels.shape[:2]

    def inside(at: np.ndarray, size: int) -> np.ndarray:
        at = np.abs(at)
        return np.where(at >= size, 2 * size - 2 - at, at)

    beside = [pixels[inside(y + down, height), inside(x + right, width), channel] for down, right in steps]
    return np.stack(beside).astype(np.float32)
