"""Hot and dead pixels: a single pixel that differs far from all of its neighbours is replaced by their mean."""

from __future__ import annotations

import numpy as np

from lociscope.images.scale import PARALLEL_BYTES, PART_BYTES, view_lines
from lociscope.processes.threads import map_ranges

ISOLATION = 6.0
"""By how many times the range of its neighbours a pixel must differ from their mean. Light from one point also reaches
the neighbours, so that its factor is below 5; shot noise of faint stains exceeds that in some hundred pixels of a real
plane, which are replaced alike in training and in inference."""

MIN_STEP = 0.5
"""By how much a pixel must differ from their mean, as a share of the plane's range between the bounds."""

FAR, FAR_ISOLATION = 8.0, 3.0
"""Above `FAR` times that range a stain cannot be the cause: then one of the neighbours may differ as much, and the
factor for the others is only `FAR_ISOLATION`."""

_ALL_NEIGHBOURS = tuple((down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if down or right)
_MIN_SIDE = 3


def replace_outliers(pixels: np.ndarray, low: np.ndarray, high: np.ndarray, threads: int = 1) -> np.ndarray:
    """Replace hot and dead pixels by the mean of their neighbours.

    Only pixels beyond the bounds are examined: the others, the large majority, change the result little.

    Args:
        pixels: (y, x, c) of uint8, uint16 or float32.
        low: (c,), a low percentile of each channel.
        high: (c,), a high percentile of each channel.
        threads: Number of threads for a large field; 0 uses every core.

    Returns:
        `pixels` itself where nothing is replaced, else a copy.
    """
    if min(pixels.shape[:2]) < _MIN_SIDE:
        return pixels
    y, x, channel = _find_unlike_beside(pixels, low, high, threads)
    span = (high - low).astype(np.float32)[channel]
    value = pixels[y, x, channel].astype(np.float32)
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


def _find_unlike_beside(
    pixels: np.ndarray, low: np.ndarray, high: np.ndarray, threads: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows, columns and channels of pixels that are beyond the bounds and differ from a neighbour beside.

    By how much is implied by the criterion of `replace_outliers`, which reads six more neighbours.
    """
    (height, width), lines = pixels.shape[:2], view_lines(pixels)
    together = lines.shape[1] // width  # channels that alternate along a line
    bounds = [_arrange(each, lines, together) for each in _round(low, high, lines.dtype)]
    threads = threads if pixels.nbytes >= PARALLEL_BYTES else 1
    parts = map_ranges(lambda part: _find_beyond(lines, part, height, *bounds), len(lines), threads)
    found = np.concatenate(parts)
    line, place = np.divmod(found, lines.shape[1])
    x, alternating = np.divmod(place, together)
    plane, y = np.divmod(line, height)
    channel = plane + alternating
    values = lines.ravel()
    value = values[found].astype(np.float32)
    before, after = np.where(x > 0, -together, together), np.where(x < width - 1, together, -together)  # or mirrored
    farthest = np.maximum(*(np.abs(value - values[found + step].astype(np.float32)) for step in (before, after)))
    some = farthest > ((1 - 1 / ISOLATION) * MIN_STEP * (high - low).astype(np.float32))[channel]
    return y[some], x[some], channel[some]


def _round(low: np.ndarray, high: np.ndarray, kind: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Convert bounds to the type of the pixels; integers can then be compared without converting them to floats."""
    if kind.kind == "u":
        low, high = np.ceil(low), np.floor(high)
    return low.astype(kind), high.astype(kind)


def _arrange(bound: np.ndarray, lines: np.ndarray, together: int) -> np.ndarray:
    """Return the bounds of each plane: (planes, 1), or (1, values of a line) where `together` channels alternate."""
    return bound[:, None] if together == 1 else np.tile(bound, lines.shape[1] // together)[None]


def _find_beyond(lines: np.ndarray, part: slice, height: int, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return the flat indices of the values of some lines that are beyond their bounds.

    Args:
        lines: Planes of `height` lines, one after the other.
        part: The lines to search.
        height: Lines of a plane.
        low: (planes, 1 or values of a line).
        high: The same.
    """
    width = lines.shape[1]
    step = max(1, PART_BYTES // (width * lines.itemsize))
    outside = np.zeros(-(-step * width // 8) * 8, bool)
    below = np.empty(step * width, bool)
    at, words = [], []
    stop = part.start
    while stop < part.stop:
        start, plane = stop, stop // height
        stop = min(start + step, (plane + 1) * height, part.stop)
        some = lines[start:stop]
        if low.shape[1] == 1:  # one long line is compared faster than many short ones
            some = some.reshape(-1)
        here, under = (each[: some.size].reshape(some.shape) for each in (outside, below))
        np.greater(some, high[plane], out=here)
        here |= np.less(some, low[plane], out=under)
        outside[some.size :] = False
        eights = outside.view(np.uint64)  # most are 0, and one comparison finds them
        nonzero = np.flatnonzero(eights != 0)
        at.append(nonzero * 8 + start * width)
        words.append(eights[nonzero])
    number, byte = np.divmod(np.flatnonzero(np.concatenate(words).view(bool)), 8)
    found: np.ndarray = np.concatenate(at)[number] + byte
    return found


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
