"""What errors cost the reader of a table, in minutes; the figures are assumed in `docs/frame.md`."""

from __future__ import annotations

import numpy as np

from lociscope.decide.metrics import RowMetric

MINUTES_WRONG = 2.0
"""A place reported wrongly: open the field, compare it with another, strike the place."""
MINUTES_MISSED = 6.0
"""A place missed: read the well's six fields again."""
BREAK_EVEN = MINUTES_WRONG / (MINUTES_WRONG + MINUTES_MISSED)
"""A calibrated probability from which reporting a place pays."""


def _minutes(truth: np.ndarray, decided: np.ndarray) -> np.ndarray:
    wrong, missed = (decided & ~truth).sum(axis=1), (truth & ~decided).sum(axis=1)
    return np.asarray(MINUTES_WRONG * wrong + MINUTES_MISSED * missed)


minutes = RowMetric("minutes", _minutes, values="decisions")
"""Minutes that the errors of one field cost its user, the field standing in for its antibody; smaller is better."""
