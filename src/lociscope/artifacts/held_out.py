"""Held-out fields: which fields of Predictions, by the records of Runs, the networks were not trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lociscope.artifacts.folds import find_runs
from lociscope.artifacts.predictions import Predictions
from lociscope.errors import LociscopeError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lociscope.artifacts.run import Run


def find_unseen_ids(path: Path) -> set[str]:
    """Return the ids of the fields that, by the records of Runs, the network was not trained on.

    The record is a finished Run, whose `truth.csv` names its validation fields, or a folder of finished folds, in which
    each field was predicted by the one fold that left it out. A file elsewhere has no record.

    Args:
        path: The file of Predictions.

    Returns:
        The ids; an empty set where nothing is proven, also where the records are damaged.
    """
    try:
        runs = find_runs(path)
        finished = all(each.recipe_file.is_file() and each.done for each in runs)
        return _find_validated(Predictions.read(path), runs) if runs and finished else set()
    except (LociscopeError, OSError):
        return set()


def describe_held_out(fields: int, unseen: Sequence[bool]) -> str:
    """Return a text on the fields that an ensemble was fitted on.

    Args:
        fields: Number of fields.
        unseen: For each member, whether records prove that it was trained on none of them.
    """
    fitted = f"Fitted on {fields} labelled fields"
    if unseen and all(unseen):
        return f"{fitted} that the networks were not trained on, as the records of their Runs prove."
    doubt = "not recorded whether"
    warning = "Where a network was, these scores are too good."
    if not any(unseen):
        return f"{fitted}. It is {doubt} the networks were trained on them. {warning}"
    proven = [str(number) for number, known in enumerate(unseen, start=1) if known]
    members = f"member {proven[0]} was" if len(proven) == 1 else f"members {', '.join(proven)} were"
    return (
        f"{fitted}. The records of Runs prove that {members} not trained on them; of the others it is {doubt} they "
        f"were. {warning}"
    )


def _find_validated(predictions: Predictions, runs: list[Run]) -> set[str]:
    """Return the ids that are validation fields of exactly one Run, which predicted the same probabilities."""
    rows: dict[str, list[np.ndarray]] = {}
    for run in runs:
        table, truth = run.read_predictions(), run.read_truth()
        for name, row in zip(table.ids, table.probability, strict=True):
            if name in truth:
                rows.setdefault(name, []).append(row)
    return {
        name
        for name, row in zip(predictions.ids, predictions.probability, strict=True)
        if len(rows.get(name, ())) == 1 and np.array_equal(rows[name][0], row)
    }
