"""Label rates brought to a prior."""

from __future__ import annotations

import numpy as np
from fixtures.codes import raises_code
from hypothesis import given
from hypothesis import strategies as st

from lociscope.decide.matching import match_rates
from lociscope.errors import Code


@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.floats(0.001, 0.9))
def test_the_mean_becomes_the_prior_and_the_order_stays(seed: int, n: int, share: float) -> None:
    p = np.random.default_rng(seed).random((n, 5))
    prior = np.full(5, share)
    matched = match_rates(p, prior)
    np.testing.assert_allclose(matched.mean(axis=0), prior, rtol=1e-6)
    assert (np.argsort(matched, axis=0, kind="stable") == np.argsort(p, axis=0, kind="stable")).all()


def test_a_prior_must_fit() -> None:
    with raises_code(Code.INVALID_VALUE):
        match_rates(np.full((3, 5), 0.5), np.full(4, 0.5))
    with raises_code(Code.INVALID_VALUE):
        match_rates(np.full((3, 5), 0.5), np.zeros(5))
