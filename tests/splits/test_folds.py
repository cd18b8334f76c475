"""Parts by whole groups: nothing shared, every class in its proportion, the same whatever the order of the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lociscope.artifacts.catalog import read_labels
from lociscope.labels import N_LABELS
from lociscope.splits.folds import assign_groups, label_deviation

if TYPE_CHECKING:
    from pathlib import Path


def table(n: int, groups: int, seed: int, classes: int = 6) -> tuple[np.ndarray, list[str]]:
    """Labels that grow rarer from class to class, and groups of unlike sizes whose fields share their labels."""
    rng = np.random.default_rng(seed)
    of_group = rng.random((groups, classes)) < 0.5 ** np.arange(1, classes + 1)
    member = np.sort(rng.choice(groups, n, p=rng.dirichlet(np.ones(groups))))
    return of_group[member].astype(np.uint8), [f"ab{number}" for number in member]


@given(st.integers(10, 80), st.integers(5, 20), st.integers(0, 100), st.integers(2, 5))
@settings(max_examples=60)
def test_no_group_is_in_two_parts_and_every_field_in_one(n: int, groups: int, seed: int, folds: int) -> None:
    labels, named = table(n, groups, seed)
    part = assign_groups(labels, named, [1 / folds] * folds, seed)
    assert ((part >= 0) & (part < folds)).all()
    assert len({*zip(named, part.tolist(), strict=True)}) == len({*named})


@given(st.integers(0, 1000))
@settings(max_examples=20)
def test_the_order_of_the_rows_does_not_matter(seed: int) -> None:
    labels, named = table(60, 15, 3)
    order = np.random.default_rng(seed).permutation(60)
    part = assign_groups(labels, named, [0.5, 0.5])
    np.testing.assert_array_equal(assign_groups(labels[order], [named[row] for row in order], [0.5, 0.5]), part[order])


def test_every_class_with_enough_groups_is_in_every_fold() -> None:
    for seed in range(10):
        labels, named = table(400, 60, seed)
        part = assign_groups(labels, named, [0.2] * 5, seed)
        for column in labels.T:
            if len({named[row] for row in np.flatnonzero(column)}) >= 5:
                assert len({*part[column > 0].tolist()}) == 5


def test_shares_are_met() -> None:
    labels, named = table(3000, 600, 0, classes=4)
    part = assign_groups(labels, named, [0.1, 0.2, 0.7])
    np.testing.assert_allclose(np.bincount(part) / 3000, [0.1, 0.2, 0.7], atol=0.01)
    assert label_deviation(labels, part, [0.1, 0.2, 0.7]) < 0.05


def test_the_deviation_by_hand() -> None:
    labels = np.array([[1, 0], [1, 0], [1, 1], [1, 1]], np.uint8)
    assert label_deviation(labels, np.array([0, 0, 1, 1]), [0.5, 0.5]) == pytest.approx((0 + 0 + 1 + 1) / 4)
    assert label_deviation(labels, np.array([0, 1, 0, 1]), [0.5, 0.5]) == 0


def test_another_seed_is_another_deal() -> None:
    labels, named = table(300, 100, 1)
    assert not np.array_equal(assign_groups(labels, named, [0.5, 0.5], 0), assign_groups(labels, named, [0.5, 0.5], 1))


@pytest.mark.slow
def test_real_antibodies(real_data: Path) -> None:
    rows = read_labels(real_data / "tables" / "hpa_v18_without_uncertain.csv")
    labels = np.zeros((len(rows), N_LABELS), np.uint8)
    for number, places in enumerate(rows.values()):
        labels[number, list(places)] = 1
    named = [name.split("_")[0] for name in rows]
    part = assign_groups(labels, named, [0.2] * 5)
    assert len({*zip(named, part.tolist(), strict=True)}) == len({*named}) == 12_241
    assert label_deviation(labels, part, [0.2] * 5) < 0.03
    for column in labels.T:
        assert len({*part[column > 0].tolist()}) == 5
