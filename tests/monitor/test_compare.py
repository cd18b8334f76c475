"""The tests: p is uniform or larger if nothing differs, and small if something does."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lociscope.decide.holm import adjust_holm
from lociscope.errors import MissingExtraError
from lociscope.monitor.compare import (
    MAX_EMBEDDINGS,
    run_fisher_tests,
    run_kolmogorov_smirnov_tests,
    run_mmd_test,
)


@pytest.mark.parametrize(("pools", "most"), [(40, 0.225), pytest.param(200, 0.16, marks=pytest.mark.slow)])
def test_p_is_rarely_small_without_a_difference(pools: int, most: float) -> None:
    rng = np.random.default_rng(0)
    vectors, p = [], []
    for _ in range(pools):
        pool = rng.normal(size=(40, 3)) ** 3
        vectors.append(run_mmd_test(pool[:12], pool[12:], rng, 99).p)
        p.append(run_kolmogorov_smirnov_tests(pool[:12], pool[12:])[0].p)
    for found in (vectors, p):
        assert np.mean(np.array(found) <= 0.1) <= most  # binomial of 0.1: above it once in 200, for 40 pools as for 200


def test_ties_make_p_larger_not_smaller() -> None:
    rng = np.random.default_rng(1)
    pools = [rng.integers(0, 3, (30, 1)) for _ in range(200)]
    assert np.mean([run_kolmogorov_smirnov_tests(pool[:10], pool[10:])[0].p <= 0.1 for pool in pools]) <= 0.1


def test_a_difference_is_seen() -> None:
    rng = np.random.default_rng(2)
    here, there = rng.normal(1.5, 1, (20, 4)), rng.normal(0, 1, (60, 4))
    assert run_mmd_test(here, there, rng).p == 0.001
    assert run_mmd_test(here, there, rng).value > 0.1
    assert all(found.p < 0.001 for found in run_kolmogorov_smirnov_tests(here, there))
    ring = rng.normal(size=(60, 2))
    ring /= np.linalg.norm(ring, axis=1)[:, None]  # same mean and variance, another shape
    assert run_mmd_test(ring[:30], rng.normal(0, 2**-0.5, (60, 2)), rng).p < 0.05


def test_constant_vectors_are_no_difference() -> None:
    same = np.ones((6, 3))
    assert run_mmd_test(same, same, np.random.default_rng(0)).p == 1
    assert run_mmd_test(np.empty((6, 0)), np.empty((7, 0)), np.random.default_rng(0)).p == 1


def test_large_samples_are_thinned() -> None:
    rng = np.random.default_rng(3)
    found = run_mmd_test(rng.normal(size=(MAX_EMBEDDINGS + 50, 2)), rng.normal(2, 1, (MAX_EMBEDDINGS + 9, 2)), rng, 19)
    assert found.p == 0.05


def test_rates_are_fisher_s_and_of_small_numbers_not_proven() -> None:
    here = np.array([[True, False]] * 3 + [[False, False]] * 7)
    there = np.array([[False, False]] * 40)
    rate, never = run_fisher_tests(here, there)
    assert rate.value == pytest.approx(0.3)
    assert rate.p == pytest.approx(120 / (50 * 49 * 48 / 6), rel=1e-6)  # all three of 50 among the ten
    assert (never.value, never.p) == (0, 1)
    assert run_fisher_tests(here[:1], there)[0].p > 0.02


def test_holm_by_hand() -> None:
    np.testing.assert_allclose(adjust_holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    assert adjust_holm(np.array([])).tolist() == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_holm_lies_between_p_and_bonferroni(values: list[float]) -> None:
    p = np.array(values)
    corrected = adjust_holm(p)
    assert (corrected >= p).all()
    assert (corrected <= np.minimum(p * len(p), 1) + 1e-12).all()
    assert (np.diff(corrected[np.argsort(p, kind="stable")]) >= 0).all()


def test_scipy_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(MissingExtraError, match="'monitor'"):
        run_fisher_tests(np.ones((5, 1), bool), np.ones((5, 1), bool))
