"""Reliability diagrams."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from lociscope.decide.reliability import reliability, reliability_by_group, wilson


def calibrated(n: int = 3000, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    p = rng.beta(0.4, 2, size=(n, classes))
    return rng.random(p.shape) < p, p


@pytest.mark.parametrize("equal", ["count", "positives"])
def test_calibrated_probabilities_lie_on_the_diagonal(equal: str) -> None:
    truth, p = calibrated()
    diagram = reliability(truth, p, equal=equal)  # type: ignore[arg-type]
    assert diagram.error < 0.01
    assert ((diagram.low <= diagram.predicted) & (diagram.predicted <= diagram.high)).mean() > 0.7
    assert reliability(truth, p**2).error > 5 * diagram.error


def test_bins_hold_equal_counts_or_equal_positives() -> None:
    truth, p = np.zeros((100, 1)), np.linspace(0.005, 0.995, 100)[:, None]
    by_count = reliability(truth, p, bins=4)
    np.testing.assert_allclose(by_count.predicted, [0.125, 0.375, 0.625, 0.875], atol=0.011)
    by_positives = reliability(truth, p, bins=4, equal="positives")
    assert by_positives.predicted[0] > by_count.predicted[0]


def test_classes_are_pooled_by_how_common_they_are() -> None:
    truth, p = calibrated()
    truth[5:, 0], truth[:5, 0] = False, True
    truth[50:, 1] = truth[:, 2] = False
    groups = reliability_by_group(truth, p)
    assert [each.classes for each in groups] == [(0, 1, 2, 3), (0, 1), (3,)]
    assert groups[1].positives == truth[:, :2].sum()
    assert groups[0].name == "all classes"


def test_wilsons_interval_is_scipys() -> None:
    low, high = wilson(np.array([0.3]), np.array([20]), z=1.959963984540054)
    reference = binomtest(6, 20).proportion_ci(method="wilson")
    assert (low[0], high[0]) == pytest.approx((reference.low, reference.high))
