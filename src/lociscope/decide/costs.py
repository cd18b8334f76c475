"""Estimate what errors cost the reader of a table, in minutes; the figures are assumptions of `docs/frame.md`."""

from __future__ import annotations

import numpy as np

from lociscope.decide.metrics import RowMetric

MINUTES_WRONG = 2.0
"""A location reported wrongly: open the field, compare it with another, delete the location."""
MINUTES_MISSED = 6.0
"""A location missed: read the six fields of the well again."""
BREAK_EVEN = MINUTES_WRONG / (MINUTES_WRONG + MINUTES_MISSED)
"""The calibrated probability above which reporting a location pays."""


def _minutes(truth: np.ndarray, decided: np.ndarray) -> np.ndarray:
    wrong, missed = (decided & ~truth).sum(axis=1), (truth & ~decided).sum(axis=1)
    return np.asarray(MINUTES_WRONG * wrong + MINUTES_MISSED * missed)


minutes = RowMetric("minutes", _minutes, values="decisions")
"""Minutes that the errors in one field cost the user, each field counted as one antibody; lower is better."""
