"""What arrays must be."""

from __future__ import annotations

import numpy as np
import pytest

from lociscope.decide.checks import check_probability, check_scores, check_truth
from lociscope.errors import LociscopeError


def test_good_arrays_pass_with_their_values() -> None:
    assert check_truth(np.array([[0, 1]])).tolist() == [[False, True]]
    assert check_probability(np.array([[0, 1]], np.float16)).dtype == np.float64
    assert check_scores(np.array([[-3.0, 7.0]]), np.zeros((1, 2))).tolist() == [[-3, 7]]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros(3), "fields, classes"),
        (np.zeros((0, 2)), r"shape \(0, 2\)"),
        (np.array([[0.1], [np.nan]]), "Row 1 .* NaN"),
        (np.array([[-0.1]]), "sigmoid"),
    ],
)
def test_invalid_probabilities_are_refused(values: np.ndarray, message: str) -> None:
    with pytest.raises(LociscopeError, match=message):
        check_probability(values)


def test_different_shapes_are_refused() -> None:
    with pytest.raises(LociscopeError, match="do not match"):
        check_probability(np.zeros((2, 3)), np.zeros((2, 4)))
    with pytest.raises(LociscopeError, match="do not match"):
        check_scores(np.zeros((2, 3)), np.zeros((3, 3)))
    with pytest.raises(LociscopeError, match="Row 0 of the scores"):
        check_scores(np.full((2, 3), np.nan), np.zeros((2, 3)))
