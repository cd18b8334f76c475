"""Open the Runs of a cross-validation, and join their predictions of the held-out fields in one table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lociscope.artifacts.folds import Folds
from lociscope.artifacts.run import Run
from lociscope.errors import Code, LociscopeError
from lociscope.labels import to_multi_hot
from lociscope.training.record import write_predictions

if TYPE_CHECKING:
    from pathlib import Path


def open_folds(folder: Path, wanted: Folds) -> list[Run]:
    """Create the folder of the folds, or check that an existing one holds the same.

    A `folds.json` without any Run, as a refused command leaves it, is overwritten.

    Returns:
        The Runs of the folds, whether or not they exist yet.

    Raises:
        LociscopeError: The folder holds other folds, or something else.
    """
    found = Folds.read(folder)
    if found is not None:
        begun = any(run.folder.exists() for run in found.runs(folder))
        if begun and found != wanted:
            what = f"{found.k} folds" if found.k != wanted.k else "folds of other fields"
            raise LociscopeError(f"'{folder}' holds {what}. Name another folder with `output`.", code=Code.CONFLICT)
    elif folder.exists() and any(each.name[0] != "." for each in folder.iterdir()):
        raise LociscopeError(
            f"'{folder}' exists and holds no folds. Name another folder with `output`.", code=Code.CONFLICT
        )
    if found != wanted:
        wanted.write(folder)
    return wanted.runs(folder)


def join_folds(folder: Path, runs: list[Run]) -> None:
    """Write the out-of-fold `predictions.parquet`, `truth.csv` and `groups.csv` of finished folds.

    Embeddings are left out, since those of two networks cannot be compared.

    Args:
        folder: The folder of the folds.
        runs: The folds.
    """
    predictions = [run.read_predictions() for run in runs]
    ids = [name for each in predictions for name in each.ids]
    probability = np.concatenate([each.probability for each in predictions])
    group = {name: found for run in runs for name, found in run.read_groups().items()}
    labels = [target for run, each in zip(runs, predictions, strict=True) for target in run.find_labels(each.ids)]
    groups = [group.get(name, name) for name in ids]
    write_predictions(Run(folder), ids, groups, to_multi_hot(labels), probability, trainings=runs)
