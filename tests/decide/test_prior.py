"""Priors: the competition's, shrunk counts, re-weighting."""

from __future__ import annotations

import csv
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.decide.prior import (
    HPA_2018,
    HPA_2018_COUNTS,
    HPA_2018_FIELDS,
    default_prior,
    reweighted,
    shrink_counts,
)
from lociscope.errors import LociscopeError
from lociscope.labels import parse_target

if TYPE_CHECKING:
    from pathlib import Path


def test_the_competitions_counts_are_those_of_its_table(real_data: Path) -> None:
    with (real_data / "tables/hpa2018_train.csv").open() as file:
        targets = [parse_target(row["Target"]) for row in csv.DictReader(file)]
    count = Counter(number for target in targets for number in target)
    assert len(targets) == HPA_2018_FIELDS
    assert tuple(count[number] for number in range(28)) == HPA_2018_COUNTS


def test_only_28_classes_have_a_prior_of_their_own() -> None:
    assert default_prior(28) is HPA_2018
    assert default_prior(6) is None


def test_counts_are_drawn_toward_the_prior_and_never_none_or_all() -> None:
    truth = np.zeros((3000, 3), bool)
    truth[:300, 1] = truth[:, 2] = True
    drawn = shrink_counts(truth, np.array([0.0005, 0.1, 0.5]))
    assert 0.3 < drawn[0] < 1.5
    assert drawn[1] == pytest.approx(300, rel=0.01)
    assert 2990 < drawn[2] < 3000
    assert ((shrink_counts(truth, None) > 0) & (shrink_counts(truth, None) < 3000)).all()


def test_a_prior_that_the_data_contradict_is_left_alone() -> None:
    truth = np.zeros((60, 2), bool)
    truth[:9] = True
    assert shrink_counts(truth, np.array([0.0004, 0.15])) == pytest.approx([9, 9], abs=0.6)


def test_reweighting_is_bayes_rule() -> None:
    rng = np.random.default_rng(0)
    assumed, wanted = 0.5, 0.1
    score = rng.normal(size=200_000)
    truth = rng.random(len(score)) < wanted
    score = score + 1.5 * truth
    balanced = 1 / (1 + np.exp(-(1.5 * score - 1.5**2 / 2)))  # exact where half are positive
    p = reweighted(balanced[:, None], np.array([assumed]), np.array([wanted]))[:, 0]
    for low, high in ((0.05, 0.1), (0.2, 0.3), (0.5, 0.7)):
        kept = (p >= low) & (p < high)
        assert truth[kept].mean() == pytest.approx(p[kept].mean(), abs=0.02)


def test_reweighting_there_and_back_changes_nothing() -> None:
    p = np.random.default_rng(0).random((5, 2))
    one, other = np.array([0.2, 0.3]), np.array([0.6, 0.01])
    np.testing.assert_allclose(reweighted(reweighted(p, one, other), other, one), p)
    assert reweighted(p, one, np.array([0, 1]))[:, 0].max() == 0
    assert reweighted(p, one, np.array([0, 1]))[:, 1].min() == 1


def test_impossible_priors_are_refused() -> None:
    with pytest.raises(LociscopeError, match="one share per class"):
        reweighted(np.zeros((1, 2)), np.array([0.5]), np.array([0.5]))
    with pytest.raises(LociscopeError, match="above 0 and below 1"):
        reweighted(np.zeros((1, 1)), np.array([0]), np.array([0.5]))
