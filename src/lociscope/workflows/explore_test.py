"""Compare the fields of a test Catalog with those that are explored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lociscope.data.explore.comparison import Shift, TestComparison, distinguish_test, stack_statistics
from lociscope.decide.holm import adjust_holm
from lociscope.images.statistics import STATISTICS
from lociscope.labels import LABELS, to_multi_hot
from lociscope.monitor.compare import run_fisher_tests, run_kolmogorov_smirnov_tests
from lociscope.monitor.drift import MIN_FIELDS

if TYPE_CHECKING:
    from lociscope.artifacts.catalog import Catalog
    from lociscope.data.explore.inspect import Inspection

LEVEL = 0.05
"""Corrected p up to which a shift is reported."""


def compare_with_test(catalog: Catalog, inspection: Inspection, test: Catalog, seen: Inspection) -> TestComparison:
    """Compare test fields with others: pixel statistics, labels, and whether a classifier can distinguish them.

    Args:
        catalog: The fields.
        inspection: What was kept of their pixels.
        test: The test fields.
        seen: What was kept of theirs.

    Raises:
        MissingExtraError: scikit-learn or scipy is not installed.
    """
    shifts, compared = [], 0
    for found in (_compare_statistics(inspection, seen), _compare_labels(catalog, test)):
        compared += len(found)
        shifts += [each for each in found if each.p <= LEVEL]
    adversarial = distinguish_test(catalog, inspection, test, seen)
    return TestComparison(len(test), len(seen.rows), adversarial, sorted(shifts, key=lambda each: each.p), compared)


def _compare_statistics(inspection: Inspection, seen: Inspection) -> list[Shift]:
    here, there = stack_statistics(inspection.fields), stack_statistics(seen.fields)
    if min(len(here), len(there)) < MIN_FIELDS:
        return []
    p = adjust_holm(np.array([each.p for each in run_kolmogorov_smirnov_tests(here, there)]))
    medians = np.median(here, axis=0), np.median(there, axis=0)
    return [
        Shift(name, "statistic", float(medians[0][row]), float(medians[1][row]), float(p[row]))
        for row, name in enumerate(STATISTICS)
    ]


def _compare_labels(catalog: Catalog, test: Catalog) -> list[Shift]:
    here, there = (
        to_multi_hot([target for target in each.table["target"].to_pylist() if target is not None]).astype(bool)
        for each in (catalog, test)
    )
    if min(len(here), len(there)) < MIN_FIELDS:
        return []
    p = adjust_holm(np.array([each.p for each in run_fisher_tests(here, there)]))
    return [
        Shift(name, "location", float(here[:, label].mean()), float(there[:, label].mean()), float(p[label]))
        for label, name in enumerate(LABELS)
    ]
