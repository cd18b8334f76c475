"""Preprocessing: convert the pixels of a file, of any type, gain and offset, to the input of a network.

Each channel is scaled by its own percentiles, so that the input depends neither on the container nor on other
channels: gain, offset, bit depth, sign and a few hot pixels change nothing. Training, prediction and the service share
this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lociscope.images.broken_lines import replace_lines
from lociscope.images.outliers import replace_outliers
from lociscope.images.products import sum_products
from lociscope.images.scale import block_mean, percentiles, percentiles_of_sorted, resize

if TYPE_CHECKING:
    from lociscope.artifacts.card import InputSpec

HPA_FIELD_UM = 164.0
"""Side of a field of the Human Protein Atlas: 2048 px of 0.08 µm, or 512 px of 0.32 µm."""

STRUCTURE_UM = (1.28, 0.64)
"""Pixel sizes in µm at which structure is measured: cells and most of their parts extend over several pixels of the
first, at which noise is lowest; single small spots, such as centrosomes, over several of the second."""

_SAMPLE_SIDE = 128
_OUTER, _FAR_OUTER = (0.1, 99.9), (0.02, 99.98)
_MANY = 16
"""Pixels of the field for each pixel of the input from which a single one matters so little that only those beyond
`_FAR_OUTER`, a fifth as many, are examined."""
_NONE, _SURE = 0.03, 0.05
_LEAST_SIDE = 8


class Preprocessed(NamedTuple):
    """A field at the scale of a network's input, with measures of its channels.

    Attributes:
        pixels: (height, width, c) of uint8: 0 is the channel's dark level, 255 its bright end. Planes are contiguous.
        structure: (c,) of float, 0–1: 0 for a channel that contains only noise, which is black in `pixels`.
        sample: (c, n), n values of each channel, sorted, in the units of the file: about 128 × 128 of its pixels.
    """

    pixels: np.ndarray
    structure: np.ndarray
    sample: np.ndarray


def prepare(pixels: np.ndarray, spec: InputSpec) -> np.ndarray:
    """Return the input of a network for a field of the extent that the network expects.

    Args:
        pixels: (y, x, c) of any integer or float type.
        spec: The input that the network expects.

    Returns:
        (height, width, c) of uint8.
    """
    return preprocess(pixels, spec.height, spec.width, spec).pixels


def preprocess(
    pixels: np.ndarray, height: int, width: int, spec: InputSpec, pixel_size: float | None = None, threads: int = 1
) -> Preprocessed:
    """Resize a field and scale each channel by its own percentiles.

    The percentiles are those of the resized channel, without hot and dead pixels and lines. A channel without structure
    (`measure_structure`) is dimmed, down to black, so that an empty one is not amplified into noise; brightness does
    not matter. The result has 8 bits, which is what training stores.

    Args:
        pixels: (y, x, c) of any integer or float type.
        height: Rows of the result.
        width: Columns of the result.
        spec: The percentiles to use.
        pixel_size: Side of a pixel in µm; None for a field of the Human Protein Atlas.
        threads: Number of threads for a large field; 0 uses every core.

    Returns:
        The field at its new size.
    """
    pixels = replace_lines(pixels)
    plain = _to_working_type(pixels)
    size = pixel_size or HPA_FIELD_UM / max(plain.shape[:2])
    sample = sample_pixels(pixels)
    outer = _OUTER if plain[..., 0].size < _MANY * height * width else _FAR_OUTER
    low, high = percentiles_of_sorted(sample if plain is pixels else sample_pixels(plain), outer)
    whole = replace_outliers(plain, low, high, threads)
    small = np.ascontiguousarray(np.moveaxis(resize(whole, height, width, threads), -1, 0))
    flat = small.reshape(len(small), -1)
    low, high = percentiles(flat, (spec.low, spec.high)).astype(np.float32)
    span = np.where(high > low, high - low, 1)
    structure = _measure_structures(whole, small, low, high, size)
    flat -= low[:, None]
    flat *= (255 * structure / span).astype(np.float32)[:, None]
    np.clip(flat, 0, (255 * structure).astype(np.float32)[:, None], out=flat)
    scaled = np.rint(small, out=small).astype(np.uint8)
    return Preprocessed(np.moveaxis(scaled, 0, -1), structure, sample)


def measure_structure(plane: np.ndarray) -> float:
    """Measure how similar diagonal neighbours are, from 0 (noise) to 1 (structure).

    The measure is the correlation of each pixel with its diagonal neighbours, after subtraction of the means of rows
    and columns (the pattern of a sensor, uneven light). Noise of neighbouring pixels is independent, so that its
    correlation is 0 within three standard errors. It is at least 0.21 in each of 456 real planes, including the
    faintest, and 0.13 in simulated ones of every class (`tests/images/test_preprocess.py`).

    Args:
        plane: (y, x) of float32, about 1.28 or 0.64 µm a pixel, free of outliers.

    Returns:
        0 up to a correlation of 0.03 plus three standard errors, 1 from 0.05 above that, linear in between. A plane of
        fewer than 8 pixels a side cannot be measured and counts as structure; a constant plane has none.
    """
    if plane.min(initial=np.inf) >= plane.max(initial=-np.inf):
        return 0.0
    if min(plane.shape) < _LEAST_SIDE:
        return 1.0
    rest = plane - plane.mean(axis=0)
    rest -= plane.mean(axis=1, keepdims=True) - plane.mean()
    variance = sum_products(rest, rest) / rest.size
    if variance <= 0:
        return 0.0
    found = min(_sum_diagonal_products(rest)) / ((plane.shape[0] - 1) * (plane.shape[1] - 1)) / variance
    none = _NONE + 3 / rest.size**0.5
    return float(min(max((found - none) / _SURE, 0.0), 1.0))


def _sum_diagonal_products(plane: np.ndarray) -> tuple[float, float]:
    """Return the sum of products of neighbours along each diagonal.

    One product of the whole plane with itself, shifted, is several times as fast as one of two parts of it; it also
    pairs the ends of lines with the beginnings of others, which are subtracted.
    """
    width = plane.shape[1]
    flat, first, last = plane.ravel(), plane[:, 0], plane[:, -1]
    falling = sum_products(flat[: -width - 1], flat[width + 1 :]) - sum_products(last[:-2], first[2:])
    rising = sum_products(flat[: 1 - width], flat[width - 1 :]) - sum_products(first, last)
    return falling, rising


def sample_pixels(pixels: np.ndarray) -> np.ndarray:
    """Return about 128 × 128 pixels of each channel, spread evenly over the field and sorted.

    Args:
        pixels: (y, x, c) of any type.

    Returns:
        (c, n).
    """
    down, right = (max(1, side // _SAMPLE_SIDE) for side in pixels.shape[:2])
    some = np.moveaxis(pixels[::down, ::right], -1, 0).reshape(pixels.shape[-1], -1)
    return np.sort(some, axis=-1, kind="stable" if some.dtype.itemsize <= 2 else None)


def _to_working_type(pixels: np.ndarray) -> np.ndarray:
    """Convert pixels to uint8, uint16 or float32 in 0–1, so that no sum overflows and no digit is lost."""
    if pixels.dtype in (np.uint8, np.uint16):
        return pixels
    half = np.asarray(pixels, np.float64) / 2  # the difference of two numbers may be too large for their type
    half -= half.min(axis=(0, 1), keepdims=True, initial=np.inf)
    span = half.max(axis=(0, 1), keepdims=True, initial=0)
    if pixels.dtype.kind in "iu" and 2 * span.max() <= np.iinfo(np.uint16).max:
        return np.asarray(2 * half, np.uint16)
    return np.asarray(half / np.where(span > 0, span, 1), np.float32)


def _measure_structures(
    whole: np.ndarray, small: np.ndarray, low: np.ndarray, high: np.ndarray, pixel_size: float
) -> np.ndarray:
    """Return the structure of each channel, clipped to its percentiles, at the scale at which it is highest."""
    found = np.zeros(len(small))
    for scale in STRUCTURE_UM:
        planes, size = small, pixel_size * whole.shape[0] / small.shape[1]
        if size < pixel_size or size > 1.2 * scale:  # enlarged pixels correlate, and coarse ones show little structure
            planes, size = np.moveaxis(whole, -1, 0), pixel_size
        step = max(1, min(round(scale / size), min(planes.shape[1:]) // _LEAST_SIDE))
        rows, columns = (side // step * step for side in planes.shape[1:])
        several = np.flatnonzero((found < 1) & (high > low))
        if not several.size:
            break
        some = planes if several.size == len(planes) else planes[several]
        coarse = block_mean(np.moveaxis(some[:, :rows, :columns], 0, -1), step, step)
        for number, plane in zip(several, np.moveaxis(coarse, -1, 0), strict=True):
            found[number] = max(found[number], measure_structure(plane.clip(low[number], high[number])))
    return found
