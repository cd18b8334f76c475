"""Check a split for leakage: groups in two parts, and parts that image statistics can distinguish."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from lociscope.decide.intervals import Interval, bootstrap
from lociscope.decide.metrics import macro_auc
from lociscope.errors import MissingExtraError
from lociscope.splits.groups import GROUP_COLUMNS, group_ids, number_groups

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lociscope.artifacts.catalog import Catalog

LEAKAGE_COLUMNS = (*GROUP_COLUMNS, "plate")
"""Columns whose values should be in one part only."""

MIN_FIELDS = 20
"""Fewest fields on each side for which adversarial validation is run."""

_FOLDS = 5


@dataclass(frozen=True, slots=True)
class AdversarialResult:
    """How well a classifier distinguishes one part from the rest by image statistics.

    Attributes:
        part: The part: `test`, `valid` or `fold 0`.
        auc: Area under the ROC curve, out of fold by whole groups; 0.5 is chance.
        statistic: The statistic with the largest weight.
    """

    part: str
    auc: Interval
    statistic: str


def count_leaks(catalog: Catalog) -> dict[str, int]:
    """Count the values that are in two parts.

    Args:
        catalog: With the columns `split` and `fold`.

    Returns:
        For each column of `LEAKAGE_COLUMNS` with values, and for `duplicates` where they were searched, the number of
        values that occur in two of train, valid and test, or in two folds. Without leakage all are 0.
    """
    split, fold = catalog.table["split"].to_pylist(), catalog.table["fold"].to_pylist()
    found = {}
    for column in LEAKAGE_COLUMNS:
        if column in catalog.table.column_names:
            values = catalog.table[column].to_pylist()
            if column != "duplicates" and not any(values):
                continue
            found[column] = len(_values_in_two(values, split) | _values_in_two(values, fold))
    return found


def _values_in_two(values: Sequence[str | None], parts: Sequence[str | int | None]) -> set[str]:
    """Return the values that are in more than one part."""
    pairs = {(value, part) for value, part in zip(values, parts, strict=True) if value is not None and part is not None}
    ordered = sorted(value for value, _ in pairs)
    return {one for one, other in pairwise(ordered) if one == other}


def adversarial_validation(
    catalog: Catalog, rows: np.ndarray, statistics: np.ndarray, names: Sequence[str]
) -> AdversarialResult | None:
    """Train a classifier to distinguish one part from the rest: the test data, else the validation data, else fold 0.

    The classifier is a logistic regression, cross-validated by whole groups, so that it cannot recognise a specimen.

    Args:
        catalog: With the columns `split` and `fold`.
        rows: (n,) of int: the rows with statistics.
        statistics: (n, k): image statistics, such as brightness, focus and noise.
        names: Names of the k statistics.

    Returns:
        The classifier's AUC; None where one side has fewer than `MIN_FIELDS` fields or 5 groups.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    split = np.array([str(value) for value in catalog.table["split"].to_pylist()])[rows]
    fold = np.array([-1 if value is None else value for value in catalog.table["fold"].to_pylist()])[rows]
    part = next((name for name in ("test", "valid") if (split == name).any()), "fold 0")
    used = (split != "None") & ~((part == "valid") & (split == "test"))
    side = (fold == 0 if part == "fold 0" else split == part)[used]
    groups = np.array(number_groups(group_ids(catalog)))[rows][used]
    if min(side.sum(), (~side).sum()) < MIN_FIELDS or min(len({*groups[side]}), len({*groups[~side]})) < _FOLDS:
        return None
    scores, weights = _score_out_of_fold(statistics[used], side, groups)
    auc = bootstrap(macro_auc, side[:, None].astype(np.uint8), scores[:, None], groups=groups)
    return AdversarialResult(part, auc, names[int(np.abs(weights).argmax())])


def _score_out_of_fold(statistics: np.ndarray, side: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (n,) out-of-fold scores, and the (k,) weights of a classifier trained on all fields."""
    try:
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ImportError:
        raise MissingExtraError("Adversarial validation", "fit") from None
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000, class_weight="balanced"))
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=0)
    scores = cross_val_predict(model, statistics, side, groups=groups, cv=folds, method="decision_function")
    return scores, np.asarray(model.fit(statistics, side)[-1].coef_[0])
