"""Folds for rare labels."""

from __future__ import annotations

import numpy as np
from fixtures.codes import raises_code
from hypothesis import given, settings
from hypothesis import strategies as st

from lociscope.decide.crossfit import cross_val_predict
from lociscope.errors import Code
from lociscope.splits.folds import fold_masks, stratified_folds


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(5, 80), st.integers(2, 5))
def test_folds_are_of_equal_size_and_cover_every_row_once(seed: int, n: int, k: int) -> None:
    truth = np.random.default_rng(seed).random((n, 4)) < [0.02, 0.1, 0.3, 0.6]
    fold = stratified_folds(truth, k, seed)
    assert np.ptp(np.bincount(fold, minlength=k)) <= 1
    assert sum(kept.sum() for _, kept in fold_masks(fold)) == n
    assert all(not (train & kept).any() for train, kept in fold_masks(fold))


def test_rare_labels_are_shared_out() -> None:
    truth = np.zeros((500, 3), bool)
    truth[:5, 0] = truth[5:30, 1] = True
    truth[:, 2] = True
    for seed in range(5):
        fold = stratified_folds(truth, 5, seed)
        assert np.bincount(fold[:5], minlength=5).tolist() == [1] * 5
        assert np.bincount(fold[5:30], minlength=5).tolist() == [5] * 5


def test_a_group_stays_in_one_fold() -> None:
    rng = np.random.default_rng(0)
    truth, groups = rng.random((300, 3)) < 0.2, rng.integers(40, size=300).astype(str)
    fold = stratified_folds(truth, 5, 0, groups)
    assert all(len(set(fold[groups == name])) == 1 for name in set(groups))
    assert len(set(fold)) == 5


def test_seeds_decide_the_folds() -> None:
    truth = np.random.default_rng(0).random((100, 3)) < 0.2
    assert stratified_folds(truth, seed=1).tolist() == stratified_folds(truth, seed=1).tolist()
    assert stratified_folds(truth, seed=1).tolist() != stratified_folds(truth, seed=2).tolist()


def test_no_row_is_predicted_by_a_fit_that_saw_it() -> None:
    truth = np.random.default_rng(0).random((50, 1)) < 0.5
    marks = np.arange(50.0)[None, :, None]

    def seen_before(known: np.ndarray, train: np.ndarray, kept: np.ndarray) -> np.ndarray:
        return np.isin(kept[0], train[0]).astype(float)

    assert not cross_val_predict(seen_before, truth, marks, stratified_folds(truth)).any()


def test_too_few_rows_or_groups_are_refused() -> None:
    with raises_code(Code.NOT_ENOUGH_DATA):
        stratified_folds(np.ones((1, 2)))
    with raises_code(Code.NOT_ENOUGH_DATA):
        stratified_folds(np.ones((10, 2)), groups=np.array(["a", "b"] * 5))
