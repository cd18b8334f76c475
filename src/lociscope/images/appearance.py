"""Measure what a field looks like, to recognise one that is unlike fields of cells.

`lociscope.predict.out_of_distribution` uses the measures. They are those in which stained cells differ from other
pictures: dark background, a spectrum that falls evenly and has no direction, compact nuclei, and cytoplasm around them.
Like the warnings, they do not depend on gain, offset and type of the pixels.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lociscope.channels import BLUE, CHANNEL_NAMES, RED, YELLOW
from lociscope.images.bit_masks import count_squares, dilate, mark_all, pack_mask, unpack_mask
from lociscope.images.otsu import find_bright
from lociscope.images.products import sum_products_of_rows
from lociscope.images.quality import PAIRS
from lociscope.images.scale import block_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

SIDE = 128
"""Side in px at which fields are measured: 1.28 µm a pixel for the extent of 164 µm."""

MIN_SIDE = 64
"""Inputs with fewer pixels a side are not measured."""

BANDS = (2, 4, 8, 16, 32, 64)
"""Edges of the bands of spatial frequency, cycles per side of `SIDE` px."""

_COARSE = 2
"""Number of bands over which the coarse correlation of two channels is taken; the fine one is over the others."""
_DARK = 0.1
_LEAST_DIRECTION, _MIN_RING = 0.02, 2
_LEAST_NUMBER, _LEAST_ROUNDNESS = 0.25, -3.0
_CORE, _RING = 2, 4

PER_PLANE = ("Mean", "Dark", "Skewness", *(f"Power{edge}" for edge in BANDS[1:-1]), "Direction", "Cross", "Peak")
"""Of each channel: mean (0–1); share of dark pixels; skewness (arcsinh); for each of four frequencies the log ratio of
the power in the octaves above and below it; log of how strongly gradients prefer one direction, and two perpendicular
ones; log of the highest single frequency over the mean of its ring, high in periodic patterns."""

NUCLEI = ("Share", "Number", "Area", "Roundness", "Core")
"""Of the bright objects of the blue channel: share of the area; log number (objects minus holes); log of the mean area
in px; log of roundness, 0 for discs; share of the area more than 2 px from the edge."""

RINGS = ("Within", "Outside")
"""Log ratio of the mean within nuclei, and farther than 4 px from them, to that in the ring around them."""

APPEARANCE: tuple[str, ...] = (
    *(f"{name}_{channel}" for channel in CHANNEL_NAMES for name in PER_PLANE),
    *(f"{name}_{CHANNEL_NAMES[one]}_{CHANNEL_NAMES[two]}" for one, two in PAIRS for name in ("Coarse", "Fine")),
    *(f"Nuclei{name}" for name in NUCLEI),
    *(f"{name}Nuclei_{CHANNEL_NAMES[number]}" for number in (RED, YELLOW) for name in RINGS),
)
"""Names of the measures, in order. A change changes the schema of `detector.npz`."""


def measure_appearance(pixels: np.ndarray) -> np.ndarray:
    """Measure a network's input.

    Args:
        pixels: (height, width, 4) of uint8, at least `MIN_SIDE` px a side.

    Returns:
        (k,) float32 in the order of `APPEARANCE`; NaN where a channel is empty.
    """
    step = max(1, round(min(pixels.shape[:2]) / SIDE))
    side = min(pixels.shape[:2]) // step
    planes = np.ascontiguousarray(np.moveaxis(block_mean(pixels[: side * step, : side * step], step, step), -1, 0))
    visible = tuple((np.ptp(planes, axis=(1, 2)) > 0).tolist())
    if not any(visible):
        return np.full(len(APPEARANCE), np.nan, np.float32)
    values = [*_measure_planes(planes), *_measure_nuclei(planes)]
    return np.where(find_measured(visible), np.array(values, np.float32), np.float32(np.nan))


def measure_tiles(tiles: np.ndarray) -> np.ndarray:
    """Return the mean measures of the tiles of a field, (k,); a channel that is empty in a tile does not count there.

    Args:
        tiles: (n, height, width, 4) of uint8.
    """
    rows = np.stack([measure_appearance(tile) for tile in tiles])
    seen = ~np.isnan(rows)
    total = np.where(seen, rows, 0).sum(axis=0)
    return np.where(seen.any(axis=0), total / np.maximum(seen.sum(axis=0), 1), np.float32(np.nan)).astype(np.float32)


@lru_cache(maxsize=16)
def find_measured(visible: tuple[bool, ...]) -> np.ndarray:
    """Return which measures a field has: (k,) of bool.

    Args:
        visible: For each channel whether it shows anything.
    """
    blue = visible[BLUE]
    return np.array(
        [
            *(visible[number] for number in range(len(visible)) for _ in PER_PLANE),
            *(visible[one] and visible[two] for one, two in PAIRS for _ in range(2)),
            *(blue for _ in NUCLEI),
            *(blue and visible[number] for number in (RED, YELLOW) for _ in RINGS),
        ]
    )


def _measure_planes(planes: np.ndarray) -> Iterator[float]:
    flat = planes.reshape(len(planes), -1) / 255
    mean = flat.mean(axis=1)
    rest = flat - mean[:, None]
    square = rest * rest
    skewness = np.arcsinh((square * rest).mean(axis=1) / np.maximum(square.mean(axis=1), 1e-9) ** 1.5)
    dark = np.count_nonzero(flat < _DARK, axis=1) / flat.shape[1]
    plan = _plan_spectrum(planes.shape[-1])
    whole = np.fft.rfft2(rest.reshape(planes.shape) * plan.window).reshape(len(planes), -1)
    terms = np.take(whole, plan.order, axis=1)
    power = terms.real**2 + terms.imag**2
    bands = np.split((terms * plan.weight).view(np.float32), plan.edges, axis=1)
    products = np.stack([sum_products_of_rows(band, band) for band in bands])
    sums = np.maximum(np.diagonal(products, axis1=1, axis2=2).T, 1e-9)
    steps = np.diff(np.log(sums), axis=1)
    turned = sum_products_of_rows(power, plan.turns)
    total = np.maximum(turned[:, 4], 1e-9)
    direction = np.log(np.hypot(turned[:, 0], turned[:, 1]) / total + _LEAST_DIRECTION)
    cross = np.log(np.hypot(turned[:, 2], turned[:, 3]) / total + _LEAST_DIRECTION)
    mean_of_ring = np.add.reduceat(power, plan.rings, axis=1) / plan.terms
    over_mean = (np.maximum.reduceat(power, plan.rings, axis=1) / np.maximum(mean_of_ring, 1e-9)).max(axis=1)
    peak = np.log(np.maximum(over_mean, 1))
    for number in range(len(planes)):
        yield from (mean[number], dark[number], skewness[number], *steps[number])
        yield from (direction[number], cross[number], peak[number])
    for one, two in PAIRS:
        for part in (slice(0, _COARSE), slice(_COARSE, None)):
            yield products[part, one, two].sum() / np.sqrt(sums[one, part].sum() * sums[two, part].sum())


class _SpectrumPlan(NamedTuple):
    """How spectra of one size are summed.

    Attributes:
        window: (side, side), which removes the jump at the edge.
        order: (terms,): which terms of a transform count, by frequency.
        weight: (terms,): the square root of how often each term occurs in the whole transform; 0 outside all bands.
        edges: Where each band but the first begins among the ordered terms.
        turns: (5, terms): cosine and sine of the double and of the fourfold angle of each term, and 1, times its
            squared frequency; zero at low frequencies.
        rings: Where each ring, terms of one frequency in whole cycles, begins among the ordered terms.
        terms: Number of terms of each ring.
    """

    window: np.ndarray
    order: np.ndarray
    weight: np.ndarray
    edges: np.ndarray
    turns: np.ndarray
    rings: np.ndarray
    terms: np.ndarray


@lru_cache(maxsize=4)
def _plan_spectrum(side: int) -> _SpectrumPlan:
    wave = np.hanning(side).astype(np.float32)
    y, x = np.meshgrid(np.fft.fftfreq(side, 1 / side), np.arange(side // 2 + 1), indexing="ij")
    radius, angle = np.hypot(y, x).ravel() * SIDE / side, np.arctan2(y, x).ravel()
    twice = np.where((x == 0) | (x == side / 2), 1.0, 2.0).ravel()
    fine = twice * ((radius >= BANDS[1]) & (radius < BANDS[-1])) * radius**2
    waves = (np.cos(2 * angle), np.sin(2 * angle), np.cos(4 * angle), np.sin(4 * angle), np.ones_like(angle))
    turns = np.stack([fine * each for each in waves])
    ring = np.minimum(radius.astype(int), BANDS[-1])
    order = np.argsort(ring, kind="stable")
    order = order[np.searchsorted(ring[order], BANDS[0]) :]
    weight = np.sqrt(twice * (ring < BANDS[-1]))[order].astype(np.float32)
    edges = 2 * np.searchsorted(ring[order], BANDS[1:-1])
    counts = np.bincount(ring[order])
    seen = np.flatnonzero(counts[_MIN_RING + 1 :]) + _MIN_RING + 1
    rings = np.searchsorted(ring[order], seen)
    return _SpectrumPlan(
        wave[:, None] * wave, order, weight, edges, turns[:, order].astype(np.float32), rings, counts[seen]
    )


def _measure_nuclei(planes: np.ndarray) -> Iterator[float]:
    nuclei = find_bright(_smooth(planes[BLUE]))
    bits, shape, line = pack_mask(nuclei), nuclei.shape, nuclei.shape[1] + 1
    area = max(bits.bit_count(), 1)
    number, outline = _count_objects(bits, line)
    number = max(number, _LEAST_NUMBER)
    yield area / nuclei.size
    yield np.log(number)
    yield np.log(area / number)
    yield max(np.log(4 * np.pi * area * number / max(outline, 1.0) ** 2), _LEAST_ROUNDNESS)
    yield (mark_all(*shape) & ~dilate(mark_all(*shape) & ~bits, mark_all(*shape), line, _CORE)).bit_count() / area
    near = unpack_mask(dilate(bits, mark_all(*shape), line, _RING), *shape)
    parts = np.stack([nuclei, ~near, near & ~nuclei]).reshape(3, -1).astype(np.float32)
    sizes = parts.sum(axis=1)
    means = sum_products_of_rows(planes[[RED, YELLOW]].reshape(2, -1) + 2, parts) / np.maximum(sizes, 1)
    for within, outside, ring in means:
        around = ring if sizes[2] else 1.0
        yield float(np.log(within / around)) if sizes[0] else 0.0
        yield float(np.log(outside / around)) if sizes[1] else 0.0


def _smooth(plane: np.ndarray) -> np.ndarray:
    """Return the mean over 3 × 3 pixels."""
    padded = np.empty((plane.shape[0] + 2, plane.shape[1] + 2), plane.dtype)
    padded[1:-1, 1:-1] = plane
    padded[0, 1:-1], padded[-1, 1:-1] = plane[0], plane[-1]
    padded[:, 0], padded[:, -1] = padded[:, 1], padded[:, -2]
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return np.asarray((rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / 9)


def _count_objects(bits: int, line: int) -> tuple[float, float]:
    """Return the Euler number (objects minus holes) and the length of the outlines, from 2 × 2 squares (Pratt)."""
    one, beside, diagonal, three = count_squares(bits, line)
    return (one - three - 2 * diagonal) / 4, beside + (one + three + 2 * diagonal) / math.sqrt(2)
