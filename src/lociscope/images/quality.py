"""What is wrong with a field's pixels, as warnings that go with its prediction."""

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lociscope.channels import BLUE, CHANNEL_NAMES, RED
from lociscope.images.scale import full_scale, percentiles

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lociscope.channels import ChannelName

EMPTY_SHARE = 0.01
"""A plane whose brightest pixel differs from its darkest by less than this share of full scale is empty."""

SATURATED_PERCENT = 3.0
"""Percentage of pixels at full scale from which a plane is saturated; of 65 real fields none has it (at most 2.5)."""

BACKGROUND_SHARE = 0.3
"""A dark end of a plane, as a share of its bright end, that is high; of 65 real fields at most 0.17."""

BLURRED_SLOPE = -3.45
"""Slope of the microtubules' spectrum below which a field is out of focus: on 65 real fields at 0.32–1.3 µm a pixel it
is −3.2 or above, and −3.6 or below in 19 of 20 of them when blurred by two pixels."""

CUT_SHARE = 0.5
"""Share of the nuclei's area that belongs to nuclei at the edge from which a field's cells count as cut off: of 65 real
fields at most 0.46, of 100 simulated ones 1 above; of the same real fields' quarters along a side, 41 µm, 39 above."""

_SWAP_SLOPE, _SWAP_PARTS = 0.2, 0.02
_LEAST_SIDE = 192
"""Coarser inputs than of 0.85 µm a pixel show too little of nuclei."""

_STEP = 3
_CUT_SIDE, _CUT_LEAST, _CUT_MOST = 128, 32, 0.45


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


def measure(plane: np.ndarray) -> Measures:
    """Measures one plane.

    Args:
        plane: (y, x), at least 16 × 16, as it comes or put to scale.

    Returns:
        Its figures.
    """
    values = plane.astype(np.float32)
    low, high = float(values.min()), float(values.max())
    most, least = (100 * float(np.mean(values == edge)) for edge in (high, low))
    return Measures(most, least, _slope(values), _parts(values))


def warnings_of(pixels: np.ndarray, missing: "Sequence[str]" = ()) -> tuple[str, ...]:
    """Notices missing, empty, saturated, repeated planes, those of a high background, and cells cut off by the edge.

    Args:
        pixels: (y, x, 4), RGBY, as they come from the file.
        missing: Channels that were not imaged.

    Returns:
        One text for each thing noticed, such as `empty plane: green`.
    """
    top = full_scale(pixels)
    spans = pixels.max(axis=(0, 1)).astype(float) - pixels.min(axis=(0, 1))
    empty = [name for name, span in zip(CHANNEL_NAMES, spans, strict=True) if span < EMPTY_SHARE * top]
    notes = [f"missing channel: {name}" for name in missing]
    notes += [f"empty plane: {name}" for name in empty if name not in missing]
    some = {
        name: pixels[::_STEP, ::_STEP, number]
        for number, name in enumerate(CHANNEL_NAMES)
        if name not in missing and name not in empty
    }
    notes += [f"saturated: {name}" for name, plane in some.items() if 100 * np.mean(plane >= top) > SATURATED_PERCENT]
    notes += [f"high background: {name}" for name, plane in some.items() if _background(plane) > BACKGROUND_SHARE]
    notes += _repeated(some)
    if CHANNEL_NAMES[BLUE] in some and (share := share_cut(pixels[..., BLUE])) > CUT_SHARE:
        notes.append(f"cells cut off: {100 * share:.0f} % of the nuclei")
    return tuple(notes)


def warnings_of_input(
    pixels: np.ndarray, missing: "Sequence[str]" = (), measures: "Sequence[Measures] | None" = None
) -> tuple[str, ...]:
    """Notices what shows only at a known scale: a nucleus channel without nuclei, a field that is unsharp.

    Nuclei are the smoothest things in a field (the steepest spectrum) and part it best into dark and bright. Where
    another channel does both better than the one called nucleus, they have likely been swapped. On 65 real fields
    it says so of none as they are, and of 9 in 10 whose blue was swapped with another
    (`tests/images/test_quality.py`).

    Args:
        pixels: (height, width, 4) of uint8, as the network sees them.
        missing: Channels that were not imaged.
        measures: What `measure` gave of each channel, if it is known.

    Returns:
        One text for each thing noticed.
    """
    if min(pixels.shape[:2]) < _LEAST_SIDE:
        return ()
    figures = [measure(pixels[..., number]) for number in range(len(CHANNEL_NAMES))] if measures is None else measures
    seen = {
        name: figures[number]
        for number, name in enumerate(CHANNEL_NAMES)
        if name not in missing and np.ptp(pixels[..., number])
    }
    blue, red = CHANNEL_NAMES[BLUE], CHANNEL_NAMES[RED]
    if blue not in seen:
        return ()
    like = [
        name
        for name, its in seen.items()
        if seen[blue].PowerLogLogSlope - its.PowerLogLogSlope > _SWAP_SLOPE
        and its.parts - seen[blue].parts > _SWAP_PARTS
    ]
    notes = [f"blue shows no nuclei, {' and '.join(like)} may"] if like else []
    if red in seen and seen[red].PowerLogLogSlope < BLURRED_SLOPE and not like:
        notes.append("unsharp: red")
    return tuple(notes)


def share_cut(plane: np.ndarray) -> float:
    """How much of the nuclei belongs to nuclei that the edge of the field cuts.

    Nuclei are what Otsu's threshold parts from the ground, at about 128 pixels a side; those at the edge are found by
    growing the edge's pixels within them.

    Args:
        plane: (y, x), the nucleus channel as it comes.

    Returns:
        A share of their area, 0–1; 0 where the plane is smaller than 64 px, or is not a few things on a ground.
    """
    step = max(1, max(plane.shape) // (2 * _CUT_SIDE))
    some = plane[::step, ::step].astype(np.float32)
    small = some[:-1:2, :-1:2] + some[1::2, :-1:2] + some[:-1:2, 1::2] + some[1::2, 1::2]
    if min(small.shape) < _CUT_LEAST:
        return 0.0
    nuclei = small >= _otsu(np.minimum(small, percentiles(small.ravel(), (99.5,))[0]))[1]
    area = int(nuclei.sum())
    if not 0 < area < _CUT_MOST * nuclei.size:
        return 0.0
    framed = np.zeros((nuclei.shape[0] + 2, nuclei.shape[1] + 2), bool)
    cut = framed[1:-1, 1:-1]
    cut[:] = nuclei
    cut[1:-1, 1:-1] = False
    for _ in range(_CUT_SIDE):
        before = int(cut.sum())
        near = framed[:-2, 1:-1] | framed[2:, 1:-1] | framed[1:-1, :-2] | framed[1:-1, 2:]
        cut |= near & nuclei
        if int(cut.sum()) == before:
            break
    return float(cut.sum() / area)


def _background(plane: np.ndarray) -> float:
    low, high = percentiles(plane.ravel(), (1, 99.9))
    return float(low / high) if high > 0 else 0.0


def _repeated(planes: "Mapping[ChannelName, np.ndarray]") -> "Iterator[str]":
    names = list(planes)
    for number, one in enumerate(names):
        for other in names[number + 1 :]:
            if np.array_equal(planes[one], planes[other]):
                yield f"repeated channel: {one} and {other}"


def _slope(values: np.ndarray) -> float:
    """Slope of log power against log frequency, from 4 cycles a side to half the sampling rate."""
    side = min(values.shape)
    square = values[:side, :side]
    term = np.fft.rfft2(square - square.mean())
    power = term.real**2 + term.imag**2
    ring, count = _rings(side)
    mean = np.bincount(ring, power.ravel()) / count
    at = np.arange(4, side // 2)
    return float(np.polyfit(np.log(at), np.log(mean[at] + 1e-9), 1)[0])


@lru_cache(maxsize=4)
def _rings(side: int) -> tuple[np.ndarray, np.ndarray]:
    """For each term of a real transform its distance from the middle, and how many terms have each."""
    y, x = np.fft.fftfreq(side, 1 / side), np.arange(side // 2 + 1)
    ring = np.hypot(*np.meshgrid(y, x, indexing="ij")).astype(int).ravel()
    return ring, np.maximum(np.bincount(ring), 1)


def _parts(values: np.ndarray) -> float:
    """Otsu's criterion: the variance between the best two classes, as a share of the whole."""
    return _otsu(values)[0]


def _otsu(values: np.ndarray) -> tuple[float, float]:
    """The criterion, and the threshold from which values belong to the bright class."""
    low = float(values.min())
    step = (float(values.max()) - low) / 63 or 1.0
    count = np.bincount(((values - low) / step).astype(np.uint8).ravel(), minlength=64)
    centre, share = np.arange(64), count / count.sum()
    below, mean = np.cumsum(share), np.cumsum(share * centre)
    variance = float(np.sum(share * (centre - mean[-1]) ** 2))
    inner = below[:-1] * (1 - below[:-1])
    between = (mean[-1] * below[:-1] - mean[:-1]) ** 2 / np.where(inner > 0, inner, 1)
    best = int(between.argmax())
    return float(between[best] / variance) if variance > 0 else 0.0, low + step * (best + 1)
