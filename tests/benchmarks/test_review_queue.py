"""The benchmark of the review queue counts labels as it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType


@pytest.fixture
def script(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("benchmarks/review_queue")


def test_labels_are_counted_until_a_score_is_first_reached(script: ModuleType) -> None:
    curve = [0.5, 0.6, 0.55, 0.7]  # at 100, 150, 200 and 250 labels
    assert script.count_labels(curve, 0.4) == 100
    assert script.count_labels(curve, 0.55) == pytest.approx(125)
    assert script.count_labels(curve, 0.65) == pytest.approx(225)
    assert script.count_labels(curve, 0.8) is None


def test_the_model_learns_and_knows_the_rate_of_what_it_never_saw(script: ModuleType) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(200, 4))
    truth = np.zeros((200, 28), np.uint8)
    truth[:, 0] = vectors[:, 0] > 0
    predict = script.fit(vectors, truth)
    assert script.judge(predict, vectors, truth) > 0.95
    np.testing.assert_allclose(predict(vectors)[:, 5], 0.5 / 201, rtol=1e-5)
