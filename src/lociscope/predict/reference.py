"""The reference of a bundle: statistics and predictions of fields like those that its model was trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lociscope.artifacts.bundle import Reference
from lociscope.artifacts.predictions import Predictions
from lociscope.images.statistics import STATISTICS
from lociscope.predict.predictor import BATCH_SIZE, Predictor, batched

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lociscope.artifacts.card import Decision
    from lociscope.images.field import Field


def measure_reference(
    predictor: Predictor, fields: Iterable[Field], what: str, kind: Literal["simulated", "catalog"] | None = None
) -> tuple[Reference, dict[str, Any]]:
    """Measure and predict fields that the model was not trained on.

    Args:
        predictor: The model.
        fields: A few hundred, at least one, preferably each of another specimen.
        what: Which fields they are, for the card.
        kind: Whether they are simulated or come from a Catalog; None if unknown.

    Returns:
        The reference, and its summary for the card: `fields`, `what`, `kind`, `medians` by statistic, and `rates`, the
        share of fields in which each of the 28 locations is predicted.
    """
    embeddings = "embedding" in predictor.engine.outputs
    statistics, calls = [], []
    for some in batched(map(predictor.prepare, fields), BATCH_SIZE):
        statistics += [each.statistics for each in some]
        calls.append(predictor.run(some, embeddings=embeddings))
    return make_reference(Predictions.join(calls), np.stack(statistics), predictor.bundle.card.decide, what, kind)


def make_reference(
    made: Predictions,
    table: np.ndarray,
    decide: Decision,
    what: str,
    kind: Literal["simulated", "catalog"] | None = None,
) -> tuple[Reference, dict[str, Any]]:
    """Make a reference of fields that were predicted and measured already; see `measure_reference`.

    Args:
        made: Their Predictions.
        table: (n, k) their statistics.
        decide: How the model decides.
        what: Which fields they are.
        kind: Where they come from.
    """
    none = np.empty((len(made), 0), np.float32)
    embedding = none if made.embedding is None else made.embedding
    decided = made.probability >= np.asarray(decide.thresholds, np.float32)
    summary = {
        "fields": len(made),
        "what": what,
        "kind": kind,
        "medians": dict(zip(STATISTICS, np.median(table, axis=0).round(4).tolist(), strict=True)),
        "rates": decided.mean(axis=0).round(4).tolist(),
    }
    return Reference(STATISTICS, table, made.probability, embedding), summary
