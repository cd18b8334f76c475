"""Measure what a field looks like, to recognise one that is unlike fields of cells.

`lociscope.predict.out_of_distribution` uses the measures. They are those in which stained cells differ from other
pictures: dark background, a spectrum that falls evenly and has no direction, compact nuclei, and cytoplasm around them.
Like the warnings, they do not depend on gain, offset and type of the pixels.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lociscope.channels import BLUE, CHANNEL_NAMES, RED, YELLOW
from lociscope.images.otsu import find_bright
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
_RING = 4

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
    dark = (flat < _DARK).mean(axis=1)
    plan = _plan_spectrum(planes.shape[-1])
    terms = np.fft.rfft2(rest.reshape(planes.shape) * plan.window).reshape(len(planes), -1)
    power = terms.real**2 + terms.imag**2
    sums = np.maximum(power @ plan.bands, 1e-9)
    steps = np.diff(np.log(sums), axis=1)
    turned = power @ plan.turns
    total = np.maximum(turned[:, 4], 1e-9)
    direction = np.log(np.hypot(turned[:, 0], turned[:, 1]) / total + _LEAST_DIRECTION)
    cross = np.log(np.hypot(turned[:, 2], turned[:, 3]) / total + _LEAST_DIRECTION)
    for number, its in enumerate(power):
        mean_of_ring = np.bincount(plan.ring, its, minlength=len(plan.terms)) / plan.terms
        over_mean = (its / np.maximum(mean_of_ring[plan.ring], 1e-9))[plan.ring > _MIN_RING]
        yield from (mean[number], dark[number], skewness[number], *steps[number])
        yield from (direction[number], cross[number], np.log(max(over_mean.max(), 1.0)))
    for one, two in PAIRS:
        both = (terms[one] * terms[two].conj()).real @ plan.bands
        for part in (slice(0, _COARSE), slice(_COARSE, None)):
            yield both[part].sum() / np.sqrt(sums[one, part].sum() * sums[two, part].sum())


class _SpectrumPlan(NamedTuple):
    """How spectra of one size are summed.

    Attributes:
        window: (side, side), which removes the jump at the edge.
        bands: (terms, bands): 2 or 1 for the terms of a transform that lie in a band, else 0.
        turns: (terms, 5): cosine and sine of the double and of the fourfold angle of each term, and 1, times its
            squared frequency; zero at low frequencies.
        ring: (terms,): the frequency of each term, whole cycles.
        terms: Number of terms of each ring.
    """

    window: np.ndarray
    bands: np.ndarray
    turns: np.ndarray
    ring: np.ndarray
    terms: np.ndarray


@lru_cache(maxsize=4)
def _plan_spectrum(side: int) -> _SpectrumPlan:
    wave = np.hanning(side).astype(np.float32)
    y, x = np.meshgrid(np.fft.fftfreq(side, 1 / side), np.arange(side // 2 + 1), indexing="ij")
    radius, angle = np.hypot(y, x).ravel() * SIDE / side, np.arctan2(y, x).ravel()
    twice = np.where((x == 0) | (x == side / 2), 1.0, 2.0).ravel()
    bands = np.stack([twice * ((radius >= low) & (radius < high)) for low, high in pairwise(BANDS)], axis=1)
    fine = twice * ((radius >= BANDS[1]) & (radius < BANDS[-1])) * radius**2
    waves = (np.cos(2 * angle), np.sin(2 * angle), np.cos(4 * angle), np.sin(4 * angle), np.ones_like(angle))
    turns = np.stack([fine * each for each in waves], axis=1)
    ring = np.minimum(radius.astype(int), BANDS[-1])
    terms = np.maximum(np.bincount(ring), 1)
    return _SpectrumPlan(wave[:, None] * wave, bands.astype(np.float32), turns.astype(np.float32), ring, terms)


def _measure_nuclei(planes: np.ndarray) -> Iterator[float]:
    nuclei = find_bright(_smooth(planes[BLUE]))
    area = max(int(nuclei.sum()), 1)
    number, outline = _count_objects(nuclei)
    number = max(number, _LEAST_NUMBER)
    yield area / nuclei.size
    yield np.log(number)
    yield np.log(area / number)
    yield max(np.log(4 * np.pi * area * number / max(outline, 1.0) ** 2), _LEAST_ROUNDNESS)
    yield float(_erode(nuclei, 2).sum()) / area
    outside = _erode(~nuclei, _RING)
    ring = ~nuclei & ~outside
    for channel in (RED, YELLOW):
        plane = planes[channel] + 2
        around = float(plane[ring].mean()) if ring.any() else 1.0
        for part in (nuclei, outside):
            yield float(np.log(plane[part].mean() / around)) if part.any() else 0.0


def _smooth(plane: np.ndarray) -> np.ndarray:
    """Return the mean over 3 × 3 pixels."""
    padded = np.pad(plane, 1, mode="edge")
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return np.asarray((rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / 9)


def _erode(mask: np.ndarray, times: int) -> np.ndarray:
    """Remove `times` pixels at the edges of a mask; outside the frame counts as inside."""
    for _ in range(times):
        padded = np.pad(mask, 1, constant_values=True)
        mask = mask & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask


def _count_objects(mask: np.ndarray) -> tuple[float, float]:
    """Return the Euler number (objects minus holes) and the length of the outlines, from 2 × 2 squares (Pratt)."""
    padded = np.pad(mask, 1).astype(np.uint8)
    squares = padded[:-1, :-1] + 2 * padded[:-1, 1:] + 4 * padded[1:, :-1] + 8 * padded[1:, 1:]
    counts = np.bincount(squares.ravel(), minlength=16)
    one, three = counts[[1, 2, 4, 8]].sum(), counts[[7, 11, 13, 14]].sum()
    diagonal, two = counts[[6, 9]].sum(), counts[[3, 5, 10, 12]].sum()
    euler = (one - three - 2 * diagonal) / 4
    return float(euler), float(two + (one + three + 2 * diagonal) / np.sqrt(2))
