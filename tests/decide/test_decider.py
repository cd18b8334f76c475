"""The whole decision."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from lociscope.decide.decider import Decider, fit_combination, fit_decider, predict_out_of_fold
from lociscope.decide.metrics import log_loss
from lociscope.decide.reliability import reliability
from lociscope.splits.folds import stratified_folds


class Networks(NamedTuple):
    truth: np.ndarray
    members: np.ndarray


@pytest.fixture(scope="module")
def decider(networks: Networks) -> Decider:
    out_of_fold = predict_out_of_fold(*networks, "weighted", stratified_folds(networks.truth))
    return fit_decider(*networks, "weighted", "expected", out_of_fold)


def test_honest_probabilities_are_worse_than_fitted_ones(networks: Networks) -> None:
    out_of_fold = predict_out_of_fold(*networks, "stacked", stratified_folds(networks.truth))
    ensemble, calibration = fit_combination(*networks, "stacked")
    fitted = calibration.predict(ensemble.predict(networks.members))
    assert log_loss(networks.truth, fitted) < log_loss(networks.truth, out_of_fold)


def test_probabilities_of_new_fields_may_be_believed(decider: Decider, new_fields: Networks) -> None:
    error = reliability(new_fields.truth, decider.predict(new_fields.members)).error
    assert error < 0.03
    assert error < min(reliability(new_fields.truth, each).error for each in new_fields.members)


def test_plain_means_are_calibrated_afterwards(networks: Networks, new_fields: Networks) -> None:
    ensemble, calibration = fit_combination(*networks, "logits")
    raw = ensemble.predict(new_fields.members)
    assert calibration.method == "platt"
    assert log_loss(new_fields.truth, calibration.predict(raw)) < log_loss(new_fields.truth, raw)
    assert fit_combination(*networks, "weighted")[1].method == "none"


def test_a_blank_is_filled_and_keeps_its_status(decider: Decider) -> None:
    p = np.full((1, 6), 0.001)
    blank, status = decider.decide(p)
    filled, same = decider.decide(p, fill_blank=True)
    assert not blank.any()
    assert filled.sum() == 1
    assert status == same == ["negative"]


def test_thresholds_and_sets_rest_on_honest_probabilities(networks: Networks) -> None:
    out_of_fold = np.random.default_rng(0).random(networks.truth.shape)
    decider = fit_decider(*networks, "mean", "expected", out_of_fold)
    assert decider.thresholds.thresholds_.min() > 0.1  # half the F1 of believing noise
    assert decider.sets.threshold_ == pytest.approx(
        np.quantile(np.where(networks.truth, out_of_fold, 1).min(axis=1), 0.1), abs=0.1
    )
