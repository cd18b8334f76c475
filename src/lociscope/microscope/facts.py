"""Collect what rules know about a field, from its predictions and, if a rule needs them, from its cells."""

from __future__ import annotations

from collections import Counter
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from lociscope.errors import MissingExtraError
from lociscope.microscope.conditions import Facts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lociscope.artifacts.predictions import Predictions
    from lociscope.images.field import Field
    from lociscope.predict.predictor import Predictor


def check_cells() -> None:
    """Raise an error unless the libraries that find cells are installed.

    Raises:
        MissingExtraError: scipy or scikit-image is not installed.
    """
    if find_spec("skimage") is None or find_spec("scipy") is None:
        raise MissingExtraError("A rule about 'differing cells'", "cells")


def collect_facts(predictor: Predictor, field: Field, row: Predictions, *, with_cells: bool) -> Facts:
    """Return the facts about one predicted field.

    Args:
        predictor: The open bundle, which also predicts the cells.
        field: The field.
        row: Its predictions, of one row.
        with_cells: Whether a rule compares its cells; finding them takes longer than predicting the field.

    Raises:
        LociscopeError: Its cells cannot be found.
    """
    differing = None
    if with_cells:
        from lociscope.predict.cell_source import segment_field
        from lociscope.predict.cells import predict_cells

        segmented = segment_field(field, predictor.bundle.card.input)
        cells = predict_cells(predictor, segmented, row.probability[0])
        differing = measure_differing_cells(cells.predicted, segmented.geometry.at_edge)
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
