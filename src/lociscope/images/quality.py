"""What is wrong with a field's pixels, as warnings that go with its prediction.

Like the input of the network, none of it depends on the container: gain, offset and type of the pixels, and the
brightness of other channels, change no warning.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lociscope.channels import BLUE, CHANNEL_NAMES, RED
from lociscope.images.scale import percentiles, percentiles_of_sorted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lociscope.images.preprocess import Preprocessed

SATURATED_PERCENT = 3.0
"""Percentage of pixels at the bright end from which a plane is saturated; none of 65 real fields is."""

REPEATED_CORRELATION = 0.9995
"""Correlation from which two channels are copies of each other."""

BLURRED_SLOPE = -3.45
"""Slope of the microtubules' spectrum below which a field is out of focus: on 65 real fields at 0.32–1.3 µm a pixel it
is −3.2 or above, and −3.6 or below in 19 of 20 of them when blurred by two pixels."""

CUT_SHARE = 0.5
"""Share of the nuclei's area that belongs to nuclei at the edge from which a field's cells count as cut off: of 65 real
fields at most 0.46, of 100 simulated ones 1 above; of the same real fields' quarters along a side, 41 µm, 42 above."""

PAIRS = tuple(combinations(range(len(CHANNEL_NAMES)), 2))
"""Every two channels, in the order of `InputMeasures.correlations`."""

_SWAP_SLOPE, _SWAP_PARTS = 0.2, 0.02
_LEAST_SIDE = 192
"""Coarser inputs than of 0.85 µm a pixel show too little of nuclei."""

_TINY_SIDE = 16
_LEAST_CYCLES = 4
_BAND, _PILED = 0.01, 3
_CUT_SIDE, _CUT_LEAST, _CUT_MOST = 128, 32, 0.45
_BINS = 64


class Measures(NamedTuple):
    """Figures of one plane; the first three bear CellProfiler's names.

    Attributes:
        PercentMaximal: Percentage of pixels at the plane's maximum.
        PercentMinimal: Percentage of pixels at the plane's minimum.
        PowerLogLogSlope: Slope of the power spectrum in log-log scale, steeper (more negative) where it is blurred
            (Bray et al., J Biomol Screen 17, 266–274, 2012).
        parts: Share of the variance that parting the pixels into dark and bright explains (Otsu), 0–1; high for
            bright things on a dark ground, as nuclei are.
    """

    PercentMaximal: float
    PercentMinimal: float
    PowerLogLogSlope: float
    parts: float


class InputMeasures(NamedTuple):
    """Figures of a network's input.

    Attributes:
        planes: Of each channel; zeros where the input is smaller than 16 px.
        correlations: Pearson's correlation of each two channels, in the order of `PAIRS`; 0 where one is constant.
    """

    planes: tuple[Measures, ...]
    correlations: tuple[float, ...]


def measure_input(pixels: np.ndarray) -> InputMeasures:
    """Measure a network's input.

    Args:
        pixels: (height, width, 4) of uint8.

    Returns:
        Its figures.
    """
    planes = np.ascontiguousarray(np.moveaxis(pixels, -1, 0))
    if min(pixels.shape[:2]) < _TINY_SIDE:
        return InputMeasures((Measures(0.0, 0.0, 0.0, 0.0),) * len(planes), _correlations(planes))
    return InputMeasures(tuple(map(measure, planes)), _correlations(planes))


def measure(plane: np.ndarray) -> Measures:
    """Measure one plane.

    Args:
        plane: (y, x) of uint8, at least 16 × 16.

    Returns:
        Its figures.
    """
    some = plane[::2]  # every second row says as much
    counts = np.bincount(some.ravel(), minlength=256)
    seen = np.flatnonzero(counts)
    most, least = (100 * float(counts[edge]) / some.size for edge in (seen[-1], seen[0]))
    return Measures(most, least, _slope(plane), _otsu(*_binned(counts, seen))[0])


def find_warnings(
    whole: Preprocessed, measures: InputMeasures, side: int, missing: Sequence[str] = ()
) -> tuple[str, ...]:
    """Notice what is wrong with a field.

    Missing, empty, faint, saturated and repeated channels, and cells cut off by the edge; at inputs of 192 px or more
    also a nucleus channel without nuclei, and a field that is unsharp. Nuclei are the smoothest things in a field (the
    steepest spectrum) and part it best into dark and bright. Where another channel does both better than the one
    called nucleus, they have likely been swapped. On 65 real fields it says so of none as they are, and of 9 in 10
    whose blue was swapped with another (`tests/images/test_quality.py`).

    Args:
        whole: The field, preprocessed.
        measures: What `measure_input` gave of the network's input.
        side: The shorter side of that input, px.
        missing: Channels that were not imaged.

    Returns:
        One text for each thing noticed, such as `empty plane: green`.
    """
    there = [number for number, name in enumerate(CHANNEL_NAMES) if name not in missing]
    shown = [number for number in there if whole.structure[number] > 0]
    names: dict[str, list[str]] = {
        "missing channel": [name for name in CHANNEL_NAMES if name in missing],
        "empty plane": [CHANNEL_NAMES[number] for number in there if number not in shown],
        "faint plane": [CHANNEL_NAMES[number] for number in shown if whole.structure[number] < 1],
        "saturated": [CHANNEL_NAMES[number] for number in shown if _is_saturated(whole.sample[number])],
        "repeated channel": [
            f"{CHANNEL_NAMES[one]} and {CHANNEL_NAMES[other]}"
            for (one, other), correlation in zip(PAIRS, measures.correlations, strict=True)
            if correlation > REPEATED_CORRELATION and one in shown and other in shown
        ],
    }
    notes = [f"{kind}: {name}" for kind, those in names.items() for name in those]
    if BLUE not in shown:
        return tuple(notes)
    if (share := share_cut(whole.pixels[..., BLUE])) > CUT_SHARE:
        notes.append(f"cells cut off: {100 * share:.0f} % of the nuclei")
    if side >= _LEAST_SIDE:
        notes += _swapped_or_unsharp({number: measures.planes[number] for number in shown})
    return tuple(notes)


def _swapped_or_unsharp(planes: dict[int, Measures]) -> Iterator[str]:
    blue = planes[BLUE]
    like = [
        CHANNEL_NAMES[number]
        for number, its in planes.items()
        if blue.PowerLogLogSlope - its.PowerLogLogSlope > _SWAP_SLOPE and its.parts - blue.parts > _SWAP_PARTS
    ]
    if like:
        yield f"blue shows no nuclei, {' and '.join(like)} may"
    elif RED in planes and planes[RED].PowerLogLogSlope < BLURRED_SLOPE:
        yield "unsharp: red"


def _is_saturated(values: np.ndarray) -> bool:
    """Whether many values pile up at the bright end: several times as many as in a band of the same width below.

    Args:
        values: (n,), sorted.
    """
    dark, top = percentiles_of_sorted(values, (1, 99.5))
    edge = top - _BAND * (top - dark)
    first = int(np.searchsorted(values, edge))
    if len(values) - first <= SATURATED_PERCENT / 100 * len(values) or first == 0 or not top > dark:
        return False
    below = float(values[first - 1])
    beneath = first - int(np.searchsorted(values, below - _BAND * (top - dark)))
    return len(values) - first > _PILED * beneath


def share_cut(plane: np.ndarray) -> float:
    """Return how much of the nuclei belongs to nuclei that the edge of the field cuts.

    Nuclei are what Otsu's threshold parts from the ground, at about 128 pixels a side; those at the edge are found by
    growing the edge's pixels within them.

    Args:
        plane: (y, x) of uint8, the nucleus channel at the network's scale.

    Returns:
        A share of their area, 0–1; 0 where the plane is smaller than 64 px, or is not a few things on a ground.
    """
    every = max(1, max(plane.shape) // (2 * _CUT_SIDE))
    some = plane[::every, ::every].astype(np.float32)
    small = some[:-1:2, :-1:2] + some[1::2, :-1:2] + some[:-1:2, 1::2] + some[1::2, 1::2]
    if min(small.shape) < _CUT_LEAST:
        return 0.0
    small = np.minimum(small, percentiles(small.ravel(), (99.5,))[0])
    low = float(small.min())
    step = (float(small.max()) - low) / (_BINS - 1) or 1.0
    counts = np.bincount(((small - low) / step).astype(np.uint8).ravel(), minlength=_BINS)
    nuclei = small >= _otsu(counts, low, step)[1]
    area = int(nuclei.sum())
    if not 0 < area < _CUT_MOST * nuclei.size:
        return 0.0
    framed = np.zeros((nuclei.shape[0] + 2, nuclei.shape[1] + 2), bool)
    cut = framed[1:-1, 1:-1]
    cut[:] = nuclei
    cut[1:-1, 1:-1] = False
    near, seen = np.zeros(nuclei.shape, bool), 0
    while (grown := int(np.count_nonzero(framed))) > seen:
        seen = grown
        np.logical_or(framed[:-2, 1:-1], framed[2:, 1:-1], out=near)
        near |= framed[1:-1, :-2]
        near |= framed[1:-1, 2:]
        near &= nuclei
        cut |= near
    return float(cut.sum() / area)


def _slope(plane: np.ndarray) -> float:
    """Return the slope of log power against log frequency, from 4 cycles a side to half the sampling rate."""
    side = min(plane.shape)
    term = np.fft.rfft2(plane[:side, :side].astype(np.float32))
    order, first, count = _rings(side)
    term = term.ravel()[order]
    mean = np.add.reduceat(term.real**2 + term.imag**2, first) / count
    at = np.log(np.arange(_LEAST_CYCLES, side // 2))
    at -= at.mean()
    return float(at @ np.log(mean + 1e-9) / (at @ at))


@lru_cache(maxsize=4)
def _rings(side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a real transform's terms in order of frequency, where each frequency begins, and how many terms it has."""
    y, x = np.fft.fftfreq(side, 1 / side), np.arange(side // 2 + 1)
    ring = np.hypot(*np.meshgrid(y, x, indexing="ij")).astype(int).ravel()
    order = np.argsort(ring, kind="stable")
    first = np.searchsorted(ring[order], np.arange(_LEAST_CYCLES, side // 2 + 1))
    return order[first[0] : first[-1]], first[:-1] - first[0], np.diff(first)


def _correlations(planes: np.ndarray) -> tuple[float, ...]:
    values = planes[:, ::4].reshape(len(planes), -1).astype(np.float32)  # every fourth row says as much
    values -= values.mean(axis=1, keepdims=True)
    products = values @ values.T
    spread = np.sqrt(np.diag(products))
    return tuple(
        float(products[one, two] / (spread[one] * spread[two])) if spread[one] * spread[two] > 0 else 0.0
        for one, two in PAIRS
    )


def _binned(counts: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, float, float]:
    """The histogram of a plane of 8 bits in 64 bins from its least to its greatest value; the least, and the step."""
    low = float(seen[0])
    step = (float(seen[-1]) - low) / (_BINS - 1) or 1.0
    return np.bincount(((seen - low) / step).astype(int), counts[seen], minlength=_BINS), low, step


def _otsu(counts: np.ndarray, low: float, step: float) -> tuple[float, float]:
    """Otsu's criterion, the variance between the best two classes as a share of the whole, and his threshold."""
    centre, share = np.arange(_BINS), counts / counts.sum()
    below, mean = np.cumsum(share), np.cumsum(share * centre)
    variance = float(np.sum(share * (centre - mean[-1]) ** 2))
    inner = below[:-1] * (1 - below[:-1])
    between = (mean[-1] * below[:-1] - mean[:-1]) ** 2 / np.where(inner > 0, inner, 1)
    best = int(between.argmax())
    return float(between[best] / variance) if variance > 0 else 0.0, low + step * (best + 1)
