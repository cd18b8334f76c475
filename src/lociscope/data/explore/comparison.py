"""Compare the fields of a training Catalog with those of a test Catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from lociscope.artifacts.catalog import Catalog, Entry
from lociscope.data.leakage import AdversarialResult, adversarial_validation
from lociscope.images.statistics import STATISTICS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lociscope.data.explore.inspect import InspectedField, Inspection


class Shift(NamedTuple):
    """A figure that differs between the fields and the test fields.

    Attributes:
        name: A name of `STATISTICS`, or of a location.
        kind: `statistic` (values are medians) or `location` (values are shares of labelled fields).
        value: Of the fields.
        test: Of the test fields.
        p: Corrected for the number of comparisons of its kind.
    """

    name: str
    kind: Literal["statistic", "location"]
    value: float
    test: float
    p: float


class TestComparison(NamedTuple):
    """How the test fields differ from the fields.

    Attributes:
        fields: Number of test fields.
        readable: How many have pixels that can be read.
        adversarial: How well image statistics distinguish them; None where there are too few.
        shifts: Figures that differ, p at most 0.05, smallest p first.
        compared: Number of figures that were compared.
    """

    fields: int
    readable: int
    adversarial: AdversarialResult | None
    shifts: list[Shift]
    compared: int


def distinguish_test(
    train: Catalog, train_inspection: Inspection, test: Catalog, test_inspection: Inspection
) -> AdversarialResult | None:
    """Train a classifier on image statistics to distinguish test fields from training fields.

    Args:
        train: The training fields.
        train_inspection: What was kept of them.
        test: The test fields.
        test_inspection: What was kept of them.

    Returns:
        Its AUC; None where a side has too few fields or groups.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    sides = ((train, train_inspection, "train"), (test, test_inspection, "test"))
    entries = [
        Entry(f"{part} {entry.id}", antibody=entry.antibody, specimen=entry.specimen, split=part)
        for catalog, _, part in sides
        for entry in catalog
    ]
    if not train_inspection.rows or not test_inspection.rows:
        return None
    rows = [*train_inspection.rows, *(len(train) + row for row in test_inspection.rows)]
    statistics = np.concatenate([stack_statistics(each.fields) for _, each, _ in sides])
    return adversarial_validation(Catalog.from_entries(entries, train.folder), np.array(rows), statistics, STATISTICS)


def stack_statistics(fields: Sequence[InspectedField]) -> np.ndarray:
    """Return (n, k) image statistics, in the order of `STATISTICS`."""
    return np.stack([field.statistics for field in fields]) if fields else np.zeros((0, len(STATISTICS)), np.float32)
