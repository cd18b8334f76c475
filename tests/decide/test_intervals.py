"""Intervals: coverage, groups, pairs."""

from __future__ import annotations

import numpy as np
import pytest
from fixtures.codes import raises_code

from lociscope.decide.intervals import bootstrap, paired_bootstrap
from lociscope.decide.metrics import macro_average_precision, macro_f1
from lociscope.errors import Code


def noisy(seed: int, n: int = 300, error: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.random((n, 3)) < 0.4
    return truth, truth ^ (rng.random((n, 3)) < error)


def mean(values: np.ndarray) -> float:
    return float(values.mean())


def test_the_fast_path_equals_the_plain_one() -> None:
    truth, decided = noisy(0)
    fast = bootstrap(macro_f1, truth, decided, n=50, seed=3)
    plain = bootstrap(lambda t, d: macro_f1(t, d).value, truth, decided, n=50, seed=3)
    assert fast.low == pytest.approx(plain.low)
    assert fast.high == pytest.approx(plain.high)
    assert fast.value == macro_f1(truth, decided).value
    assert fast.n == len(truth)


def test_the_interval_of_a_mean_is_the_normal_one() -> None:
    values = np.random.default_rng(0).normal(size=400)
    interval = bootstrap(mean, values, n=2000)
    half = 1.96 * values.std() / 20
    assert interval.high - interval.low == pytest.approx(2 * half, rel=0.08)
    assert values.mean() in interval


def test_groups_are_resampled_whole_and_widen_the_interval() -> None:
    values = np.repeat(np.random.default_rng(0).normal(size=40), 10)
    groups = np.repeat(np.arange(40), 10)
    single, grouped = bootstrap(mean, values), bootstrap(mean, values, groups=groups)
    assert grouped.n == 40
    assert grouped.high - grouped.low > 2.5 * (single.high - single.low)


def test_the_seed_decides_the_interval() -> None:
    truth, decided = noisy(1)
    assert bootstrap(macro_f1, truth, decided, seed=5) == bootstrap(macro_f1, truth, decided, seed=5)
    assert bootstrap(macro_f1, truth, decided, seed=5) != bootstrap(macro_f1, truth, decided, seed=6)


def test_chunks_do_not_change_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, decided = noisy(1)
    whole = bootstrap(macro_f1, truth, decided, n=40)
    monkeypatch.setattr("lociscope.decide.intervals.CHUNK", 1000)
    assert bootstrap(macro_f1, truth, decided, n=40) == whole


def test_a_paired_interval_is_narrower() -> None:
    truth, ours = noisy(2, n=500)
    theirs = ours.copy()
    theirs[:20] = ~truth[:20]
    gain = paired_bootstrap(macro_f1, truth, ours, theirs)
    apart = bootstrap(macro_f1, truth, ours)
    assert 0 not in gain
    assert gain.high - gain.low < apart.high - apart.low
    assert gain.value == pytest.approx(macro_f1(truth, ours).value - macro_f1(truth, theirs).value)


def test_unlike_lengths_are_refused() -> None:
    with raises_code(Code.INVALID_VALUE):
        bootstrap(macro_f1, np.zeros((3, 2)), np.zeros((4, 2)))
    with raises_code(Code.INVALID_VALUE):
        bootstrap(macro_f1, np.zeros((3, 2)), np.zeros((3, 2)), groups=np.zeros(2))


def test_a_score_that_no_resample_has_is_nan() -> None:
    interval = bootstrap(macro_f1, np.zeros((3, 2)), np.zeros((3, 2)), n=10)
    assert np.isnan([interval.value, interval.low, interval.high]).all()
    assert str(bootstrap(mean, np.ones(4), n=3)) == "1.000 [1.000, 1.000]"


@pytest.mark.parametrize("seed", range(6))
def test_a_score_of_few_fields_and_rare_classes_lies_within_its_interval(seed: int) -> None:
    """Resamples of 20 fields lose most classes, and their means over classes exceed the score."""
    rng = np.random.default_rng(seed)
    truth = (rng.random((20, 28)) < 0.06).astype(np.uint8)
    truth[0, 0] = 1
    scores = rng.random((20, 28))
    interval = bootstrap(macro_average_precision, truth, scores, n=200)
    assert 0 <= interval.low <= interval.value <= interval.high <= 1
