"""Quality control: warnings about a field's pixels.

The warnings do not depend on the container: like the input of the network, they are the same for every gain, offset
and type of the pixels, and for every brightness of the other channels.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from lociscope.channels import BLUE, CHANNEL_NAMES, RED
from lociscope.images.bit_masks import fill, mark_edge, pack_mask
from lociscope.images.otsu import find_bright, find_threshold, make_histogram
from lociscope.images.products import sum_products_of_rows
from lociscope.images.scale import percentiles, percentiles_of_sorted
from lociscope.warnings import FieldWarning, WarningKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lociscope.channels import ChannelName
    from lociscope.images.preprocess import Preprocessed

SATURATED_PERCENT = 3.0
"""Percentage of pixels at the bright end above which a plane is saturated; none of 65 real fields is."""

REPEATED_CORRELATION = 0.9995
"""Correlation above which two channels are copies of each other."""

BLURRED_SLOPE = -3.45
"""Slope of the microtubules' spectrum below which a field is out of focus: on 65 real fields at 0.32–1.3 µm a pixel it
is −3.2 or above, and −3.6 or below in 19 of 20 of them when blurred by two pixels."""

CROPPED_SHARE = 0.5
"""Share of the nuclei's area, in nuclei that touch the edge, above which a field's cells count as cropped: 65 real
fields have at most 0.46, and 3 of 100 simulated ones have more; of 65 crops of the real fields, a quarter of their side
(41 µm) wide, 42 have more."""

PAIRS = tuple(combinations(range(len(CHANNEL_NAMES)), 2))
"""All pairs of channels, in the order of `InputMeasures.correlations`."""

_SWAP_SLOPE, _SWAP_PARTS = 0.2, 0.02
_MIN_SIDE = 192
"""Inputs with pixels coarser than 0.85 µm do not resolve nuclei well enough."""

_MIN_MEASURED_SIDE = 16
_MIN_CYCLES = 4
_BAND, _PILE_FACTOR = 0.01, 3
_NUCLEI_SIDE, _MIN_NUCLEI_SIDE, _MAX_NUCLEI_SHARE = 128, 32, 0.45


class Measures:
    """Measures of one plane, each computed when it is first read; the first three are named as in CellProfiler.

    Args:
        plane: (y, x) of uint8; below 16 px a side, all measures are 0.
    """

    NAMES = ("PercentMaximal", "PercentMinimal", "PowerLogLogSlope", "parts")

    def __init__(self, plane: np.ndarray) -> None:
        self._plane = plane
        self._measurable = min(plane.shape) >= _MIN_MEASURED_SIDE

    def __iter__(self) -> Iterator[float]:
        """Iterate over the measures in the order of `NAMES`."""
        return (getattr(self, name) for name in self.NAMES)

    @property
    def PercentMaximal(self) -> float:
        """Percentage of pixels at the plane's maximum."""
        return self._get_percent_at(-1)

    @property
    def PercentMinimal(self) -> float:
        """Percentage of pixels at the plane's minimum."""
        return self._get_percent_at(0)

    @cached_property
    def PowerLogLogSlope(self) -> float:
        """Slope of the power spectrum in log-log scale, steeper (more negative) where the plane is blurred.

        Bray et al., J Biomol Screen 17, 266–274, 2012.
        """
        return _measure_slope(self._plane) if self._measurable else 0.0

    @cached_property
    def parts(self) -> float:
        """Otsu's criterion, 0–1: the share of the variance that a split into dark and bright pixels explains.

        It is high for bright objects on a dark background, such as nuclei.
        """
        if not self._measurable:
            return 0.0
        seen = np.flatnonzero(self._counts)
        return find_threshold(*make_histogram(self._counts, seen))[0]

    def _get_percent_at(self, edge: int) -> float:
        if not self._measurable:
            return 0.0
        seen = np.flatnonzero(self._counts)
        return 100 * float(self._counts[seen[edge]]) / float(self._counts.sum())

    @cached_property
    def _counts(self) -> np.ndarray:
        return np.bincount(self._plane[::2].ravel(), minlength=256)  # every second row gives the same measures


class InputMeasures:
    """Measures of a network's input, each computed when it is first read.

    Args:
        pixels: (height, width, 4) of uint8.

    Attributes:
        planes: The measures of each channel.
    """

    def __init__(self, pixels: np.ndarray) -> None:
        self._pixels = np.ascontiguousarray(np.moveaxis(pixels, -1, 0))
        self.planes = tuple(map(Measures, self._pixels))

    @cached_property
    def correlations(self) -> tuple[float, ...]:
        """Pearson's correlation of each pair of channels, in the order of `PAIRS`; 0 where one is constant."""
        return _correlate(self._pixels)


def find_warnings(
    whole: Preprocessed, measures: InputMeasures, side: int, missing: Sequence[str] = ()
) -> tuple[FieldWarning, ...]:
    """Return the warnings about a field's pixels.

    They report missing, empty, faint, saturated and repeated channels, and cells that the edge crops. Inputs of 192 px
    or more are also checked for a nucleus channel without nuclei, and for blur. Nuclei are the smoothest structures in
    a field (the steepest spectrum), and Otsu's threshold separates them best from their background. Where another
    channel exceeds the nucleus channel in both, the two have likely been swapped. This warning is given for none of 65
    real fields, and for 9 in 10 of them whose blue was swapped with another channel (`tests/images/test_quality.py`).

    Args:
        whole: The preprocessed field.
        measures: The measures of the network's input.
        side: The shorter side of that input, px.
        missing: Channels that were not imaged.

    Returns:
        The warnings, in the order of their kinds and channels.
    """
    imaged = [number for number, name in enumerate(CHANNEL_NAMES) if name not in missing]
    visible = [number for number in imaged if whole.structure[number] > 0]
    channels: dict[WarningKind, list[tuple[int, ...]]] = {
        WarningKind.MISSING_CHANNEL: [(number,) for number in range(len(CHANNEL_NAMES)) if number not in imaged],
        WarningKind.EMPTY_CHANNEL: [(number,) for number in imaged if number not in visible],
        WarningKind.FAINT_CHANNEL: [(number,) for number in visible if whole.structure[number] < 1],
        WarningKind.SATURATED: [(number,) for number in visible if _is_saturated(whole.sample[number])],
        WarningKind.REPEATED_CHANNEL: [
            pair
            for pair, correlation in zip(PAIRS, measures.correlations, strict=True)
            if correlation > REPEATED_CORRELATION and all(number in visible for number in pair)
        ],
    }
    warnings = [
        FieldWarning(kind, _name_channels(numbers)) for kind, several in channels.items() for numbers in several
    ]
    if BLUE not in visible:
        return tuple(warnings)
    if (share := cropped_share(whole.pixels[..., BLUE])) > CROPPED_SHARE:
        warnings.append(FieldWarning(WarningKind.CROPPED_CELLS, value=round(100 * share)))
    if side >= _MIN_SIDE:
        warnings += _check_nuclei_and_focus({number: measures.planes[number] for number in visible})
    return tuple(warnings)


def _name_channels(numbers: Iterable[int]) -> tuple[ChannelName, ...]:
    return tuple(CHANNEL_NAMES[number] for number in numbers)


def _check_nuclei_and_focus(planes: dict[int, Measures]) -> Iterator[FieldWarning]:
    blue = planes[BLUE]
    like = [
        number
        for number, its in planes.items()
        if its.parts - blue.parts > _SWAP_PARTS and blue.PowerLogLogSlope - its.PowerLogLogSlope > _SWAP_SLOPE
    ]
    if like:
        yield FieldWarning(WarningKind.NO_NUCLEI, _name_channels(like))
    elif RED in planes and planes[RED].PowerLogLogSlope < BLURRED_SLOPE:
        yield FieldWarning(WarningKind.UNSHARP, ("red",))


def _is_saturated(values: np.ndarray) -> bool:
    """Return whether values pile up at the bright end, several times as many as in a band of the same width below it.

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
    return len(values) - first > _PILE_FACTOR * beneath


def cropped_share(plane: np.ndarray) -> float:
    """Return the share of the nuclei's area that belongs to nuclei cropped by the edge of the field.

    Otsu's threshold separates the nuclei from the background, at about 128 pixels a side. Nuclei at the edge are found
    by growing the pixels of the edge within them.

    Args:
        plane: (y, x) of uint8, the nucleus channel at the network's scale.

    Returns:
        A share of their area, 0–1; 0 where the plane is smaller than 64 px, or shows no separate objects.
    """
    every = max(1, max(plane.shape) // (2 * _NUCLEI_SIDE))
    some = plane[::every, ::every]
    lines = np.add(some[:-1:2], some[1::2], dtype=np.uint16 if plane.dtype == np.uint8 else np.float32)
    small = np.add(lines[:, :-1:2], lines[:, 1::2], dtype=np.float32)
    if min(small.shape) < _MIN_NUCLEI_SIDE:
        return 0.0
    nuclei = find_bright(np.minimum(small, percentiles(small.ravel(), (99.5,))[0]))
    area = int(nuclei.sum())
    if not 0 < area < _MAX_NUCLEI_SHARE * nuclei.size:
        return 0.0
    bits, line = pack_mask(nuclei), nuclei.shape[1] + 1
    return fill(bits & mark_edge(*nuclei.shape), bits, line).bit_count() / area


def _measure_slope(plane: np.ndarray) -> float:
    """Return the slope of log power against log frequency, from 4 cycles a side to half the sampling rate."""
    side = min(plane.shape)
    term = np.fft.rfft2(plane[:side, :side].astype(np.float32))
    order, first, count = _order_by_frequency(side)
    term = term.ravel()[order]
    mean = np.add.reduceat(term.real**2 + term.imag**2, first) / count
    at = np.log(np.arange(_MIN_CYCLES, side // 2))
    at -= at.mean()
    return float(at @ np.log(mean + 1e-9) / (at @ at))


@lru_cache(maxsize=4)
def _order_by_frequency(side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a real transform's terms in order of frequency, where each frequency begins, and how many terms it has."""
    y, x = np.fft.fftfreq(side, 1 / side), np.arange(side // 2 + 1)
    ring = np.hypot(*np.meshgrid(y, x, indexing="ij")).astype(int).ravel()
    order = np.argsort(ring, kind="stable")
    first = np.searchsorted(ring[order], np.arange(_MIN_CYCLES, side // 2 + 1))
    return order[first[0] : first[-1]], first[:-1] - first[0], np.diff(first)


def _correlate(planes: np.ndarray) -> tuple[float, ...]:
    values = planes[:, ::4].reshape(len(planes), -1).astype(np.float32)  # every fourth row gives the same correlations
    values -= values.mean(axis=1, keepdims=True)
    products = sum_products_of_rows(values, values)
    spread = np.sqrt(np.diag(products))
    return tuple(
        float(products[one, two] / (spread[one] * spread[two])) if spread[one] * spread[two] > 0 else 0.0
        for one, two in PAIRS
    )
