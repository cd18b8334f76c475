"""Prediction sets keep their promise; unsure fields are worse than others."""

from __future__ import annotations

import numpy as np
import pytest
from fixtures.codes import raises_code

from lociscope.decide.conformal import PredictionSets, UnsureRule, compute_confidence, measure_coverage
from lociscope.decide.metrics import jaccard
from lociscope.errors import Code


def fields(seed: int, n: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = rng.beta(0.3, 1.2, size=(n, 5))
    return rng.random(p.shape) < p, p


@pytest.mark.parametrize("coverage", [0.8, 0.95])
def test_sets_cover_new_fields_as_promised_even_if_probabilities_are_wrong(coverage: float) -> None:
    measured = []
    for seed in range(20):
        truth, p = fields(seed)
        new, q = fields(100 + seed)
        sets = PredictionSets(coverage).fit(truth, p**3)
        measured.append(measure_coverage(new, sets.predict(q**3)))
    assert np.mean(measured) == pytest.approx(coverage, abs=0.005)
    assert sets.n_ == truth.any(axis=1).sum()


def test_more_coverage_needs_larger_sets() -> None:
    truth, p = fields(0)
    sizes = [PredictionSets(each).fit(truth, p).predict(p).sum() for each in (0.5, 0.8, 0.95, 0.99)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_with_too_few_fields_nothing_can_be_ruled_out() -> None:
    sets = PredictionSets(0.95).fit(np.array([[1, 0]]), np.array([[0.9, 0.1]]))
    assert sets.predict(np.array([[0.5, 0.0]])).all()


def test_confidence_is_the_expected_overlap() -> None:
    p = np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 0.0], [0.1, 0.1]])
    decided = np.array([[1, 0], [1, 0], [0, 0], [0, 0]])
    np.testing.assert_allclose(compute_confidence(p, decided), [1, 0.5 / 1.5, 1, 0.81])


def test_unsure_fields_are_those_more_often_wrong_than_right() -> None:
    truth, p = fields(0)
    decided = p >= 0.4
    status = UnsureRule().fit(jaccard.per_row(truth, decided), compute_confidence(p, decided))
    new, q = fields(1)
    said = np.array(status.predict(q, q >= 0.4))
    right = jaccard.per_row(new, q >= 0.4)
    filled, empty = np.asarray((q >= 0.4).any(axis=1)), np.asarray(~new.any(axis=1))
    assert set(said) == {"ok", "unsure", "negative"}
    assert right[said == "ok"].mean() > 0.5
    assert right[(said == "unsure") & filled].mean() < 0.5
    assert not filled[said == "negative"].any()
    assert empty[said == "negative"].mean() > 0.5


def test_where_all_is_right_nothing_is_unsure() -> None:
    sure = np.linspace(0, 1, 10)
    assert UnsureRule().fit(np.ones(10), sure).threshold_ == 0
    assert UnsureRule().fit(np.zeros(10), sure).threshold_ > 1


def test_wrong_calls_are_refused() -> None:
    with raises_code(Code.INVALID_VALUE):
        PredictionSets(1.0).fit(np.ones((2, 2)), np.ones((2, 2)))
    with raises_code(Code.INVALID_LABELS):
        PredictionSets().fit(np.zeros((2, 2)), np.ones((2, 2)))
    assert np.isnan(measure_coverage(np.zeros((2, 2)), np.ones((2, 2), bool)))
