"""What the records of Runs prove of Predictions: that the networks were not trained on these fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lociscope.artifacts.run import Folds, Run
from lociscope.errors import LociscopeError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lociscope.artifacts.predictions import Predictions


def find_unseen_ids(path: Path) -> set[str]:
    """Return the fields of Predictions that their network, by the records beside them, was not trained on.

    Proof is a finished Run, whose `truth.csv` names its validation fields, or the folder of finished folds, in which
    each field was predicted by the one fold that left it out. A file elsewhere has no record.

    Args:
        path: Predictions.

    Returns:
        Ids; none where nothing is proven, also where the records are damaged.
    """
    run = Run(path.parent)
    if path.name != run.predictions_file.name:
        return set()
    try:
        folds = Folds.read(run.folder)
        runs = [run] if folds is None else folds.runs(run.folder)
        if not all(each.recipe_file.is_file() and each.done for each in runs):
            return set()
        return _validated(run.read_predictions(), runs)
    except (LociscopeError, OSError):
        return set()


def describe_held_out(fields: int, unseen: Sequence[bool]) -> str:
    """Say what is proven of the fields that an ensemble was fitted on.

    Args:
        fields: How many.
        unseen: For each member, whether records prove that it was not trained on any of them.
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


def _validated(made: Predictions, runs: list[Run]) -> set[str]:
    """The ids that exactly one Run validated, with the probabilities that it gave."""
    given: dict[str, list[np.ndarray]] = {}
    for run in runs:
        table, truth = run.read_predictions(), run.read_truth()
        for name, row in zip(table.ids, table.probability, strict=True):
            if name in truth:
                given.setdefault(name, []).append(row)
    return {
        name
        for name, row in zip(made.ids, made.probability, strict=True)
        if len(given.get(name, ())) == 1 and np.array_equal(given[name][0], row)
    }
