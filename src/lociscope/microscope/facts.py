"""Collect what rules know about a field, from its predictions and, if a rule needs them, from its cells."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lociscope.microscope.conditions import Facts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lociscope.artifacts.predictions import Predictions
    from lociscope.images.field import Field
    from lociscope.predict.cell_source import SegmentedField
    from lociscope.predict.cells import CellPredictions
    from lociscope.predict.predictor import Predictor


@dataclass(frozen=True, slots=True, eq=False)
class FieldCells:
    """The cells of a field.

    Attributes:
        segmented: The field and the outlines of its cells.
        predicted: The predictions of its cells.
    """

    segmented: SegmentedField
    predicted: CellPredictions


def find_field_cells(predictor: Predictor, field: Field, row: Predictions) -> FieldCells:
    """Find and predict the cells of a field, which takes longer than predicting the field.

    Args:
        predictor: The open bundle.
        field: The field.
        row: Its predictions, of one row.

    Raises:
        LociscopeError: Its cells cannot be found.
    """
    from lociscope.predict.cell_source import segment_field
    from lociscope.predict.cells import predict_cells

    segmented = segment_field(field, predictor.bundle.card.input)
    return FieldCells(segmented, predict_cells(predictor, segmented, row.probability[0]))


def collect_facts(row: Predictions, cells: FieldCells | None) -> Facts:
    """Return the facts about one predicted field.

    Args:
        row: Its predictions, of one row.
        cells: Its cells, if a rule compares them.
    """
    differing = None
    if cells is not None:
        differing = measure_differing_cells(cells.predicted.predicted, cells.segmented.geometry.at_edge)
    return Facts(row.probability[0], row.status[0], len(row.predicted[0]), differing)


def measure_differing_cells(predicted: Sequence[tuple[int, ...]], at_edge: np.ndarray) -> float | None:
    """Return the share of whole cells whose set of locations differs from the most frequent one of their field.

    Args:
        predicted: The class numbers of each of n cells.
        at_edge: (n,) bool, whether the edge of the field cuts the cell.

    Returns:
        A share, 0–1; None for fewer than two whole cells.
    """
    whole = [locations for locations, cut in zip(predicted, np.asarray(at_edge, bool), strict=True) if not cut]
    if len(whole) < 2:
        return None
    return 1 - Counter(whole).most_common(1)[0][1] / len(whole)
