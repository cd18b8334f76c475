"""Decide the locations and the status of Predictions from probabilities and thresholds."""

from __future__ import annotations

import numpy as np

from lociscope.decide.costs import minutes

THRESHOLD_GRID = np.round(np.arange(0.02, 0.96, 0.01), 2)


def decide_locations(probability: np.ndarray, thresholds: np.ndarray) -> tuple[list[tuple[int, ...]], list[str]]:
    """Decide the locations of each field.

    Args:
        probability: (n, 28) in 0–1.
        thresholds: (28,) in 0–1; a location is decided where its probability is at least this.

    Returns:
        Class numbers of each field, ascending, and its status: `ok`, or `unsure` where no class reaches its
        threshold.
    """
    decided = probability >= np.asarray(thresholds, probability.dtype)
    locations = [tuple(np.flatnonzero(row).tolist()) for row in decided]
    return locations, ["ok" if numbers else "unsure" for numbers in locations]


def find_constant_threshold(truth: np.ndarray, probability: np.ndarray) -> float:
    """Return the single threshold for all classes whose errors cost the fewest minutes (`docs/frame.md`).

    Maximising macro-F1 instead would make a weak network report nearly every location, since a rare class gains more
    F1 from always being reported than it loses.

    Args:
        truth: (n, 28), 1 where a location is labelled.
        probability: (n, 28) in 0–1.

    Returns:
        The middle of the longest run of best values on a grid of 0.01; the edge of a plateau would be less robust.
    """
    costs = np.array([float(minutes(truth, probability >= threshold)) for threshold in THRESHOLD_GRID])
    best = np.flatnonzero(costs <= costs.min() + 1e-12)
    runs = np.split(best, np.flatnonzero(np.diff(best) > 1) + 1)
    longest = max(runs, key=len)
    return float(THRESHOLD_GRID[longest[len(longest) // 2]])
