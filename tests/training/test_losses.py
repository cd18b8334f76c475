"""The losses against the same sums in numpy."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from lociscope.training.losses import get_loss


def sigmoid(z: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-z)))


@pytest.fixture
def batch() -> tuple[np.ndarray, np.ndarray]:
    """Labels, one of them mixed and some classes of none, and logits."""
    rng = np.random.default_rng(0)
    labels = (rng.random((6, 28)) < 0.1).astype(np.float32)
    labels[:, 5] = 0
    labels[0, 3] = 0.4
    return labels, rng.normal(0, 2, (6, 28)).astype(np.float32)


def value(name: str, labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
    made: np.ndarray = keras.ops.convert_to_numpy(get_loss(name)(labels, logits))
    return made


def entropy(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    return np.asarray(-(y * np.log(p) + (1 - y) * np.log(1 - p)).mean(axis=1))


def test_cross_entropy_and_focal(batch: tuple[np.ndarray, np.ndarray]) -> None:
    y, p = batch[0], sigmoid(batch[1].astype(np.float64))
    assert value("bce", *batch) == pytest.approx(entropy(y, p).mean(), rel=1e-5)
    right = y * p + (1 - y) * (1 - p)
    focal = -((1 - right) ** 2) * (y * np.log(p) + (1 - y) * np.log(1 - p))
    assert value("focal", *batch) == pytest.approx(focal.mean(), rel=1e-5)


def test_asymmetric(batch: tuple[np.ndarray, np.ndarray]) -> None:
    y, p = batch[0], sigmoid(batch[1].astype(np.float64))
    q = np.maximum(p - 0.05, 0)
    expected = -(y * np.log(p) + (1 - y) * q**4 * np.log(1 - q)).mean(axis=1)
    np.testing.assert_allclose(value("asymmetric", *batch), expected, rtol=1e-5)


def test_soft_f1_is_half_of_what_the_batch_misses(batch: tuple[np.ndarray, np.ndarray]) -> None:
    y, p = batch[0], sigmoid(batch[1].astype(np.float64))
    shown = y.sum(axis=0) > 0
    assert 0 < shown.sum() < 28
    f1 = (2 * (p * y).sum(axis=0) / (p + y).sum(axis=0))[shown].mean()
    expected = 0.5 * entropy(y, p) + 0.5 * (1 - f1)
    np.testing.assert_allclose(value("soft_f1", *batch), expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["bce", "focal", "asymmetric", "soft_f1"])
def test_certainty_costs_no_infinity_and_right_less_than_wrong(name: str) -> None:
    labels = np.eye(28, dtype=np.float32)
    right, wrong = ((2 * labels - 1) * sign * 200 for sign in (1, -1))
    low, high = (float(np.mean(value(name, labels, logits))) for logits in (right, wrong))
    assert np.isfinite(high)
    assert 0 <= low < 1e-3 < high


@pytest.mark.parametrize("name", ["asymmetric", "soft_f1"])
def test_a_batch_without_labels_has_a_finite_loss(name: str) -> None:
    nothing = np.zeros((4, 28), np.float32)
    assert np.isfinite(value(name, nothing, nothing)).all()
