"""Every metric against scikit-learn, and what is left out."""

from __future__ import annotations

import numpy as np
import pytest
from fixtures.codes import raises_code
from sklearn import metrics as reference

from lociscope.decide import metrics
from lociscope.errors import Code, LociscopeError


def draw(seed: int, n: int = 120, classes: int = 6, steps: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Truth and probabilities on a coarse grid, so that ties are common."""
    rng = np.random.default_rng(seed)
    truth = rng.random((n, classes)) < np.linspace(0.05, 0.6, classes)
    scores = np.clip(np.round((rng.random((n, classes)) + 0.3 * truth) * steps) / (1.3 * steps), 0, 1)
    return truth, scores


@pytest.mark.parametrize("seed", range(5))
def test_class_metrics_equal_scikit_learn(seed: int) -> None:
    truth, scores = draw(seed)
    decided = scores > 0.4
    assert metrics.macro_f1(truth, decided).value == pytest.approx(reference.f1_score(truth, decided, average="macro"))
    np.testing.assert_allclose(metrics.f1_per_class(truth, decided), reference.f1_score(truth, decided, average=None))
    np.testing.assert_allclose(
        metrics.macro_average_precision(truth, scores).per_class,
        reference.average_precision_score(truth, scores, average=None),
    )
    np.testing.assert_allclose(
        metrics.macro_auc(truth, scores).per_class, reference.roc_auc_score(truth, scores, average=None)
    )


@pytest.mark.parametrize("seed", range(5))
def test_row_metrics_equal_scikit_learn_on_labelled_rows(seed: int) -> None:
    truth, scores = draw(seed)
    kept = truth.any(axis=1)
    truth, scores = truth[kept], scores[kept]
    decided = scores > 0.4
    assert metrics.lrap(truth, scores) == pytest.approx(reference.label_ranking_average_precision_score(truth, scores))
    assert metrics.jaccard(truth, decided) == pytest.approx(reference.jaccard_score(truth, decided, average="samples"))
    p = np.clip(scores, 0.01, 0.99)
    assert metrics.brier(truth, p) == pytest.approx(
        np.mean([reference.brier_score_loss(t, s) for t, s in zip(truth.T, p.T, strict=True)])
    )
    assert metrics.log_loss(truth, p) == pytest.approx(
        np.mean([reference.log_loss(t, s, labels=[0, 1]) for t, s in zip(truth.T, p.T, strict=True)])
    )


@pytest.mark.parametrize("k", [1, 2, 3])
def test_top_k_equals_scikit_learn_on_single_labels_without_ties(k: int) -> None:
    rng = np.random.default_rng(k)
    label = rng.integers(6, size=200)
    scores = rng.random((200, 6))
    truth = np.eye(6, dtype=bool)[label]
    assert metrics.top_k(k)(truth, scores) == pytest.approx(reference.top_k_accuracy_score(label, scores, k=k))


def test_ties_count_against() -> None:
    truth, scores = np.array([[True, False]]), np.array([[0.5, 0.5]])
    assert metrics.lrap(truth, scores) == 0.5
    assert metrics.top_k(1)(truth, scores) == 0
    assert metrics.top_k(2)(truth, scores) == 1


def test_lrap_of_single_labels_is_the_mean_reciprocal_rank() -> None:
    truth = np.eye(3, dtype=bool)
    scores = np.array([[0.9, 0.5, 0.1], [0.9, 0.5, 0.1], [0.9, 0.5, 0.1]])
    assert metrics.lrap(truth, scores) == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)


def test_an_absent_class_is_stated_and_neither_zero_nor_one() -> None:
    truth = np.array([[1, 0, 0], [1, 0, 1]])
    decided = np.array([[1, 1, 0], [0, 0, 1]])
    score = metrics.macro_f1(truth, decided)
    assert score.unscored == (1,)
    assert np.isnan(score.per_class[1])
    assert score.value == pytest.approx((2 / 3 + 1) / 2)
    assert float(score) == score.value


def test_few_positives_are_left_out_of_the_frequent_mean_and_the_auc() -> None:
    truth = np.zeros((40, 2), bool)
    truth[:20, 0] = truth[:2, 1] = True
    decided = truth.copy()
    decided[:2, 1] = False
    assert metrics.macro_f1_frequent(truth, decided).unscored == (1,)
    assert metrics.macro_f1_frequent(truth, decided).value == 1
    assert metrics.macro_auc(truth, decided).unscored == (1,)


def test_nothing_scored_is_nan() -> None:
    assert np.isnan(metrics.macro_f1(np.zeros((3, 2)), np.zeros((3, 2))).value)
    assert np.isnan(metrics.lrap(np.zeros((3, 2)), np.zeros((3, 2))))


def test_blank_rows_of_both_are_right_in_jaccard() -> None:
    assert metrics.jaccard(np.array([[0, 0], [1, 0]]), np.array([[0, 0], [0, 1]])) == 0.5


@pytest.mark.parametrize(
    "metric",
    [metrics.macro_f1, metrics.macro_average_precision, metrics.macro_auc, metrics.lrap, metrics.jaccard],
)
def test_weights_equal_repeated_rows(metric: metrics.ClassMetric | metrics.RowMetric) -> None:
    truth, scores = draw(7)
    values = scores > 0.4 if metric.values == "decisions" else scores
    weights = np.random.default_rng(1).integers(4, size=(3, len(truth))).astype(float)
    for row, score in zip(weights, metric.score_resamples(weights, truth, values), strict=True):
        pick = np.repeat(np.arange(len(truth)), row.astype(int))
        assert score == pytest.approx(float(metric(truth[pick], values[pick])))


@pytest.mark.parametrize(
    ("truth", "scores", "message"),
    [
        (np.zeros((0, 3)), np.zeros((0, 3)), "fields, classes"),
        (np.full((2, 3), 2), np.zeros((2, 3)), "other than 0 and 1"),
        (np.ones((2, 3)), np.zeros((3, 3)), "do not match"),
        (np.ones((2, 3)), np.full((2, 3), np.nan), "Row 0 of the"),
        (np.ones((2, 3)), np.full((2, 3), 1.5), "within 0–1"),
    ],
)
def test_invalid_arrays_are_refused(truth: np.ndarray, scores: np.ndarray, message: str) -> None:
    with pytest.raises(LociscopeError, match=message):
        metrics.log_loss(truth, scores)


def test_top_zero_is_refused() -> None:
    with raises_code(Code.INVALID_VALUE):
        metrics.top_k(0)
