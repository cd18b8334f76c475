"""Accuracy without labels, and with weighted ones."""

from __future__ import annotations

import numpy as np
import pytest

from lociscope.monitor.accuracy import estimate_accuracy, measure_accuracy, measure_calibration_error


def make_fields(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return calibrated probabilities of five locations, decisions at 0.5, and the truth."""
    rng = np.random.default_rng(seed)
    probability = rng.beta(0.4, 1.2, (n, 5))
    return probability, probability > 0.5, rng.random((n, 5)) < probability


def test_the_estimate_is_right_where_the_probabilities_are_calibrated() -> None:
    inside = 0
    for seed in range(8):
        probability, decided, truth = make_fields(400, seed)
        estimated = estimate_accuracy(probability, decided)
        measured = measure_accuracy(truth, probability, decided, np.ones(400))
        assert estimated.fields == measured.fields == 400
        assert estimated.macro_f1.value == pytest.approx(measured.macro_f1.value, abs=0.06)
        assert estimated.precision.value == pytest.approx(measured.precision.value, abs=0.06)
        assert estimated.recall.value == pytest.approx(measured.recall.value, abs=0.06)
        assert measured.calibration_error < 0.05
        inside += measured.macro_f1.low <= estimated.macro_f1.value <= measured.macro_f1.high
    assert inside >= 6


def test_overconfidence_is_an_error_of_calibration_and_of_the_estimate() -> None:
    probability, _, truth = make_fields(2000, 0)
    sharp = probability**3 / (probability**3 + (1 - probability) ** 3)
    measured = measure_accuracy(truth, sharp, sharp > 0.5, np.ones(2000))
    assert measured.calibration_error > 0.08
    assert estimate_accuracy(sharp, sharp > 0.5).precision.value > measured.precision.value + 0.1


def test_weights_undo_the_selection_of_difficult_fields() -> None:
    probability, decided, truth = make_fields(5_000, 0)
    whole = measure_accuracy(truth, probability, decided, np.ones(5_000))
    # A difficult field is in the sample ten times as often as another.
    certainty = np.abs(probability - 0.5).mean(axis=1)
    difficult = certainty <= np.quantile(certainty, 0.25)
    rng = np.random.default_rng(1)
    taken = rng.random(5_000) < np.where(difficult, 0.5, 0.05)
    some = (truth[taken], probability[taken], decided[taken])
    biased = measure_accuracy(*some, np.ones(int(taken.sum())))
    weighted = measure_accuracy(*some, np.where(difficult, 2.0, 20.0)[taken])
    assert biased.macro_f1.value < whole.macro_f1.value - 0.02
    assert weighted.macro_f1.value == pytest.approx(whole.macro_f1.value, abs=0.03)
    assert weighted.macro_f1.low < whole.macro_f1.value < weighted.macro_f1.high


def test_scores_by_hand() -> None:
    truth = np.array([[1, 0, 0], [1, 1, 0]], bool)
    decided = np.array([[1, 0, 0], [0, 1, 0]], bool)
    probability = np.array([[0.9, 0.1, np.nan], [0.2, 0.8, np.nan]])
    found = measure_accuracy(truth, probability, decided, np.array([1.0, 3.0]))
    assert found.precision.value == 1
    assert found.recall.value == pytest.approx(4 / 7)
    assert found.macro_f1.value == pytest.approx((2 * 1 / (1 + 4) + 1) / 2)
    nothing = estimate_accuracy(np.zeros((0, 3)), np.zeros((0, 3), bool))
    assert nothing.fields == 0
    assert np.isnan(nothing.macro_f1.value)
    assert np.isnan(estimate_accuracy(np.zeros((4, 3)), np.zeros((4, 3), bool)).recall.value)


def test_the_calibration_error_of_two_bins() -> None:
    truth, probability = np.array([0, 0, 1, 1]), np.array([0.1, 0.1, 0.7, 0.7])
    assert measure_calibration_error(truth, probability, np.ones(4), bins=2) == pytest.approx((0.2 + 0.6) / 4)
    assert np.isnan(measure_calibration_error(np.empty(0), np.empty(0), np.empty(0)))
