"""The kinds of other pictures: four channels, of their generator only; a row of the table."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np

Load = Callable[[str], ModuleType]


def test_every_kind_makes_fields_of_its_generator(load_script: Load) -> None:
    kinds = load_script("research/out_of_distribution/kinds")
    assert not kinds.TUNING.keys() & kinds.HELD_OUT.keys()
    field = np.random.default_rng(0).integers(0, 255, (512, 512, 4)).astype(np.uint8)
    for kind in (kinds.HELD_OUT[name] for name in ("brightfield", "other photographs", "blank", "shuffled pixels")):
        one, again = (kind(np.random.default_rng(3), field) for _ in range(2))
        assert one.shape == (512, 512, 4)
        assert one.dtype in (np.uint8, np.uint16)
        np.testing.assert_array_equal(one, again)


def test_a_row_of_the_table(load_script: Load) -> None:
    row = load_script("research/out_of_distribution/measure").Row("held out", "text", 40, 39, 40)
    assert row.format() == "| held out | text | 40 | 98% (89%–100%) | 100% |"
