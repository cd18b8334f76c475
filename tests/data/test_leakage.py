"""What one part could know of another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lociscope.artifacts.catalog import Catalog, Entry
from lociscope.data.leakage import adversarial_validation, count_leaks

NAMES = ("GainOfRed", "GainOfGreen", "Focus")


def catalog(n: int = 200, fields_of_one: int = 2) -> Catalog:
    """Specimens of two fields, in order; the last fifth is tested on."""
    rows = [
        Entry(
            f"f{row}",
            (0,),
            specimen=f"s{row // fields_of_one}",
            plate=f"p{row % 3}",
            split="test" if row >= n * 0.8 else "train",
            fold=None if row >= n * 0.8 else row // fields_of_one % 5,
        )
        for row in range(n)
    ]
    return Catalog.from_entries(rows, Path())


def test_what_lies_in_two_parts_is_counted() -> None:
    fields = catalog()
    assert count_leaks(fields) == {"specimen": 0, "plate": 3}
    folds = fields.table["fold"].to_pylist()
    folds[0] = 4
    assert count_leaks(fields.with_column("fold", folds))["specimen"] == 1
    splits = fields.table["split"].to_pylist()
    splits[-1] = "train"
    assert count_leaks(fields.with_column("split", splits))["specimen"] == 1


def test_a_part_like_the_rest_is_not_distinguished() -> None:
    statistics = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    result = adversarial_validation(catalog(), np.arange(200), statistics, NAMES)
    assert result is not None
    assert (result.part, result.auc.n) == ("test", 100)
    assert result.auc.low < 0.5 < result.auc.high + 0.1


def test_a_part_of_other_conditions_is_distinguished_by_its_statistic() -> None:
    statistics = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    statistics[160:, 1] += 2
    result = adversarial_validation(catalog(), np.arange(200), statistics, NAMES)
    assert result is not None
    assert result.auc.low > 0.8
    assert result.statistic == "GainOfGreen"


def test_a_specimen_is_not_known_again() -> None:
    """Figures that belong to the specimen alone say nothing of a specimen that was not seen."""
    rng = np.random.default_rng(1)
    statistics = np.repeat(rng.normal(size=(20, 30)), 10, axis=0).astype(np.float32)
    result = adversarial_validation(
        catalog(200, 10), np.arange(200), statistics + rng.normal(scale=0.01, size=(200, 30)), NAMES * 10
    )
    assert result is None or result.auc.low < 0.6


@pytest.mark.parametrize("test", [0, 10])
def test_without_a_test_part_the_first_fold_is_the_part(test: int) -> None:
    fields = catalog().with_column("split", ["train"] * 200).with_column("fold", [row // 2 % 5 for row in range(200)])
    result = adversarial_validation(fields, np.arange(test, 200), np.zeros((200 - test, 3), np.float32), NAMES)
    assert result is not None
    assert result.part == "fold 0"


def test_too_few() -> None:
    assert adversarial_validation(catalog(50), np.arange(50), np.zeros((50, 3), np.float32), NAMES) is None
