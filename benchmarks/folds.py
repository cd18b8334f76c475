"""Folds of real label tables are at least as even as the libraries' and share no antibody; dealing takes seconds.

    python benchmarks/folds.py [TABLES]

TABLES contains `hpa2018_train.csv` and `hpa_v18_without_uncertain.csv` (`Id,Target`; ids of the second begin with the
antibody); the default is `tables` of the real data, without which the benchmark is skipped. The references are
StratifiedGroupKFold on the rarest label of each field (it takes one label) and MultilabelStratifiedKFold, which knows
no groups. `deviation` is the mean, over folds and classes, of |fields of the class in the fold / expected fields - 1|.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from iterstrat.ml_stratifiers import MultilabelStratifiedKFold
from sklearn.model_selection import StratifiedGroupKFold

from lociscope.artifacts.catalog import read_labels
from lociscope.labels import N_LABELS
from lociscope.splits.folds import assign_groups, label_deviation

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDS = 5
REAL = Path(os.environ.get("LOCISCOPE_REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))


def table(path: Path) -> tuple[np.ndarray, list[str]]:
    """Labels (n, 28) and the first part of each id."""
    rows = read_labels(path)
    labels = np.zeros((len(rows), N_LABELS), np.uint8)
    for number, locations in enumerate(rows.values()):
        labels[number, list(locations)] = 1
    return labels, [name.split("_")[0] for name in rows]


def rarest(labels: np.ndarray) -> np.ndarray:
    """The rarest label of each field."""
    return np.asarray(np.where(labels, labels.sum(axis=0), len(labels) + 1).argmin(axis=1))


def parts_of(folds: object, labels: np.ndarray, target: np.ndarray, groups: list[str]) -> np.ndarray:
    """A scikit-learn splitter's test folds as numbers."""
    part = np.zeros(len(labels), int)
    for number, (_, held) in enumerate(folds.split(np.zeros(len(labels)), target, groups)):  # type: ignore[attr-defined]
        part[held] = number
    return part


def judged(split: Callable[[], np.ndarray], labels: np.ndarray, groups: list[str]) -> dict[str, object]:
    """Runs a split and says how good it is."""
    started = time.process_time()
    part = split()
    seconds = time.process_time() - started
    held = np.stack([labels[part == number].sum(axis=0) for number in range(FOLDS)])
    enough = np.array([len({groups[row] for row in np.flatnonzero(column)}) >= FOLDS for column in labels.T])
    pairs = len({*zip(groups, part.tolist(), strict=True)})
    return {
        "deviation": round(label_deviation(labels, part, [1 / FOLDS] * FOLDS), 4),
        "largest_deviation": round(float(np.abs(held / (labels.sum(axis=0) / FOLDS) - 1).max()), 3),
        "classes_missing_somewhere": int((held[:, enough] == 0).any(axis=0).sum()),
        "groups_in_two_folds": pairs - len({*groups}),
        "fold_sizes": np.bincount(part).tolist(),
        "cpu_seconds": round(seconds, 1),
    }


def main() -> int:
    """Splits both tables by each method."""
    tables = Path(sys.argv[1]) if len(sys.argv) > 1 else REAL / "tables"
    if not tables.is_dir():
        print(f"There are no label tables at '{tables}'. Set LOCISCOPE_REAL_DATA.", file=sys.stderr)
        return 77  # skipped
    competition, single = table(tables / "hpa2018_train.csv")
    atlas, antibodies = table(tables / "hpa_v18_without_uncertain.csv")
    shares = [1 / FOLDS] * FOLDS
    iterative = MultilabelStratifiedKFold(FOLDS, shuffle=True, random_state=0)
    grouped = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    fields = [str(number) for number in range(len(atlas))]
    print(
        json.dumps(
            {
                "hpa_v18_by_antibody": {
                    "antibodies": len({*antibodies}),
                    "lociscope": judged(lambda: assign_groups(atlas, antibodies, shares), atlas, antibodies),
                    "StratifiedGroupKFold": judged(
                        lambda: parts_of(grouped, atlas, rarest(atlas), antibodies), atlas, antibodies
                    ),
                },
                "hpa_v18_by_field": {
                    "lociscope": judged(lambda: assign_groups(atlas, fields, shares), atlas, fields),
                    "iterative-stratification": judged(
                        lambda: parts_of(iterative, atlas, atlas, fields), atlas, fields
                    ),
                },
                "competition_by_field": {
                    "lociscope": judged(lambda: assign_groups(competition, single, shares), competition, single),
                    "iterative-stratification": judged(
                        lambda: parts_of(iterative, competition, competition, single), competition, single
                    ),
                },
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
