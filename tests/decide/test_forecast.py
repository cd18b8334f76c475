"""Forecasts of macro-F1 on new fields."""

from __future__ import annotations

import numpy as np
import pytest

from lociscope.decide.forecast import forecast
from lociscope.decide.metrics import macro_f1
from lociscope.decide.thresholds import best_expected_f1


def fields(seed: int, n: int = 600) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, calibrated probabilities and decisions of 8 classes, half of which have a field or two."""
    rng = np.random.default_rng(seed)
    odds = rng.normal([-7.5] * 4 + [-2] * 4, 2, size=(n, 8))
    p = 1 / (1 + np.exp(-odds))
    truth = rng.random(p.shape) < p
    return truth, p, p >= best_expected_f1(p) / 2


@pytest.mark.slow
def test_the_interval_covers_new_fields_and_is_nearer_than_the_score_itself() -> None:
    inside, far, naive = [], [], []
    for seed in range(40):
        truth, p, decided = fields(seed)
        new, _, other = fields(1000 + seed)
        made, score = forecast(truth, p[None], decided[None]), macro_f1(new, other).value
        inside.append(score in made)
        far.append(abs(made.value - score))
        naive.append(abs(macro_f1(truth, decided).value - score))
    assert np.mean(inside) >= 0.9
    assert np.mean(far) < np.mean(naive)


def test_where_positives_abound_it_is_the_score() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((5000, 3)) < 0.3
    decided = truth ^ (rng.random(truth.shape) < 0.1)
    made = forecast(truth, np.full((1, 5000, 3), 0.3), decided[None])
    assert made.value == pytest.approx(macro_f1(truth, decided).value, abs=0.015)
    assert made.n == 5000


def test_groups_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), 10)
    truth = np.repeat(rng.random((60, 3)) < 0.4, 10, axis=0)
    decided = truth ^ np.repeat(rng.random((60, 3)) < 0.2, 10, axis=0)
    p = np.full((1, 600, 3), 0.4)
    alone, grouped = (forecast(truth, p, decided[None], groups=each) for each in (None, groups))
    assert grouped.n == 60
    assert grouped.high - grouped.low > 1.5 * (alone.high - alone.low)


def test_nothing_to_score_is_nan() -> None:
    made = forecast(np.zeros((5, 2)), np.zeros((1, 5, 2)), np.zeros((1, 5, 2), bool))
    assert np.isnan([made.value, made.low, made.high]).all()
