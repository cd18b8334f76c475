"""Policies of thresholds."""

from __future__ import annotations

import numpy as np
import pytest
from fixtures.codes import raises_code
from hypothesis import given, settings
from hypothesis import strategies as st

from lociscope.decide.metrics import f1_per_class, macro_f1
from lociscope.decide.thresholds import POLICIES, Thresholds, best_expected_f1, fill_blank_rows, parse_policy
from lociscope.errors import Code


def test_the_constant_policy_cuts_at_its_value() -> None:
    fitted = Thresholds("constant", 0.3).fit(np.zeros((2, 2)), np.zeros((2, 2)))
    assert fitted.predict(np.array([[0.3, 0.29], [0.1, 0.9]])).tolist() == [[True, False], [False, True]]


def test_blank_rows_are_filled_only_where_asked() -> None:
    p = np.array([[0.1, 0.2], [0.6, 0.2]])
    fitted = Thresholds("constant", 0.5).fit(np.zeros((2, 2)), p)
    assert fitted.predict(p).tolist() == [[False, False], [True, False]]
    assert fitted.predict(p, fill_blank=True).tolist() == [[False, True], [True, False]]
    assert fill_blank_rows(np.zeros((1, 2)), np.array([[0.5, 0.5]])).tolist() == [[True, False]]


def test_the_searched_threshold_is_the_best_one() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((200, 3)) < 0.2
    p = np.round(np.clip(0.3 * truth + 0.7 * rng.random((200, 3)), 0, 1), 2)  # with ties
    fitted = Thresholds("searched", bags=0).fit(truth, p)
    best = np.max([f1_per_class(truth, p >= cut) for cut in np.arange(0, 1.01, 0.005)], axis=0)
    np.testing.assert_allclose(f1_per_class(truth, fitted.predict(p)), best)


def test_a_class_that_was_never_seen_is_decided_by_its_probability_or_not_at_all() -> None:
    truth, p = np.zeros((20, 1)), np.linspace(0.01, 0.5, 20)[:, None]
    assert not Thresholds("searched").fit(truth, p).predict(p).any()
    assert Thresholds("expected").fit(truth, p).predict(p).any()


def test_the_ratio_policy_decides_as_many_as_there_are() -> None:
    rng = np.random.default_rng(0)
    truth, p = rng.random((500, 4)) < [0.01, 0.1, 0.3, 0.6], rng.random((500, 4))
    for value in (0.5, 1.0, 1.5):
        share = Thresholds("ratio", value).fit(truth, p).predict(p).sum(axis=0) / truth.sum(axis=0)
        np.testing.assert_allclose(share, value, atol=0.25)


def test_half_the_best_f1_is_the_best_threshold_for_calibrated_probabilities() -> None:
    rng = np.random.default_rng(0)
    p = rng.beta(0.3, 1.5, size=(200_000, 1))
    truth = rng.random(p.shape) < p
    best = best_expected_f1(p)
    scores = {cut: macro_f1(truth, p >= cut).value for cut in np.arange(0.05, 0.9, 0.01)}
    assert best[0] == pytest.approx(max(scores.values()), abs=0.005)
    assert best[0] / 2 == pytest.approx(max(scores, key=lambda cut: scores[cut]), abs=0.03)


def gain_of_expected(seed: int, fields: int = 600) -> float:
    """F1 on new fields of the expected cut minus that of the searched one, for a class with 3 positives or so."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(-7, 2.5, size=(2, fields, 1))
    p = 1 / (1 + np.exp(-odds))
    fit, new = rng.random(p.shape) < p
    fit[0] |= not fit.any()
    scores = [
        np.nan_to_num(f1_per_class(new, Thresholds(parse_policy(name)).fit(fit, p[0]).predict(p[1])))[0]
        for name in ("expected", "searched")
    ]
    return float(scores[0] - scores[1])


def test_with_few_positives_the_expected_threshold_beats_the_searched_one() -> None:
    gain = [gain_of_expected(seed) for seed in range(150)]
    assert np.mean(gain) > 2 * np.std(gain) / np.sqrt(len(gain))


def test_shrunk_lies_between_searched_and_expected_nearer_as_data_grow() -> None:
    rng = np.random.default_rng(0)
    p = rng.beta(0.3, 1.5, size=(1000, 2)) * [0.1, 1]
    truth = rng.random(p.shape) < p
    cut = {policy: Thresholds(policy).fit(truth, p).thresholds_ for policy in POLICIES}
    low, high = np.minimum(cut["searched"], cut["expected"]), np.maximum(cut["searched"], cut["expected"])
    assert ((cut["shrunk"] >= low) & (cut["shrunk"] <= high)).all()
    firm = Thresholds("shrunk", pseudo=1e9).fit(truth, p).thresholds_
    np.testing.assert_allclose(firm, cut["expected"], rtol=1e-3)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.sampled_from(POLICIES))
def test_every_policy_gives_cuts_within_0_and_1_and_the_same_ones_again(seed: int, n: int, policy: str) -> None:
    rng = np.random.default_rng(seed)
    truth, p = rng.random((n, 3)) < 0.2, np.round(rng.random((n, 3)), 1)
    first, again = (Thresholds(parse_policy(policy)).fit(truth, p).thresholds_ for _ in range(2))
    assert ((first >= 0) & (first <= 1)).all()
    assert first.tolist() == again.tolist()


def test_invalid_values_are_refused() -> None:
    zeros = np.zeros((2, 2))
    with raises_code(Code.INVALID_VALUE):
        Thresholds("constant", 1.5).fit(zeros, zeros)
    with raises_code(Code.INVALID_VALUE):
        Thresholds("ratio", -1).fit(zeros, zeros)
    with raises_code(Code.UNKNOWN_NAME):
        Thresholds("search").fit(zeros, zeros)  # type: ignore[arg-type]
    with raises_code(Code.UNKNOWN_NAME):
        parse_policy("zzz")
    with raises_code(Code.INVALID_VALUE):
        Thresholds("constant", 0.5).fit(zeros, zeros).predict(np.zeros((1, 3)))
