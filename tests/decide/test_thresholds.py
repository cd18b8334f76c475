"""Policies of thresholds."""

import numpy as np
import pytest

from lociscope.decide.thresholds import ConstantThreshold, Thresholds, filled
from lociscope.errors import LociscopeError


def test_the_constant_policy_cuts_at_its_value() -> None:
    fitted = ConstantThreshold(0.3).fit(np.zeros((2, 2)), np.zeros((2, 2)))
    assert fitted.predict(np.array([[0.3, 0.29], [0.1, 0.9]])).tolist() == [[True, False], [False, True]]


def test_blank_rows_are_filled_only_where_asked() -> None:
    p = np.array([[0.1, 0.2], [0.6, 0.2]])
    fitted = Thresholds(np.array([0.5, 0.5]), "constant")
    assert fitted.predict(p).tolist() == [[False, False], [True, False]]
    assert fitted.predict(p, fill_blank=True).tolist() == [[False, True], [True, False]]
    assert filled(np.zeros((1, 2)), np.array([[0.5, 0.5]])).tolist() == [[True, False]]


def test_wrong_values_have_their_sentence() -> None:
    with pytest.raises(LociscopeError, match=r"received 1\.5"):
        ConstantThreshold(1.5).fit(np.zeros((2, 2)), np.zeros((2, 2)))
    with pytest.raises(LociscopeError, match="2 thresholds; received probabilities of 3"):
        Thresholds(np.array([0.5, 0.5]), "constant").predict(np.zeros((1, 3)))
