from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.images.field import Field
from lociscope.microscope.facts import collect_facts, find_field_cells, measure_differing_cells
from lociscope.predict.predictor import open_bundle

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("predicted", "cut", "expected"),
    [
        ([(1,), (1,), (1,), (2,)], [0, 0, 0, 0], 0.25),
        ([(1,), (1,), (2,), (2, 3)], [0, 0, 0, 1], 1 / 3),
        ([(1,), ()], [0, 0], 0.5),
        ([(1,)], [0], None),
        ([], [], None),
        ([(1,), (2,)], [1, 1], None),
    ],
)
def test_measure_differing_cells(predicted: list[tuple[int, ...]], cut: list[int], expected: float | None) -> None:
    assert measure_differing_cells(predicted, np.array(cut)) == (None if expected is None else pytest.approx(expected))


def test_cells_are_found_only_where_a_rule_needs_them(tiny_bundle: Path) -> None:
    predictor = open_bundle(tiny_bundle, threads=1)
    field = Field("f", np.zeros((64, 64, 4), np.uint8), 2.56)
    row = predictor.run([predictor.prepare(field)])
    facts = collect_facts(row, None)
    assert (facts.status, facts.locations, facts.differing_cells) == (row.status[0], len(row.predicted[0]), None)
    assert (
        collect_facts(row, find_field_cells(predictor, field, row)).differing_cells is None
    )  # a blank field has no cell
