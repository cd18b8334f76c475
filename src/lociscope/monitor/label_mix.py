"""Separate a changed mix of locations (label shift) from changed images (input shift)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lociscope.monitor.samples import Sample

NONE = -1
"""Stands for fields without a location."""

MIN_MATCHED = 0.7
"""Share of the window's fields that must have counterparts in the reference for a comparison of matched fields."""

_STEPS, _TOLERANCE = 200, 1e-4


def estimate_shares(window: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Estimate how many fields of the window have each location, if only the mix of locations has changed.

    Maximum likelihood by expectation maximisation (Saerens, Latinne and Decaestecker, Neural Computation 14, 21–41,
    2002), for each location separately. Assumes that the probabilities are calibrated on fields like the reference's,
    and that fields of one location look as they did.

    Args:
        window: (n, 28) probabilities.
        reference: (m, 28) probabilities; their means are the shares in the reference.

    Returns:
        (28,) shares in 0–1; NaN for a class that the model does not know.
    """
    p = np.clip(np.asarray(window, np.float64), 1e-6, 1 - 1e-6)
    prior = np.clip(np.asarray(reference, np.float64).mean(axis=0), 1e-6, 1 - 1e-6)
    share = prior.copy()
    for _ in range(_STEPS):
        with_location, without = p * share / prior, (1 - p) * (1 - share) / (1 - prior)
        updated = np.clip((with_location / (with_location + without)).mean(axis=0), 1e-6, 1 - 1e-6)
        if np.nanmax(np.abs(updated - share), initial=0) < _TOLERANCE:
            break
        share = updated
    return np.asarray(share)


def match_fields(window: Sample, reference: Sample, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray] | None:
    """Select fields of both samples such that the likeliest locations occur equally often.

    Args:
        window: The fields to check.
        reference: The fields to compare them with.
        rng: Source of the selection.

    Returns:
        Rows of the window and of the reference; None if fewer than `MIN_MATCHED` of the window have a counterpart.
    """
    if window.probability is None or reference.probability is None:
        return None
    here = _find_strata(window.locations, window.probability)
    there = _find_strata(reference.locations, reference.probability)
    shared = [(np.flatnonzero(here == each), np.flatnonzero(there == each)) for each in np.unique(here)]
    counts = [min(len(one), len(other)) for one, other in shared]
    if sum(counts) < MIN_MATCHED * len(window):
        return None
    # Several fields of the reference for each of the window's, where every stratum has them.
    times = max(1, min(len(other) // count for (_, other), count in zip(shared, counts, strict=True) if count))
    rows = [
        (rng.permutation(one)[:count], rng.permutation(other)[: times * count])
        for (one, other), count in zip(shared, counts, strict=True)
    ]
    return np.sort(np.concatenate([one for one, _ in rows])), np.sort(np.concatenate([other for _, other in rows]))


def _find_strata(locations: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Return the likeliest reported location of each field."""
    reported = np.where(locations, np.nan_to_num(probability), -1.0)
    return np.where(locations.any(axis=1), reported.argmax(axis=1), NONE)
