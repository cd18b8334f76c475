"""Scores of classes, curves and confusions, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lociscope.decide.class_metrics import (
    MAX_CURVE_POINTS,
    decision_accuracy,
    exact_match,
    macro_jaccard,
    macro_precision,
    macro_recall,
    micro_f1,
    precision_recall_curve,
    thin_curve,
)
from lociscope.decide.intervals import bootstrap_classes
from lociscope.decide.metrics import macro_f1

SEEDS = st.integers(0, 10_000)


def tables(seed: int, n: int = 30, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.random((n, classes)) < rng.uniform(0.05, 0.6), rng.random((n, classes)) < rng.uniform(0, 0.6)


@given(SEEDS)
def test_scores_equal_those_of_scikit_learn(seed: int) -> None:
    from sklearn import metrics as sk

    truth, decided = tables(seed)
    truth[0] = True  # every class has a positive
    for ours, theirs in (
        (macro_precision, sk.precision_score),
        (macro_recall, sk.recall_score),
        (macro_jaccard, sk.jaccard_score),
    ):
        np.testing.assert_allclose(
            ours(truth, decided).per_class, theirs(truth, decided, average=None, zero_division=0), atol=1e-12
        )
    assert exact_match(truth, decided) == pytest.approx(sk.accuracy_score(truth, decided))
    assert decision_accuracy(truth, decided) == pytest.approx(1 - sk.hamming_loss(truth, decided))
    assert micro_f1(truth, decided) == pytest.approx(sk.f1_score(truth, decided, average="micro", zero_division=0))


def test_a_class_without_positives_has_no_score_and_one_never_reported_has_precision_0() -> None:
    truth, decided = np.array([[1, 0], [1, 0]]), np.array([[0, 1], [0, 0]])
    found = macro_precision(truth, decided)
    assert (found.value, found.per_class[0], found.unscored) == (0, 0, (1,))
    assert np.isnan(found.per_class[1])


@given(SEEDS)
def test_a_curve_equals_that_of_scikit_learn(seed: int) -> None:
    from sklearn.metrics import precision_recall_curve as theirs

    rng = np.random.default_rng(seed)
    positive, score = rng.random(40) < 0.3, rng.integers(0, 12, 40) / 12
    positive[0] = True
    recall, precision = precision_recall_curve(positive, score)
    expected_precision, expected_recall, _ = theirs(positive, score)
    expected = set(zip(expected_recall.round(12).tolist(), expected_precision.round(12).tolist(), strict=True))
    ours = set(zip(recall.round(12).tolist(), precision.round(12).tolist(), strict=True))
    assert ours | {(0.0, 1.0)} == expected
    thin = thin_curve(recall, precision)
    assert len(thin) <= MAX_CURVE_POINTS + 1
    assert thin[-1][0] == 1
    assert set(thin) <= set(zip(recall.round(4).tolist(), precision.round(4).tolist(), strict=True))


def test_intervals_of_classes_are_those_of_their_resamples() -> None:
    truth, decided = tables(1, 200)
    found = bootstrap_classes(macro_f1, truth, decided, n=300)
    scores = macro_f1(truth, decided).per_class
    assert [each.value for each in found] == pytest.approx(scores.tolist())
    assert all(each.low < each.value < each.high for each in found)
    groups = np.arange(200) // 20
    wider = bootstrap_classes(macro_f1, truth, decided, groups=groups, n=300)
    assert {each.n for each in wider} == {10}
