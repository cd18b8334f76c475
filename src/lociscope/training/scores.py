"""Scores of a Run on the fields that it was not trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lociscope.decide.intervals import Interval, bootstrap
from lociscope.decide.locations import find_constant_threshold
from lociscope.decide.metrics import lrap, macro_average_precision, macro_f1
from lociscope.labels import to_multi_hot

if TYPE_CHECKING:
    from lociscope.artifacts.run import Run

LEVEL = 0.9
"""Coverage of the intervals."""


def score_macro_f1(truth: np.ndarray, probability: np.ndarray) -> float:
    """Return macro-F1 at the one threshold whose errors cost least, for truth and probabilities (n, 28)."""
    return float(macro_f1(truth, probability >= find_constant_threshold(truth, probability)))


def measure_scores(run: Run) -> dict[str, Interval]:
    """Return the validation scores of a Run, or the out-of-fold scores of a folder of folds.

    Args:
        run: Holds predictions, truth and groups.

    Returns:
        `macro-F1` at the one threshold whose errors cost least on these fields, `macro-AP` and `LRAP`, each with a
        90 % bootstrap interval by group of fields.
    """
    predictions, group = run.read_predictions(), run.read_groups()
    truth = to_multi_hot(run.find_labels(predictions.ids))
    probability = predictions.probability
    groups = np.array([group.get(name, name) for name in predictions.ids])
    decided = probability >= np.float32(find_constant_threshold(truth, probability))
    return {
        "macro-F1": bootstrap(macro_f1, truth, decided, groups=groups, level=LEVEL),
        "macro-AP": bootstrap(macro_average_precision, truth, probability, groups=groups, level=LEVEL),
        "LRAP": bootstrap(lrap, truth, probability, groups=groups, level=LEVEL),
    }
