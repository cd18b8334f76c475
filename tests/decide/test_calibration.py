"""Calibration methods on probabilities that are wrong in a known way."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from fixtures.codes import raises_code
from hypothesis import given, settings
from hypothesis import strategies as st

from lociscope.decide.calibration import METHODS, Calibration, Method
from lociscope.decide.logistic import logit, sigmoid
from lociscope.decide.metrics import log_loss
from lociscope.decide.reliability import reliability
from lociscope.errors import Code, MissingExtraError


def overconfident(
    seed: int = 0, n: int = 4000, slope: float = 2.0, shift: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Truth of 3 classes, the last rare, and probabilities whose log odds are slope × the right ones + shift."""
    rng = np.random.default_rng(seed)
    odds = rng.normal([-1, -2, -6], 1.5, size=(n, 3))
    return rng.random((n, 3)) < sigmoid(odds), sigmoid(slope * odds + shift)


@pytest.mark.parametrize("method", ["platt", "beta", "isotonic"])
def test_what_is_wrong_is_calibrated_on_new_fields(method: Method) -> None:
    fit, new = overconfident(), overconfident(seed=1)
    calibrated = Calibration(method, shrink=10).fit(*fit).predict(new[1])
    assert reliability(new[0], calibrated).error < 0.3 * reliability(*new).error
    assert log_loss(new[0], calibrated) < log_loss(*new)


def test_platt_finds_slope_and_shift() -> None:
    a, b, c = Calibration("platt").fit(*overconfident(n=40_000)).coefficients_
    assert a.tolist() == b.tolist()
    np.testing.assert_allclose(a, 0.5, atol=0.03)
    np.testing.assert_allclose(c[:2], -0.5, atol=0.1)


def test_temperature_is_one_number() -> None:
    a, b, c = Calibration("temperature").fit(*overconfident(n=40_000, shift=0)).coefficients_
    np.testing.assert_allclose([*a, *b], 0.5, atol=0.02)
    assert not c.any()


def test_none_changes_nothing() -> None:
    truth, p = overconfident()
    assert Calibration("none").fit(truth, p).predict(p).tolist() == p.tolist()


def test_a_class_without_positives_is_calibrated_by_the_others() -> None:
    truth, p = overconfident()
    truth[:, 2] = False
    calibrated = Calibration("platt").fit(truth, p).predict(p)
    assert 0 < calibrated[:, 2].sum() < 3
    assert calibrated[:, 0].sum() == pytest.approx(truth[:, 0].sum(), rel=0.02)


def test_firm_shrinkage_makes_all_shapes_similar() -> None:
    for method in ("platt", "beta"):
        a, b, _ = Calibration(method, shrink=np.inf).fit(*overconfident()).coefficients_
        assert np.ptp(a) == np.ptp(b) == 0


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from(METHODS), st.integers(2, 60))
def test_every_map_is_monotone_and_stays_within_0_and_1(seed: int, method: Method, n: int) -> None:
    rng = np.random.default_rng(seed)
    truth, p = rng.random((n, 2)) < 0.3, np.round(rng.random((n, 2)), 2)
    grid = np.repeat(np.linspace(0, 1, 51)[:, None], 2, axis=1)
    mapped = Calibration(method).fit(truth, p).predict(grid)
    assert ((mapped >= 0) & (mapped <= 1)).all()
    assert (np.diff(mapped, axis=0) >= -1e-9).all()


def test_staircase_and_common_shape_are_mixed_by_positives() -> None:
    truth, p = overconfident()
    fitted = Calibration("isotonic", shrink=float(truth[:, 0].sum())).fit(truth, p)
    assert fitted.step_weight_[0] == 0.5
    assert fitted.step_weight_[2] < 0.1


def test_applying_needs_no_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, p = overconfident()
    fitted = Calibration("isotonic").fit(truth, p)
    monkeypatch.setitem(sys.modules, "sklearn.isotonic", None)
    assert fitted.predict(p).shape == p.shape
    with pytest.raises(MissingExtraError, match="extra 'fit'"):
        Calibration("isotonic").fit(truth, p)


def test_wrong_calls_are_refused() -> None:
    truth, p = overconfident(n=50)
    with raises_code(Code.UNKNOWN_NAME):
        Calibration("plat").fit(truth, p)  # type: ignore[arg-type]
    with raises_code(Code.INVALID_VALUE):
        Calibration("platt").fit(truth, p).predict(p[:, :2])
    assert logit(p).shape == p.shape
