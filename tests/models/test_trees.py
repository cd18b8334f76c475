"""Boosted trees as arrays."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from lociscope.models.trees import Growth, fit_trees, is_learnable, rate_logit


def data(n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 6))
    y = np.zeros((n, 28), int)
    y[:, 3] = x[:, 0] + x[:, 1] ** 2 > 1
    y[:2, 5] = 1  # too few to learn from
    x[rng.random(x.shape) < 0.1] = np.nan
    return x, y


def test_numpy_says_what_scikit_learn_says() -> None:
    x, y = data()
    trees = fit_trees(x, y, Growth(20, 0.2, 6, 7))
    model = HistGradientBoostingClassifier(
        learning_rate=0.2, max_iter=20, max_leaf_nodes=6, min_samples_leaf=15, l2_regularization=5.0, max_features=0.3,
        early_stopping=False, random_state=7,
    ).fit(x, y[:, 3])  # fmt: skip
    np.testing.assert_allclose(trees.logits(x)[:, 3], model.decision_function(x), atol=1e-9)


def test_a_class_with_too_few_positives_gets_its_rate() -> None:
    x, y = data()
    logits = fit_trees(x, y, Growth(3, 0.2, 6, 0)).logits(x)
    assert np.ptp(logits[:, 5]) == 0
    assert 1 / (1 + np.exp(-logits[0, 5])) == pytest.approx(2.5 / 301)


def test_no_class_to_learn_is_no_error() -> None:
    x = np.zeros((9, 2))
    trees = fit_trees(x, np.zeros((9, 28), int), Growth(3, 0.2, 6, 0))
    assert trees.logits(x).shape == (9, 28)


@pytest.mark.parametrize(("positives", "enough"), [(3, False), (4, True), (6, True), (7, False)])
def test_both_kinds_are_needed(positives: int, enough: bool) -> None:
    known = np.arange(10) < positives
    assert is_learnable(known) is enough
    assert np.isfinite(rate_logit(known))
