"""What one part of a split could know of another: shared groups, shared pictures, and a look that tells them apart."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from lociscope.data.splits.folds import joined
from lociscope.data.splits.partition import GROUPS
from lociscope.decide.intervals import Interval, bootstrap
from lociscope.decide.metrics import macro_auc
from lociscope.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lociscope.artifacts.catalog import Catalog

LEAKAGE_COLUMNS = (*GROUPS, "plate")
"""Columns of which it is said how many of their values lie in two parts."""

MIN_FIELDS = 20
"""Fields on each side, below which no classifier is asked to tell them apart."""

_FOLDS = 5


@dataclass(frozen=True, slots=True)
class AdversarialResult:
    """How well a classifier tells one part from the rest by cheap statistics of the pictures.

    Attributes:
        part: The part: `test`, `valid` or `fold 0`.
        auc: Area under its ROC curve on fields it had not seen, by whole groups; 0.5 is chance.
        by: The statistic that it leans on most.
    """

    part: str
    auc: Interval
    by: str

    def __str__(self) -> str:
        figure = f"AUC {self.auc}, {self.auc.n} groups"
        if self.auc.low <= 0.5:
            return f"By brightness, focus and noise, {self.part} cannot be told from the rest ({figure})."
        how = "just" if self.auc.value < 0.6 else "well" if self.auc.value < 0.8 else "nearly always"
        return (
            f"By brightness, focus and noise, {self.part} can {how} be told from the rest ({figure}), most by "
            f"{self.by}: a score on it is one of other conditions."
        )


def count_leaks(catalog: Catalog) -> dict[str, int]:
    """Counts what lies in two parts.

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
    """Values that lie in more than one part."""
    pairs = {(value, part) for value, part in zip(values, parts, strict=True) if value is not None and part is not None}
    ordered = sorted(value for value, _ in pairs)
    return {one for one, other in pairwise(ordered) if one == other}


def adversarial_validation(
    catalog: Catalog, rows: np.ndarray, statistics: np.ndarray, names: Sequence[str]
) -> AdversarialResult | None:
    """Trains a classifier to tell `test` from the rest, or `valid` where nothing is tested on, or else the first fold.

    Logistic regression, cross-validated by whole groups, so that it cannot know a specimen again.

    Args:
        catalog: With the columns `split` and `fold`.
        rows: (n,) of int: the rows that were measured.
        statistics: (n, k): cheap figures of the pictures.
        names: What the k figures are called.

    Returns:
        How well it did; None where one side has fewer than `MIN_FIELDS` fields or too few groups.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    split = np.array([str(value) for value in catalog.table["split"].to_pylist()])[rows]
    fold = np.array([-1 if value is None else value for value in catalog.table["fold"].to_pylist()])[rows]
    part = next((name for name in ("test", "valid") if (split == name).any()), "fold 0")
    placed = (split != "None") & ~((part == "valid") & (split == "test"))
    side = (fold == 0 if part == "fold 0" else split == part)[placed]
    groups = _groups(catalog, rows)[placed]
    if min(side.sum(), (~side).sum()) < MIN_FIELDS or min(len({*groups[side]}), len({*groups[~side]})) < _FOLDS:
        return None
    scores, weights = _score_out_of_fold(statistics[placed], side, groups)
    auc = bootstrap(macro_auc, side[:, None].astype(np.uint8), scores[:, None], groups=groups)
    return AdversarialResult(part, auc, names[int(np.abs(weights).argmax())])


def _groups(catalog: Catalog, rows: np.ndarray) -> np.ndarray:
    columns = [name for name in GROUPS if name in catalog.table.column_names]
    groups = joined(*(catalog.table[name].to_pylist() for name in columns))
    return np.array([groups[row] for row in rows])


def _score_out_of_fold(statistics: np.ndarray, side: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) scores of fields that the classifier had not seen, and its (k,) weights on all fields."""
    try:
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ImportError:
        raise MissingExtraError("Telling the parts apart", "fit") from None
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000, class_weight="balanced"))
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=0)
    scores = cross_val_predict(model, statistics, side, groups=groups, cv=folds, method="decision_function")
    return scores, np.asarray(model.fit(statistics, side)[-1].coef_[0])
