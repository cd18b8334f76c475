"""Find swapped channels: a classifier learns from the fields themselves what each channel looks like.

Most fields of a Catalog have their channels in order. Each field is shown to a logistic regression as it is, and with
every two of its channels swapped; cross-validated, it says of every field which of these seven orders is likeliest.
No model of other fields is needed, and the stains of any laboratory can be learned.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lociscope.channels import CHANNEL_NAMES
from lociscope.data.explore.findings import Finding, FindingKind
from lociscope.errors import MissingExtraError
from lociscope.images.quality import PAIRS
from lociscope.images.scale import block_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

MIN_FIELDS = 20
"""Fewest fields from which the look of the channels is learned."""

MIN_LOG_ODDS = 2.5
"""Log odds, of the likeliest swap against the order of the file, from which a field is reported. With 5 of 56 real
fields, 20 of 260 and 20 of 400 simulated ones swapped, in four draws each, precision is 1.00, 1.00 and 0.90, and recall
1.00, 0.99 and 0.94."""

_BANDS = (1, 3, 6, 10, 16, 24, 36, 54, 80, 128)
"""Spatial frequencies between which the power is measured, in cycles a field."""
_QUANTILES = (5, 25, 50, 75, 90, 97)
_COARSE = 8
_FOLDS = 5
_N = len(CHANNEL_NAMES)
_SWAPS = tuple(
    tuple({one: other, other: one}.get(channel, channel) for channel in range(_N))
    for one, other in combinations(range(_N), 2)
)


class ChannelFeatures(NamedTuple):
    """What distinguishes the channels of a field.

    Attributes:
        planes: (4, k) of float32: spectrum, distribution of grey levels and their moments.
        pairs: (6, 2) of float32: correlation of each pair of channels of coarse and of fine structure, in the order of
            `lociscope.images.quality.PAIRS`.
    """

    planes: np.ndarray
    pairs: np.ndarray


def measure_channels(pixels: np.ndarray) -> ChannelFeatures:
    """Measure the texture of each channel and how similar two are.

    Args:
        pixels: (256, 256, 4) of uint8, each channel scaled.
    """
    planes = np.moveaxis(pixels, -1, 0).astype(np.float32)
    coarse = np.stack([block_mean(plane, _COARSE, _COARSE) for plane in planes])
    fine = planes - coarse.repeat(_COARSE, axis=1).repeat(_COARSE, axis=2)
    pairs = np.stack([_correlate(coarse), _correlate(fine)], axis=-1)
    return ChannelFeatures(np.stack([_measure_plane(plane) for plane in planes]), pairs)


def _measure_plane(plane: np.ndarray) -> np.ndarray:
    centred = plane - plane.mean()
    transform = np.fft.rfft2(centred)
    power = np.bincount(_rings(len(plane)).ravel(), (transform.real**2 + transform.imag**2).ravel(), len(_BANDS) + 1)
    spectrum = np.log(power[1:-1] / len(plane) ** 2 + 1e-3)
    standard = centred / (plane.std() + 1e-6)
    moments = (standard**3).mean(), np.log((standard**4).mean() + 1e-3)
    slope = np.abs(np.diff(standard, axis=0)).mean()
    levels = np.percentile(plane, _QUANTILES) / 255
    return np.array([*(spectrum - spectrum.mean()), *levels, *moments, slope], np.float32)


def measure_sharpness(features: ChannelFeatures) -> np.ndarray:
    """Return (4,) how much of the power of each channel is in fine structure: the logarithm of its ratio to coarse.

    Fine is 24 to 80 cycles a field, coarse 3 to 16. The slope of the spectrum would be no measure of strong blur, which
    leaves the rounding of grey levels at high frequencies, and with it a flat spectrum.
    """
    fine, coarse = (slice(_BANDS.index(low), _BANDS.index(high)) for low, high in ((24, 80), (3, 16)))
    return np.asarray(features.planes[:, fine].mean(axis=1) - features.planes[:, coarse].mean(axis=1))


def _rings(side: int) -> np.ndarray:
    """Return the number of the frequency band of each term of a real transform."""
    y, x = np.fft.fftfreq(side, 1 / side), np.arange(side // 2 + 1)
    return np.digitize(np.hypot(*np.meshgrid(y, x, indexing="ij")), _BANDS)


def _correlate(planes: np.ndarray) -> np.ndarray:
    flat = planes.reshape(len(planes), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1)
    products = flat @ flat.T / np.maximum(np.outer(length, length), 1e-6)
    return np.array([products[pair] for pair in PAIRS], np.float32)


def find_swapped(ids: Sequence[str], features: Sequence[ChannelFeatures], usable: np.ndarray) -> list[Finding]:
    """Find fields in which two channels have likely been swapped.

    Args:
        ids: Of n fields.
        features: Of the fields.
        usable: (n,) of bool: fields with four channels of structure; others are not judged.

    Returns:
        A finding for each field whose log odds are at least `MIN_LOG_ODDS`, with `log_odds`; none where fewer than
        `MIN_FIELDS` fields are usable.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    rows = np.flatnonzero(usable)
    if len(rows) < MIN_FIELDS:
        return []
    odds, swaps = score_swaps([features[row] for row in rows.tolist()])
    found = []
    for row, value, swap in zip(rows.tolist(), odds.tolist(), swaps.tolist(), strict=True):
        if value >= MIN_LOG_ODDS:
            channels = tuple(name for number, name in enumerate(CHANNEL_NAMES) if _SWAPS[swap][number] != number)
            found.append(
                Finding(FindingKind.SWAPPED_CHANNELS, (ids[row],), value, channels, figures={"log_odds": value})
            )
    return found


def score_swaps(features: Sequence[ChannelFeatures]) -> tuple[np.ndarray, np.ndarray]:
    """Return the log odds of the likeliest swap against the order of the file, cross-validated, and its number.

    Args:
        features: Of n fields.

    Returns:
        (n,) of float, and (n,) of int: the number of the pair in the order of `PAIRS`.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    try:
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import KFold
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ImportError:
        raise MissingExtraError("The search for swapped channels", "fit") from None
    planes, pairs = np.stack([each.planes for each in features]), np.stack([each.pairs for each in features])
    orders = np.stack([_arrange(planes, pairs, order) for order in (tuple(range(_N)), *_SWAPS)])
    answers = np.repeat(np.arange(len(orders)), len(features)).reshape(len(orders), -1)
    odds, swaps = np.zeros(len(features)), np.zeros(len(features), int)
    for _ in range(2):  # the second time without the fields that are likely swapped
        ordered = odds <= 0
        for train, test in KFold(_FOLDS, shuffle=True, random_state=0).split(planes):
            learned = train[ordered[train]]
            model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
            model.fit(np.concatenate(orders[:, learned]), answers[:, learned].ravel())
            likely = model.predict_log_proba(orders[0, test])
            odds[test] = likely[:, 1:].max(axis=1) - likely[:, 0]
            swaps[test] = likely[:, 1:].argmax(axis=1)
    return odds, swaps


def _arrange(planes: np.ndarray, pairs: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """Return (n, features) of fields whose channels are in another order."""
    numbers = [PAIRS.index((min(order[a], order[b]), max(order[a], order[b]))) for a, b in PAIRS]
    return np.concatenate([each.reshape(len(each), -1) for each in (planes[:, list(order)], pairs[:, numbers])], axis=1)
