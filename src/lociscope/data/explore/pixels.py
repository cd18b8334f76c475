"""Findings about pixels: missing, empty, faint, saturated and blurred channels, and fields of another size."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from lociscope.channels import CHANNEL_NAMES
from lociscope.data.explore.channels import measure_sharpness
from lociscope.data.explore.findings import Finding, FindingKind
from lociscope.images.statistics import STATISTICS
from lociscope.warnings import WarningKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lociscope.channels import ChannelName
    from lociscope.data.explore.inspect import InspectedField

SATURATED_RANGE = (1.0, 5.0)
"""Percentages of clipped pixels between which the threshold of a channel lies: `SATURATED_TIMES` as many as nine of
ten fields have at most. Fields of the Human Protein Atlas are stretched, so that up to 2.5 % of a channel are white;
where fields are not, 1 % is much."""

SATURATED_TIMES = 5.0

MIN_COMPARED = 20
"""Fewest fields among which one can be called blurred; of fewer, those with a warning are reported."""

MIN_BLUR = 3.0
"""How many robust standard deviations blurrier than the other fields a field must be; see `score_blur`."""

_OF_WARNING = {
    WarningKind.MISSING_CHANNEL: FindingKind.MISSING_CHANNEL,
    WarningKind.EMPTY_CHANNEL: FindingKind.BLANK,
    WarningKind.FAINT_CHANNEL: FindingKind.FAINT_CHANNEL,
    WarningKind.REPEATED_CHANNEL: FindingKind.REPEATED_CHANNEL,
}
_SLOPES = [STATISTICS.index(f"PowerLogLogSlope_{name}") for name in CHANNEL_NAMES]


def find_pixel_faults(ids: Sequence[str], fields: Sequence[InspectedField]) -> list[Finding]:
    """Return the findings about the pixels of n fields.

    Args:
        ids: Their names.
        fields: What `inspect_fields` kept of them.
    """
    if not fields:
        return []
    return [
        *_collect_warnings(ids, fields),
        *_find_saturated(ids, fields),
        *_find_blurred(ids, fields),
        *_find_other_sizes(ids, fields),
    ]


def usable_channels(fields: Sequence[InspectedField]) -> np.ndarray:
    """Return (n, 4) of bool: the channels that were imaged and are not empty."""
    kinds = (WarningKind.MISSING_CHANNEL, WarningKind.EMPTY_CHANNEL)
    return np.array(
        [
            [all(name not in each.channels for each in field.warnings if each.kind in kinds) for name in CHANNEL_NAMES]
            for field in fields
        ]
    ).reshape(-1, len(CHANNEL_NAMES))


def score_blur(fields: Sequence[InspectedField]) -> np.ndarray:
    """Return (n,) how much blurrier each field is than the others, in robust standard deviations.

    It is the mean over the usable channels of how far a measure falls below its median: the slope of the power
    spectrum, which notices a slight blur, or the share of fine structure, which notices a strong one; the larger.
    """
    usable = usable_channels(fields)
    slopes = np.array([field.statistics[_SLOPES] for field in fields], float)
    sharpness = np.array([measure_sharpness(field.channels) for field in fields], float)
    return np.maximum(_fall_below(slopes, usable), _fall_below(sharpness, usable))


def _fall_below(values: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """Return (n,) the mean over usable channels of the fall below the median, in robust standard deviations."""
    deviations = np.zeros(values.shape)
    for channel, known in enumerate(usable.T):
        if known.any():
            middle = np.median(values[known, channel])
            spread = max(1.4826 * float(np.median(np.abs(values[known, channel] - middle))), 0.05)
            deviations[:, channel] = np.where(known, (middle - values[:, channel]) / spread, 0)
    return np.asarray(deviations.sum(axis=1) / np.maximum(usable.sum(axis=1), 1))


def _collect_warnings(ids: Sequence[str], fields: Sequence[InspectedField]) -> list[Finding]:
    found = []
    for name, field in zip(ids, fields, strict=True):
        channels: dict[FindingKind, set[ChannelName]] = {}
        for warning in field.warnings:
            if warning.kind in _OF_WARNING:
                channels.setdefault(_OF_WARNING[warning.kind], set()).update(warning.channels)
        for kind, those in channels.items():
            ordered = tuple(each for each in CHANNEL_NAMES if each in those)
            found.append(Finding(kind, (name,), float(len(ordered)), ordered))
    return found


def _find_saturated(ids: Sequence[str], fields: Sequence[InspectedField]) -> list[Finding]:
    clipped = np.stack([field.clipped for field in fields])
    limits = np.clip(SATURATED_TIMES * np.percentile(clipped, 90, axis=0), *SATURATED_RANGE)
    found = []
    for name, shares in zip(ids, clipped, strict=True):
        channels = tuple(
            each for each, share, limit in zip(CHANNEL_NAMES, shares, limits, strict=True) if share > limit
        )
        if channels:
            figures = {f"clipped_percent_{each}": float(shares[CHANNEL_NAMES.index(each)]) for each in channels}
            found.append(Finding(FindingKind.SATURATED, (name,), float(shares.max()), channels, figures=figures))
    return found


def _find_blurred(ids: Sequence[str], fields: Sequence[InspectedField]) -> list[Finding]:
    scores = score_blur(fields)
    found = []
    for name, field, score in zip(ids, fields, scores.tolist(), strict=True):
        warned = any(warning.kind == WarningKind.UNSHARP for warning in field.warnings)
        if score > MIN_BLUR if len(fields) >= MIN_COMPARED else warned:
            found.append(Finding(FindingKind.BLURRED, (name,), score, figures={"deviations": score}))
    return found


def _find_other_sizes(ids: Sequence[str], fields: Sequence[InspectedField]) -> list[Finding]:
    """Find the fields of a rare size or type of pixels, where nine of ten fields have one."""
    sizes = [(*field.shape, field.kind) for field in fields]
    (usual, count), *_ = Counter(sizes).most_common(1)
    if count < 0.9 * len(fields):
        return []
    return [
        Finding(FindingKind.OTHER_SIZE, (name,), figures={"height": size[0], "width": size[1]})
        for name, size in zip(ids, sizes, strict=True)
        if size != usual
    ]
