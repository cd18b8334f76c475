"""Compare the predictions of fields under several conditions, such as treatments: which locations differ?

Fields of one well are not independent, so wells (or antibodies) are compared, each by its mean probability.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from lociscope.decide.holm import adjust_holm
from lociscope.errors import Code, LociscopeError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Sequence

LEVEL = 0.05
MIN_DIFFERENCE = 0.05
"""Smallest difference of mean probabilities that counts as a change: with many wells, less can be significant."""
MIN_UNITS = 3
"""Fewest units of each condition for a test."""

MIN_PAIRS = 6
"""Fewest units that occur under both of two conditions for a paired test: with fewer no p is below 0.05."""

MAX_CONDITIONS = 20

Test = Literal["Mann–Whitney U", "Kruskal–Wallis H", "Wilcoxon signed-rank"]


class LocationChange(NamedTuple):
    """One location under all conditions.

    Attributes:
        number: Its class number.
        shares: Share of the fields of each condition in which it is reported; in a paired test of the paired units.
        means: Mean over units of the mean probability, for each condition; in a paired test over the paired units.
        p: p of the test, corrected for the number of locations by Holm; None where nothing was tested.
        changed: Whether p is at most `LEVEL` and the means differ by `MIN_DIFFERENCE` or more.
    """

    number: int
    shares: tuple[float, ...]
    means: tuple[float, ...]
    p: float | None
    changed: bool


class ConditionComparison(NamedTuple):
    """A comparison of conditions.

    Attributes:
        conditions: Their names, sorted.
        fields: Number of fields of each.
        units: Number of units of each.
        test: The test; None where a condition has fewer units than `MIN_UNITS`.
        pairs: Number of units that occur under both conditions, where the test is paired; else 0.
        changes: Each location that is reported in any field; smallest p first.
        left_out: Fields without a condition.
    """

    conditions: tuple[str, ...]
    fields: tuple[int, ...]
    units: tuple[int, ...]
    test: Test | None
    pairs: int
    changes: list[LocationChange]
    left_out: int


def compare_conditions(
    probability: np.ndarray, decided: np.ndarray, conditions: Sequence[str], units: Sequence[str]
) -> ConditionComparison:
    """Test for each location whether its probability differs between conditions.

    Args:
        probability: (n, classes) in 0–1.
        decided: (n, classes), 1 where a location is reported.
        conditions: The condition of each field; empty where unknown.
        units: The unit of each field: the well, or the antibody, which are independent of each other.

    Returns:
        The comparison: with two conditions that share at least `MIN_PAIRS` units a paired test, else a test of
        independent units.

    Raises:
        LociscopeError: There are fewer than 2 conditions, or more than `MAX_CONDITIONS`.
        MissingExtraError: SciPy is not installed.
    """
    names = sorted({each for each in conditions if each})
    if not 2 <= len(names) <= MAX_CONDITIONS:
        raise LociscopeError(
            f"The fields have {len(names)} different conditions; 2 to {MAX_CONDITIONS} can be compared. "
            "Pass another column as `compare_by`.",
            code=Code.INVALID_VALUE,
        )
    condition, unit = np.asarray(conditions), np.asarray(units)
    tables = [_mean_by_unit(probability, condition == name, unit) for name in names]
    paired = sorted(set(tables[0]) & set(tables[1])) if len(names) == 2 else []
    paired = paired if len(paired) >= MIN_PAIRS else []
    test = _choose_test(tables, paired)
    found = np.flatnonzero(np.asarray(decided).any(axis=0)).tolist()
    p = np.array([_test(test, tables, paired, number) for number in found])
    corrected = adjust_holm(p) if test is not None and len(p) else [None] * len(found)
    changes = []
    counted = np.isin(unit, paired) if paired else np.ones(len(unit), bool)  # what was not tested is no change
    compared = [{name: table[name] for name in paired} if paired else table for table in tables]
    for number, each in zip(found, corrected, strict=True):
        shares = tuple(float(decided[counted & (condition == name), number].mean()) for name in names)
        means = tuple(float(np.mean([row[number] for row in table.values()])) for table in compared)
        changed = each is not None and bool(each <= LEVEL) and max(means) - min(means) >= MIN_DIFFERENCE
        changes.append(LocationChange(number, shares, means, None if each is None else float(each), changed))
    return ConditionComparison(
        tuple(names),
        tuple(int((condition == name).sum()) for name in names),
        tuple(len(table) for table in tables),
        test,
        len(paired),
        sorted(changes, key=lambda each: (1.0 if each.p is None else each.p, -max(each.shares))),
        int((condition == "").sum()),
    )


def _mean_by_unit(probability: np.ndarray, rows: np.ndarray, unit: np.ndarray) -> dict[str, np.ndarray]:
    names, member = np.unique(unit[rows], return_inverse=True)
    sums = np.zeros((len(names), probability.shape[1]))
    np.add.at(sums, member, np.asarray(probability, np.float64)[rows])
    return dict(zip(names.tolist(), sums / np.bincount(member)[:, None], strict=True))


def _choose_test(tables: Sequence[dict[str, np.ndarray]], paired: list[str]) -> Test | None:
    if paired:
        return "Wilcoxon signed-rank"
    if min(len(table) for table in tables) < MIN_UNITS:
        return None
    return "Mann–Whitney U" if len(tables) == 2 else "Kruskal–Wallis H"


def _test(test: Test | None, tables: Sequence[dict[str, np.ndarray]], paired: list[str], number: int) -> float:
    """Return p of one location; 1 where all units have the same probability."""
    if test is None:
        return 1.0
    try:
        from scipy.stats import kruskal, mannwhitneyu, wilcoxon
    except ImportError:
        raise MissingExtraError("Comparing conditions", "report") from None
    if paired:
        differences = np.array([tables[0][name][number] - tables[1][name][number] for name in paired])
        return float(wilcoxon(differences).pvalue) if differences.any() else 1.0
    samples = [np.array([row[number] for row in table.values()]) for table in tables]
    if len(np.unique(np.concatenate(samples))) == 1:
        return 1.0
    found = mannwhitneyu(*samples) if test == "Mann–Whitney U" else kruskal(*samples)
    p = float(found.pvalue)
    return 1.0 if np.isnan(p) else p
