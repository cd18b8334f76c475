"""Match the label rates of predicted fields to known ones, and decide again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lociscope.artifacts.catalog import Catalog, is_catalog, read_labels
from lociscope.artifacts.predictions import Predictions
from lociscope.decide.matching import match_rates
from lociscope.decide.prior import HPA_2018
from lociscope.errors import Code, LociscopeError
from lociscope.labels import to_multi_hot
from lociscope.predict.out_of_distribution import STATUS as UNLIKE
from lociscope.storage.paths import as_path

if TYPE_CHECKING:
    from pathlib import Path

    from lociscope.predict.predictor import Predictor
    from lociscope.storage.paths import AnyPath

HPA = "hpa2018"
"""The rates of the 31,072 training fields of the competition of 2018."""
MIN_FIELDS = 50
"""Minimum number of fields whose rates say anything."""


def read_rates(rates: AnyPath) -> np.ndarray:
    """Return the share of fields with each location (28,), between 0 and 1, both excluded.

    Args:
        rates: `hpa2018`; or a Catalog or a label table, whose shares are those of (k + ½) in (n + 1) fields.

    Raises:
        LociscopeError: The file cannot be read, or has no labelled field.
    """
    if str(rates) == HPA:
        return HPA_2018
    path = as_path(rates)
    if is_catalog(path):
        labels = [entry.target for entry in Catalog.read(path) if entry.target is not None]
    else:
        labels = list(read_labels(path).values())
    if not labels:
        raise LociscopeError(f"'{path}' has no labelled field. Pass labelled ones, or {HPA}.", code=Code.NOTHING_FOUND)
    return np.asarray((to_multi_hot(labels).sum(axis=0) + 0.5) / (len(labels) + 1))


def match_table(predictor: Predictor, table: Path, rates: np.ndarray) -> Path:
    """Write `OUT.matched` beside a finished table: probabilities matched to rates, and what they decide.

    The logit of each class is shifted by one number, so that its mean probability is its rate
    (`lociscope.decide.matching`). Fields that are unlike the training keep what was predicted and are not counted;
    classes that the bundle does not know stay unknown.

    Args:
        predictor: The bundle that made the table; it decides.
        table: The finished table.
        rates: (28,) from `read_rates`.

    Returns:
        The path of the table that was written.

    Raises:
        LociscopeError: The table has fewer than `MIN_FIELDS` fields that can be matched.
    """
    found = Predictions.read(table)
    rows = np.flatnonzero([status != UNLIKE for status in found.status])
    if len(rows) < MIN_FIELDS:
        raise LociscopeError(
            f"`match_rates` needs {MIN_FIELDS} fields or more, such as those of a plate; '{table}' has {len(rows)}. "
            "The table itself is complete: use it as it is.",
            code=Code.NOT_ENOUGH_DATA,
        )
    known = np.array(predictor.bundle.card.classes)
    probability = found.probability.astype(np.float64)
    probability[np.ix_(rows, known)] = match_rates(probability[np.ix_(rows, known)], rates[known])
    predicted, status = list(found.predicted), list(found.status)
    for row, locations, state in zip(rows.tolist(), *predictor.model.decide(probability[rows]), strict=True):
        predicted[row], status[row] = locations, state
    made = replace(found, probability=probability.astype(np.float32), predicted=predicted, status=status)
    path = table.with_name(f"{table.stem}.matched{table.suffix}")
    made.write(path)
    return path
