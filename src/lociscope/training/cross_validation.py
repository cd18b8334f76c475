"""Out-of-fold Predictions: what each fold's network says of the fields that it did not see, in one table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lociscope.artifacts.folds import Folds
from lociscope.artifacts.run import Run
from lociscope.decide.intervals import Interval, bootstrap
from lociscope.decide.locations import find_constant_threshold
from lociscope.decide.metrics import lrap, macro_average_precision, macro_f1
from lociscope.errors import Code, LociscopeError
from lociscope.labels import to_multi_hot
from lociscope.training.record import write_predictions

if TYPE_CHECKING:
    from pathlib import Path


def open_folds(folder: Path, wanted: Folds) -> list[Run]:
    """Makes the folder of the folds, or checks that what is there are the same.

    A claim of which no fold has begun, as a refused one leaves, is no hindrance.

    Returns:
        The Runs of the folds, begun or not.

    Raises:
        LociscopeError: The folder holds other folds, or something else.
    """
    found = Folds.read(folder)
    if found is not None:
        begun = any(run.folder.exists() for run in found.runs(folder))
        if begun and found != wanted:
            what = f"{found.k} folds" if found.k != wanted.k else "folds of other fields"
            raise LociscopeError(f"'{folder}' holds {what}. Name another folder with -o.", code=Code.INVALID_VALUE)
    elif folder.exists() and any(each.name[0] != "." for each in folder.iterdir()):
        raise LociscopeError(f"'{folder}' exists and holds no folds. Name another folder with -o.", code=Code.CONFLICT)
    if found != wanted:
        wanted.write(folder)
    return wanted.runs(folder)


def join_folds(folder: Path, runs: list[Run]) -> dict[str, Interval]:
    """Writes the out-of-fold `predictions.parquet`, `truth.csv` and `groups.csv` of finished folds.

    Embeddings are left out: those of two networks cannot be compared.

    Args:
        folder: Holds the folds.
        runs: The folds.

    Returns:
        Macro-F1 at the one threshold whose errors cost least on these fields, macro-AP and LRAP of them all, by name,
        with 90 % intervals by group.
    """
    predictions = [run.read_predictions() for run in runs]
    ids = [name for each in predictions for name in each.ids]
    probability = np.concatenate([each.probability for each in predictions])
    group = {name: found for run in runs for name, found in run.read_groups().items()}
    labels = [target for run, each in zip(runs, predictions, strict=True) for target in run.find_labels(each.ids)]
    truth, groups = to_multi_hot(labels), [group.get(name, name) for name in ids]
    write_predictions(Run(folder), ids, groups, truth, probability, trainings=runs)
    decided = probability >= np.float32(find_constant_threshold(truth, probability))
    names = np.asarray(groups)
    return {
        "macro-F1": bootstrap(macro_f1, truth, decided, groups=names, level=0.9),
        "macro-AP": bootstrap(macro_average_precision, truth, probability, groups=names, level=0.9),
        "LRAP": bootstrap(lrap, truth, probability, groups=names, level=0.9),
    }
