"""Whether a candidate is non-inferior to the model in use, by margins fixed beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lociscope.decide.holm import adjust_holm
from lociscope.decide.intervals import resample_weights
from lociscope.decide.metrics import f1_per_class, nan_means

if TYPE_CHECKING:
    from collections.abc import Mapping

LEVEL = 0.05
MIN_FIELDS = 20
"""Fewest fields of a slice, or positives of a location, that are compared."""

RESAMPLES = 2000


class SliceGain(NamedTuple):
    """The gain of the candidate on a part of the fields.

    Attributes:
        name: The part: a location, a cell line.
        fields: Its number of fields, or of positives of the location.
        gain: Candidate − model in use.
        p: Of the hypothesis that the candidate is at least as good, corrected for the number of slices by Holm.
        worse: Whether p is at most the level, and the loss exceeds the margin.
    """

    name: str
    fields: int
    gain: float
    p: float
    worse: bool


class Comparison(NamedTuple):
    """A candidate against the model in use.

    Attributes:
        fields: Number of fields.
        gain: Difference of the macro-F1.
        low: Lower end of its one-sided 95 % interval.
        noninferior: Whether that is above minus the margin.
        slices: The parts of the fields that are large enough.
    """

    fields: int
    gain: float
    low: float
    noninferior: bool
    slices: list[SliceGain]


def compare_candidate(
    truth: np.ndarray,
    candidate: np.ndarray,
    current: np.ndarray,
    *,
    margin: float,
    slice_margin: float,
    slices: Mapping[str, np.ndarray],
    names: Mapping[int, str],
    groups: np.ndarray | None = None,
    seed: int = 0,
) -> Comparison:
    """Compare the decisions of two models on the same fields, which are resampled together.

    The candidate must be shown to be no worse overall: the lower end of the interval of the gain is above −margin. A
    slice need not show that, which few of them could with their number of fields; it must not show a loss: a slice is
    worse if it loses more than its margin, and significantly, corrected for the number of slices.

    Args:
        truth: (n, classes), 0 or 1.
        candidate: (n, classes), 0 or 1: its decisions.
        current: (n, classes), 0 or 1: those of the model in use.
        margin: Loss of macro-F1 that is accepted overall.
        slice_margin: Loss that is accepted in a slice.
        slices: Rows (n,) of bool of each slice, by name; compared by macro-F1.
        names: Names of the classes, each of which is a slice that is compared by its F1.
        groups: (n,) names of groups, which are resampled as a whole; None for independent fields.
        seed: Seed of the bootstrap.
    """
    n = len(truth)
    unit = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    units = int(unit.max()) + 1
    rows = {name: mask for name, mask in slices.items() if mask.sum() >= MIN_FIELDS}
    classes = {number: name for number, name in names.items() if truth[:, number].sum() >= MIN_FIELDS}
    weights = np.concatenate([np.ones((1, n)), *resample_weights(unit, units, RESAMPLES, seed)])
    per_class = f1_per_class(truth, candidate, weights) - f1_per_class(truth, current, weights)
    overall = nan_means(per_class)
    gains = {name: per_class[:, number] for number, name in classes.items()}
    for name, mask in rows.items():
        part = (truth[mask], weights[:, mask])
        gains[name] = nan_means(
            f1_per_class(part[0], candidate[mask], part[1]) - f1_per_class(part[0], current[mask], part[1])
        )
    sizes = {name: int(truth[:, number].sum()) for number, name in classes.items()}
    sizes |= {name: int(mask.sum()) for name, mask in rows.items()}
    low = float(np.nanquantile(overall[1:], LEVEL))
    return Comparison(n, float(overall[0]), low, low >= -margin, _compare_slices(gains, sizes, slice_margin))


def _compare_slices(gains: Mapping[str, np.ndarray], sizes: Mapping[str, int], margin: float) -> list[SliceGain]:
    if not gains:
        return []
    p = adjust_holm(np.array([_find_p(each[1:]) for each in gains.values()]))
    return [
        SliceGain(name, sizes[name], float(each[0]), float(corrected), bool(each[0] < -margin and corrected <= LEVEL))
        for (name, each), corrected in zip(gains.items(), p.tolist(), strict=True)
    ]


def _find_p(resamples: np.ndarray) -> float:
    """Return the share of resamples in which the candidate is at least as good."""
    defined = resamples[~np.isnan(resamples)]
    return float((1 + np.sum(defined >= 0)) / (1 + len(defined)))
