"""The score of a map: 1 where all evidence is within the mask, 0 where it is spread evenly."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

Load = Callable[[str], ModuleType]


def test_the_score_of_a_map(load_script: Load) -> None:
    score = load_script("research/evidence").score_map
    mask = np.zeros((64, 64), bool)
    mask[12:20, 12:20] = True
    inside, even, outside = np.zeros((16, 16)), np.ones((16, 16)), np.zeros((16, 16))
    inside[3:5, 3:5], outside[10, 10] = 1, 1
    share = (16 / 64) ** 2  # of the mask, dilated by one cell of 4 px
    assert score(inside, mask) == pytest.approx(1)
    assert score(even, mask) == pytest.approx(0)
    assert score(outside, mask) == pytest.approx(-share / (1 - share))
    assert np.isnan(score(even, np.ones((64, 64), bool)))
