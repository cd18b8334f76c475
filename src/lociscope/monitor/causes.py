"""Infer what changed from how the statistics moved together: the microscope, the specimens, or the proteins."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lociscope.channels import CHANNEL_NAMES, GREEN
from lociscope.images.quality import PAIRS
from lociscope.images.statistics import PER_CHANNEL, STATISTICS
from lociscope.monitor.compare import run_fisher_tests, run_kolmogorov_smirnov_tests, run_spearman_test
from lociscope.monitor.report import Cause, CauseKind
from lociscope.warnings import WarningKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lociscope.channels import ChannelName
    from lociscope.monitor.samples import Sample

LEVEL = 0.01
"""Each step asks for a p of at most this; causes are inferred only for windows in which something moved."""

MIN_FACTOR = 1.15
"""Smallest change of a signal, as a factor, that is reported as gain or exposure."""

MIN_OFFSET = 2.0
"""Smallest offset that is reported, grey levels."""

MAX_DARK_SHARE = 0.6
"""Pixels at the minimum of the plane, as a share of those in the reference, from which noise is reported: noise spreads
a background of one grey level."""

MIN_DARK_PERCENT = 5.0
"""Pixels at the minimum of the plane, %, that the reference must have for that."""

SATURATED = 250.0
"""Bright end, in grey levels, from which a stronger signal cannot show."""

MIN_SLOPE = 0.08
"""Smallest change of the slope of the spectrum that is reported as blur or noise."""

MAX_DARK, MIN_LIT = 1.0, 3.0
"""A channel is empty if its signal is at most the first in the window and at least the second in the reference."""

MAX_SWAPPED_COST = 0.7
"""The statistics must fit this much better, as a share of their misfit, once channels are exchanged."""

MIN_MISFIT = 0.15
"""Smallest misfit, in spreads of the reference, from which channels can be exchanged."""

MAX_FADED = 0.85
"""Signal at the end of the window, as a share of its start, from which fading is reported."""

MIN_FADING_FIELDS = 12
_STAINED = tuple(number for number in range(len(CHANNEL_NAMES)) if number != GREEN)
_PLANES = len(CHANNEL_NAMES) * len(PER_CHANNEL)


class _Statistics(NamedTuple):
    """The statistics of n fields: `planes` is (n, 4, k) in the order of `PER_CHANNEL`, `correlations` is (n, 6)."""

    planes: np.ndarray
    correlations: np.ndarray

    def of(self, name: str) -> np.ndarray:
        """Return one statistic of the channels, (n, 4)."""
        return np.asarray(self.planes[:, :, PER_CHANNEL.index(name)])

    @property
    def signal(self) -> np.ndarray:
        """The bright end above the background, (n, 4), in grey levels; at least 0.5."""
        return np.asarray(np.maximum(self.of("BrightIntensity") - self.of("BackgroundIntensity"), 0.5))


def find_causes(window: Sample, reference: Sample, columns: Sequence[int], fading: Sequence[Cause] = ()) -> list[Cause]:
    """Return what may have changed in the images, the most certain first; empty if nothing typical has.

    Args:
        window: The fields to check.
        reference: The fields to compare them with.
        columns: The columns of the statistics that can be compared.
        fading: What `find_fading` found.
    """
    if window.statistics is None or reference.statistics is None or not columns:
        return []
    here, there = _split(window.statistics), _split(reference.statistics)
    dark = _find_dark(window, here, there)
    channels = tuple(number for number in range(len(CHANNEL_NAMES)) if CHANNEL_NAMES[number] not in _name(dark))
    everything = len(columns) == len(STATISTICS)
    if everything and (swapped := _find_swap(here, there, channels)):
        return [*dark, swapped]
    faded = {name for cause in fading for name in cause.channels}
    brightness = [
        cause
        for cause in _find_brightness(here, there, channels)
        if not (cause.kind in (CauseKind.GAIN, CauseKind.EXPOSURE) and faded.issuperset(cause.channels))
    ]
    if not everything:
        return [*dark, *fading, *brightness]
    texture = _find_texture(here, there, channels)
    blurred = {name for cause in texture if cause.kind == CauseKind.DEFOCUS for name in cause.channels}
    brightness = [cause for cause in brightness if not _follows_from_blur(cause, blurred)]
    size = [] if blurred else _find_size(window, reference)
    return [*dark, *fading, *size, *texture, *brightness]


def is_physical(causes: Iterable[Cause]) -> bool:
    """Return whether a cause lies in the microscope, besides the brightness of the protein channel."""
    green = (CHANNEL_NAMES[GREEN],)
    return any(not (cause.kind == CauseKind.GAIN and cause.channels == green) for cause in causes)


def _split(table: np.ndarray) -> _Statistics:
    planes = table[:, :_PLANES].reshape(len(table), len(CHANNEL_NAMES), len(PER_CHANNEL))
    return _Statistics(planes.astype(np.float64), table[:, _PLANES:].astype(np.float64))


def _name(causes: Iterable[Cause]) -> set[ChannelName]:
    return {name for cause in causes for name in cause.channels}


def _names(numbers: Iterable[int]) -> tuple[ChannelName, ...]:
    return tuple(CHANNEL_NAMES[number] for number in numbers)


def _find_dark(window: Sample, here: _Statistics, there: _Statistics) -> list[Cause]:
    """Find channels that show nothing in most fields of the window, and did in the reference."""
    before = np.median(there.signal, axis=0) >= MIN_LIT
    now = np.median(here.of("BrightIntensity") - here.of("BackgroundIntensity"), axis=0) <= MAX_DARK
    numbers = np.flatnonzero(before & now).tolist()
    missing = {
        name for name in _names(numbers) if _count_warned(window, WarningKind.MISSING_CHANNEL, name) > len(window) / 2
    }
    kinds = {CauseKind.MISSING_CHANNEL: missing, CauseKind.EMPTY_CHANNEL: {*_names(numbers)} - missing}
    return [
        Cause(kind=kind, channels=tuple(name for name in CHANNEL_NAMES if name in names))
        for kind, names in kinds.items()
        if names
    ]


def _count_warned(sample: Sample, kind: WarningKind, channel: ChannelName | None = None) -> int:
    return sum(
        any(each.kind == kind and (channel is None or channel in each.channels) for each in warnings)
        for warnings in sample.warnings or ()
    )


def _find_swap(here: _Statistics, there: _Statistics, channels: Sequence[int]) -> Cause | None:
    """Find whether the channels fit the reference much better in another order."""
    shape = np.concatenate([there.planes[:, :, 3:], np.log(there.signal)[:, :, None]], axis=2)
    found = np.concatenate([here.planes[:, :, 3:], np.log(here.signal)[:, :, None]], axis=2)
    expected, seen = np.median(shape, axis=0), np.median(found, axis=0)
    spread = np.maximum(_spread(shape), 0.05 * np.abs(expected) + 1e-3)
    pairs = {frozenset(pair): number for number, pair in enumerate(PAIRS)}
    correlation, seen_correlation = np.median(there.correlations, axis=0), np.median(here.correlations, axis=0)
    correlation_spread = np.maximum(_spread(there.correlations), 0.02)

    def cost(order: Sequence[int]) -> float:
        planes = np.minimum(np.abs(seen[list(order)] - expected) / spread, 4)
        moved = [pairs[frozenset((order[one], order[two]))] for one, two in PAIRS]
        links = np.minimum(np.abs(seen_correlation[moved] - correlation) / correlation_spread, 4)
        return float(np.concatenate([planes.ravel(), links]).mean())

    same = tuple(range(len(CHANNEL_NAMES)))
    fixed = set(same) - set(channels)
    orders = [order for order in permutations(same) if all(order[number] == number for number in fixed)]
    best = min(orders, key=cost)
    if best == same or cost(same) < MIN_MISFIT or cost(best) > MAX_SWAPPED_COST * cost(same):
        return None
    return Cause(kind=CauseKind.SWAPPED_CHANNELS, channels=_names(number for number in same if best[number] != number))


def _spread(values: np.ndarray) -> np.ndarray:
    """Return the spread of each column as the standard deviation of a normal distribution with these quartiles."""
    low, high = np.quantile(values, (0.25, 0.75), axis=0)
    return np.asarray((high - low) / 1.349)


def find_fading(window: Sample, groups: Sequence[np.ndarray], level: float) -> list[Cause]:
    """Find stains whose signal falls from the first field of the window to the last.

    Args:
        window: The fields, in the order in which they were imaged.
        groups: The rows of each group of fields that belong together; groups are compared by their medians.
        level: The chance of a finding if nothing fades.
    """
    if window.statistics is None or len(groups) < MIN_FADING_FIELDS:
        return []
    ordered = sorted(groups, key=lambda rows: int(rows[0]))
    signals = np.log(_split(window.statistics).signal)
    signals = np.array([np.median(signals[rows], axis=0) for rows in ordered])
    third = len(ordered) // 3
    faded = {}
    for number in _STAINED:
        trend = run_spearman_test(np.arange(len(ordered)), signals[:, number])
        left = float(np.exp(np.median(signals[-third:, number]) - np.median(signals[:third, number])))
        if trend.value < 0 and trend.p <= level / len(_STAINED) and left <= MAX_FADED:
            faded[number] = left
    if not faded:
        return []
    value = float(np.median(list(faded.values())))
    return [Cause(kind=CauseKind.BLEACHING, channels=_names(faded), value=round(value, 3))]


def _find_brightness(here: _Statistics, there: _Statistics, channels: Sequence[int]) -> list[Cause]:
    """Find signals that are stronger or weaker by a factor, and backgrounds that are raised or lowered."""
    signals = [np.log(each.signal) for each in (here, there)]
    signal_tests = run_kolmogorov_smirnov_tests(*signals)
    factors = np.exp(np.median(signals[0], axis=0) - np.median(signals[1], axis=0))
    backgrounds = [each.of("BackgroundIntensity") for each in (here, there)]
    background_tests = run_kolmogorov_smirnov_tests(*backgrounds)
    scaled = {
        number: float(factors[number])
        for number in channels
        if signal_tests[number].p <= LEVEL and not 1 / MIN_FACTOR < factors[number] < MIN_FACTOR
    }
    offsets = {
        number: float(
            np.median(backgrounds[0][:, number]) - scaled.get(number, 1.0) * np.median(backgrounds[1][:, number])
        )
        for number in channels
        if background_tests[number].p <= LEVEL
    }
    offsets = {number: offset for number, offset in offsets.items() if abs(offset) >= MIN_OFFSET}
    saturated = np.flatnonzero(np.median(here.of("BrightIntensity"), axis=0) >= SATURATED).tolist()
    return [*_describe_factors(scaled, channels, saturated), *_describe_offsets(offsets)]


def _describe_factors(scaled: dict[int, float], channels: Sequence[int], saturated: Sequence[int]) -> list[Cause]:
    """Return one cause if all stains changed alike, else one for each channel."""
    stained = [number for number in channels if number in _STAINED]
    common = [scaled[number] for number in stained if number in scaled]
    hidden = [number for number in stained if number not in scaled and number in saturated]
    alike = len(common) + len(hidden) == len(stained) > 1 and bool(common)
    if alike and max(common) / min(common) < MIN_FACTOR**3 and (not hidden or min(common) > 1):
        numbers = [number for number in channels if number in scaled or number in hidden]
        value = round(float(np.exp(np.mean(np.log(common)))), 3)
        return [Cause(kind=CauseKind.EXPOSURE, channels=_names(numbers), value=value)]
    return [
        Cause(kind=CauseKind.GAIN, channels=_names([number]), value=round(factor, 3))
        for number, factor in sorted(scaled.items(), key=lambda each: -abs(np.log(each[1])))
    ]


def _describe_offsets(offsets: dict[int, float]) -> list[Cause]:
    if not offsets:
        return []
    value = round(float(np.median(list(offsets.values()))), 1)
    return [Cause(kind=CauseKind.OFFSET, channels=_names(sorted(offsets)), value=value)]


def _find_texture(here: _Statistics, there: _Statistics, channels: Sequence[int]) -> list[Cause]:
    """Find blur and noise, from the slopes of the spectra and the pixels of the background."""
    slopes = [each.of("PowerLogLogSlope") for each in (here, there)]
    slope_tests = run_kolmogorov_smirnov_tests(*slopes)
    change = np.median(slopes[0], axis=0) - np.median(slopes[1], axis=0)
    darks = [each.of("PercentMinimal") for each in (here, there)]
    dark_tests = run_kolmogorov_smirnov_tests(*darks)
    dark_now, dark_before = (np.median(each, axis=0) for each in darks)
    blurred, noisy = [], []
    for number in channels:
        spread = dark_tests[number].p <= LEVEL and dark_before[number] >= MIN_DARK_PERCENT
        if slope_tests[number].p <= LEVEL and change[number] <= -MIN_SLOPE:
            blurred.append(number)
        elif (slope_tests[number].p <= LEVEL and change[number] >= MIN_SLOPE) or (
            spread and dark_now[number] <= MAX_DARK_SHARE * dark_before[number]
        ):
            noisy.append(number)
    kinds = ((CauseKind.DEFOCUS, blurred), (CauseKind.NOISE, noisy))
    return [Cause(kind=kind, channels=_names(numbers)) for kind, numbers in kinds if numbers]


def _follows_from_blur(cause: Cause, blurred: set[ChannelName]) -> bool:
    """Return whether a weaker signal follows from blur, which spreads bright structures."""
    return (
        cause.kind in (CauseKind.GAIN, CauseKind.EXPOSURE)
        and (cause.value or 1) < 1
        and blurred.issuperset(set(cause.channels) - {CHANNEL_NAMES[GREEN]})
    )


def _find_size(window: Sample, reference: Sample) -> list[Cause]:
    """Find structures of another size from the number of fields whose edge crops the nuclei."""
    if window.warnings is None or reference.warnings is None:
        return []
    cropped = [
        np.array(
            [any(each.kind == WarningKind.CROPPED_CELLS for each in warnings) for warnings in sample.warnings or ()]
        )
        for sample in (window, reference)
    ]
    found = run_fisher_tests(*(each[:, None] for each in cropped))[0]
    return [Cause(kind=CauseKind.PIXEL_SIZE)] if found.p <= LEVEL and found.value > 0 else []
