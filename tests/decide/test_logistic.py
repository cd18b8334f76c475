"""Shrunk logistic regressions, against scikit-learn where it has the same."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from lociscope.decide.logistic import class_logistic, logit, pooled_logistic, sigmoid


def test_sigmoid_and_logit_are_inverse_and_do_not_overflow() -> None:
    p = np.array([0.001, 0.5, 0.9])
    np.testing.assert_allclose(sigmoid(logit(p)), p)
    assert sigmoid(np.array([-1e4, 1e4])).tolist() == [0, 1]
    assert np.isfinite(logit(np.array([0.0, 1.0]))).all()


def test_one_class_is_scikit_learns_ridge_logistic() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 3))
    y = rng.random(300) < sigmoid(x @ [1, -1, 0.5] - 1)
    reference = LogisticRegression(C=1 / 5.0, tol=1e-10, max_iter=1000).fit(x, y)
    weights, intercept = pooled_logistic(x.T[:, :, None], y[:, None], y[:, None].sum(axis=0), penalty=5.0)
    np.testing.assert_allclose(weights, reference.coef_[0], atol=1e-5)
    np.testing.assert_allclose(intercept, reference.intercept_, atol=1e-5)
    fitted = class_logistic(x, y, np.zeros(300), np.full(3, 5.0), float(y.sum()))
    np.testing.assert_allclose(fitted, [*reference.coef_[0], *reference.intercept_], atol=1e-4)


def test_the_intercept_reproduces_its_target() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 400, 3))
    truth = rng.random((400, 3)) < sigmoid(x[0] - 2)
    truth[:, 2] = False
    targets = np.array([truth[:, 0].sum(), 55.0, 0.3])
    weights, intercepts = pooled_logistic(x, truth, targets)
    mean = sigmoid(np.einsum("d,dnc->nc", weights, x) + intercepts).sum(axis=0)
    np.testing.assert_allclose(mean, targets, rtol=1e-4)


def test_infinite_precision_leaves_the_offset_alone() -> None:
    rng = np.random.default_rng(0)
    x, offset = rng.normal(size=(200, 2)), rng.normal(size=200)
    known = rng.random(200) < sigmoid(offset)
    fitted = class_logistic(x, known, offset, np.full(2, 1e12), float(sigmoid(offset).sum()))
    np.testing.assert_allclose(fitted, 0, atol=1e-6)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_class_without_positives_or_negatives_stays_finite(share: float) -> None:
    x = np.random.default_rng(0).normal(size=(50, 2))
    fitted = class_logistic(x, np.full(50, share), np.zeros(50), np.ones(2), 49.5 if share else 0.5)
    assert np.isfinite(fitted).all()
    assert sigmoid(x @ fitted[:2] + fitted[2]).sum() == pytest.approx(49.5 if share else 0.5, rel=0.01)
