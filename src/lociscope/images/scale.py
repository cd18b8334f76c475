"""Resample fields, and compute percentiles."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np

from lociscope.processes.threads import map_ranges

PARALLEL_BYTES = 1 << 22
"""Size from which a field is worth more than one thread."""

PART_BYTES = 1 << 20
"""Size of the parts of a large field that are processed at once: they and the result fit into a core's cache."""
_LANES = 4
"""Values of 16 bits in a word of 64."""


def percentiles(values: np.ndarray, at: tuple[float, ...]) -> np.ndarray:
    """Return percentiles along the last axis, as `numpy.percentile(values, at, axis=-1)` does.

    NumPy's function imports numpy.ma, which takes a twentieth of the time of predicting one field from the shell.

    Args:
        values: (…, n) of any real type.
        at: Percentiles, 0–100.

    Returns:
        (len(at), …) of float64.
    """
    return percentiles_of_sorted(np.sort(values, axis=-1, kind="stable" if values.dtype.itemsize <= 2 else None), at)


def percentiles_of_sorted(ordered: np.ndarray, at: tuple[float, ...]) -> np.ndarray:
    """Return percentiles of values that are sorted along the last axis; see `percentiles`."""
    last = ordered.shape[-1] - 1
    position = np.asarray(at) / 100 * last
    below = np.floor(position).astype(int)
    share = position - below
    found = ordered[..., below] * (1 - share) + ordered[..., np.minimum(below + 1, last)] * share
    return np.moveaxis(found, -1, 0)


def resize(pixels: np.ndarray, height: int, width: int, threads: int = 1) -> np.ndarray:
    """Shrink each axis by the mean over the target pixel's area, or enlarge it linearly.

    Args:
        pixels: (y, x, c).
        height: Rows of the result.
        width: Columns of the result.
        threads: Number of threads for a whole factor; 0 uses every core.

    Returns:
        (height, width, c) of float32, in the units of `pixels`.
    """
    rows, columns, _ = pixels.shape
    if rows % height == 0 and columns % width == 0:
        return block_mean(pixels, rows // height, columns // width, threads)
    lines = _resize_axis(pixels, height)
    columns_first = _resize_axis(np.ascontiguousarray(lines.swapaxes(0, 1)), width)
    return columns_first.swapaxes(0, 1)


def block_mean(pixels: np.ndarray, down: int, right: int, threads: int = 1) -> np.ndarray:
    """Return the mean over blocks of `down` × `right` pixels, which must divide the field evenly.

    Rows are added first, in the narrowest type that holds their sum: each addition is contiguous in memory, both for
    planes and for interleaved channels.

    Args:
        pixels: (y, x) or (y, x, c).
        down: Rows of a block.
        right: Columns of a block.
        threads: Number of threads; 0 uses every core.

    Returns:
        (y / down, x / right, …) of float32; the plane of each channel is contiguous in memory.
    """
    if pixels.ndim == 2:
        return block_mean(pixels[..., None], down, right)[..., 0]
    height, width, channels = pixels.shape
    lines = view_lines(pixels)
    kinds = _sum_type(pixels.dtype, down), _sum_type(pixels.dtype, down * right)
    means = np.empty((lines.shape[1] // width, len(lines) // down, width // right), np.float32)

    few = max(1, PART_BYTES // (down * lines[:1].nbytes))

    def write(part: slice) -> None:
        for start in range(part.start, part.stop, few):
            stop = min(start + few, part.stop)
            rows = _sum_rows(lines[start * down : stop * down], down, kinds[0])
            _write_column_means(np.asarray(rows, kinds[1]), right, np.float32(1 / (down * right)), means[:, start:stop])

    map_ranges(write, means.shape[1], threads if pixels.nbytes >= PARALLEL_BYTES else 1)
    return np.moveaxis(means.reshape(channels, height // down, width // right), 0, -1)


def view_lines(pixels: np.ndarray) -> np.ndarray:
    """Return a field as lines that are contiguous in memory, without a copy where the field itself is contiguous.

    Args:
        pixels: (y, x, c).

    Returns:
        (c · y, x), one plane after the other; or (y, x · c) where the channels alternate in memory.
    """
    planes = np.moveaxis(pixels, -1, 0)
    if planes.flags.c_contiguous or len(planes) == 1:
        return planes.reshape(-1, pixels.shape[1])
    return np.ascontiguousarray(pixels).reshape(len(pixels), -1)


def _sum_rows(lines: np.ndarray, n: int, kind: type) -> np.ndarray:
    """Sum every n neighbouring lines."""
    if n == 1:
        return lines
    if n == 2:  # in half the time of `reduce`
        pairs: np.ndarray = np.add(lines[0::2], lines[1::2], dtype=kind)
        return pairs
    sums: np.ndarray = np.add.reduce(lines.reshape(-1, n, lines.shape[1]), axis=1, dtype=kind)
    return sums


def _write_column_means(rows: np.ndarray, n: int, factor: np.float32, means: np.ndarray) -> None:
    """Sum every n neighbours along lines of c alternating channels, and write `factor` × sum to (c, y, x / n)."""
    alternating, kind = len(means), rows.dtype
    if kind == np.uint16 and alternating == _LANES:  # sums that fit into their type do not carry: add four at once
        rows = rows.view(np.uint64)
        sums = rows[:, ::n].copy()
        for neighbour in range(1, n):
            sums += rows[:, neighbour::n]
        for channel in range(alternating):
            np.multiply(sums.view(kind)[:, channel::alternating], factor, out=means[channel], dtype=np.float32)
        return
    blocks = np.asarray(rows, kind if kind.kind == "f" else np.float32).reshape(len(rows), -1, n * alternating)
    sums = blocks @ _ones(n, alternating, blocks.dtype)  # line by line: BLAS uses several threads for larger products
    np.multiply(np.moveaxis(sums, -1, 0), factor, out=means, casting="same_kind")


@lru_cache(maxsize=8)
def _ones(n: int, alternating: int, kind: np.dtype) -> np.ndarray:
    """Return the matrix (n · alternating, alternating) that sums n values of each channel."""
    return np.tile(np.eye(alternating, dtype=kind), (n, 1))


def _sum_type(kind: np.dtype, n: int) -> type:
    """Return the narrowest type that holds the sum of n values."""
    if kind.kind != "u" or kind.itemsize > 2:
        return np.float32 if kind.kind == "f" else np.float64
    largest = n * int(np.iinfo(kind).max)
    return np.uint16 if largest <= np.iinfo(np.uint16).max else np.uint32


def _resize_axis(values: np.ndarray, n: int) -> np.ndarray:
    """Resize the first axis to n; a pixel on a boundary counts on both sides by its share, unlike in Pillow."""
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
