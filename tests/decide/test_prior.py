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
    shrink_counts,
)
from lociscope.labels import parse_target

if TYPE_CHECKING:
    from pathlib import Path


def test_the_competitions_counts_are_those_of_its_table(real_data: Path) -> None:
    with (real_data / "tables/hpa2018_train.csv").open() as file:
        targets = [parse_target(row["Target"]) for row in csv.DictReader(file)]
    count = Counter(number for target in targets for number in target)
    assert len(targets) == HPA_2018_FIELDS
    assert tuple(count[number] for number in range(28)) == HPA_2018_COUNTS


def test_only_28_classes_have_a_prior_by_default() -> None:
    assert default_prior(28) is HPA_2018
    assert default_prior(6) is None


def test_counts_are_shrunk_toward_the_prior_and_never_0_or_n() -> None:
    truth = np.zeros((3000, 3), bool)
    truth[:300, 1] = truth[:, 2] = True
    counts = shrink_counts(truth, np.array([0.0005, 0.1, 0.5]))
    assert 0.3 < counts[0] < 1.5
    assert counts[1] == pytest.approx(300, rel=0.01)
    assert 2990 < counts[2] < 3000
    assert ((shrink_counts(truth, None) > 0) & (shrink_counts(truth, None) < 3000)).all()


def test_a_prior_that_the_data_contradict_is_left_alone() -> None:
    truth = np.zeros((60, 2), bool)
    truth[:9] = True
    assert shrink_counts(truth, np.array([0.0004, 0.15])) == pytest.approx([9, 9], abs=0.6)
