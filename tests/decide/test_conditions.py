"""Conditions compared over wells, and doubt."""

from __future__ import annotations

import numpy as np
import pytest

from lociscope.decide.conditions import MIN_DIFFERENCE, compare_conditions
from lociscope.decide.doubt import doubt
from lociscope.errors import Code, LociscopeError

CLASSES = 6


def fields(wells: int, moved: float, seed: int = 0, per_well: int = 4) -> tuple[np.ndarray, list[str], list[str]]:
    """Two treatments in `wells` wells each; the probability of class 2 differs by `moved`, and wells vary."""
    rng = np.random.default_rng(seed)
    rows, conditions, units = [], [], []
    for number in range(2 * wells):
        treated = number % 2 == 1
        level = np.clip(0.4 + rng.normal(0, 0.05, CLASSES), 0.05, 0.95)
        level[2] += moved * treated
        rows.append(np.clip(level + rng.normal(0, 0.02, (per_well, CLASSES)), 0, 1))
        conditions += ["drug" if treated else "control"] * per_well
        units += [f"w{number}"] * per_well
    return np.concatenate(rows), conditions, units


def test_a_location_that_moves_is_found_and_others_are_not() -> None:
    probability, conditions, units = fields(8, 0.3)
    found = compare_conditions(probability, probability > 0.5, conditions, units)
    assert (found.conditions, found.units, found.test, found.pairs) == (
        ("control", "drug"),
        (8, 8),
        "Mann–Whitney U",
        0,
    )
    assert [each.number for each in found.changes if each.changed] == [2]
    assert found.changes[0].number == 2
    assert found.changes[0].means[1] - found.changes[0].means[0] == pytest.approx(0.3, abs=0.06)
    assert found.changes[0].shares == pytest.approx(
        [(probability[np.array(conditions) == name, 2] > 0.5).mean() for name in ("control", "drug")]
    )


def test_false_alarms_stay_below_the_level() -> None:
    alarms = 0
    for seed in range(60):
        probability, conditions, units = fields(6, 0, seed)
        found = compare_conditions(probability, probability > 0.3, conditions, units)
        alarms += any(each.p is not None and each.p <= 0.05 for each in found.changes)
    assert alarms <= 7  # 5 % of 60 is 3; more than 7 has a chance of 2 %


def test_wells_are_compared_and_not_their_fields() -> None:
    probability, conditions, units = fields(3, 0.02, per_well=500)
    found = compare_conditions(probability, probability > 0.3, conditions, units)
    assert all(each.p is not None and each.p > 0.05 for each in found.changes)  # 1,500 fields, 3 wells


def test_units_under_both_conditions_are_paired() -> None:
    rng = np.random.default_rng(1)
    level = rng.uniform(0.2, 0.7, (12, CLASSES))
    moved = level + rng.normal(0.1, 0.01, level.shape) * (np.arange(CLASSES) == 4)
    probability = np.concatenate([level, moved])
    names = [f"antibody {number}" for number in range(12)]
    found = compare_conditions(probability, probability > 0, ["a"] * 12 + ["b"] * 12, names * 2)
    assert (found.test, found.pairs) == ("Wilcoxon signed-rank", 12)
    assert [each.number for each in found.changes if each.changed] == [4]
    unpaired = compare_conditions(probability, probability > 0, ["a"] * 12 + ["b"] * 12, [*names, *"abcdefghijkl"])
    assert not any(each.changed for each in unpaired.changes)


def test_units_of_one_condition_alone_have_no_part_in_a_paired_comparison() -> None:
    rng = np.random.default_rng(4)
    level = rng.uniform(0.3, 0.5, (12, CLASSES))
    moved = level + 0.01 * (np.arange(CLASSES) == 4)  # significant, but too small to count
    alone = np.full((12, CLASSES), 0.95)
    probability = np.concatenate([level, moved, alone])
    names = [f"antibody {number}" for number in range(12)]
    units = [*names, *names, *(f"other {number}" for number in range(12))]
    found = compare_conditions(probability, probability > 0.6, ["a"] * 12 + ["b"] * 24, units)
    assert (found.pairs, found.units) == (12, (12, 24))
    smallest = found.changes[0]
    assert (smallest.number, smallest.changed) == (4, False)
    assert smallest.p is not None and smallest.p < 0.05
    assert smallest.means == pytest.approx((level[:, 4].mean(), moved[:, 4].mean()))
    assert {each.shares for each in found.changes} == {(0.0, 0.0)}


def test_a_tiny_difference_is_no_change_however_significant() -> None:
    rng = np.random.default_rng(2)
    probability = rng.normal(0.4, 1e-4, (60, CLASSES))
    probability[30:, 1] += MIN_DIFFERENCE / 2
    found = compare_conditions(probability, probability > 0.3, ["a"] * 30 + ["b"] * 30, [str(n) for n in range(60)])
    smallest = found.changes[0]
    assert smallest.number == 1
    assert smallest.p is not None
    assert smallest.p < 0.001
    assert not smallest.changed


def test_three_conditions_and_fields_without_one() -> None:
    rng = np.random.default_rng(3)
    probability = rng.uniform(0.3, 0.4, (31, CLASSES))
    probability[20:30, 0] += 0.4
    conditions = [*["a"] * 10, *["b"] * 10, *["c"] * 10, ""]
    found = compare_conditions(probability, probability > 0.35, conditions, [str(n) for n in range(31)])
    assert (found.test, found.left_out, found.fields) == ("Kruskal–Wallis H", 1, (10, 10, 10))
    assert [each.number for each in found.changes if each.changed] == [0]


def test_too_few_units_are_not_tested_and_one_condition_is_refused() -> None:
    probability, conditions, units = fields(2, 0.3)
    found = compare_conditions(probability, probability > 0.3, conditions, units)
    assert found.test is None
    assert {each.p for each in found.changes} == {None}
    with pytest.raises(LociscopeError) as caught:
        compare_conditions(probability, probability > 0.3, ["a"] * len(units), units)
    assert caught.value.code == Code.INVALID_VALUE


def test_doubt_is_entropy_in_bits() -> None:
    np.testing.assert_allclose(doubt(np.array([[0, 1, 0], [0.5, 0.5, 0], [np.nan, 0.5, 1]])), [0, 2, 1], atol=1e-9)
