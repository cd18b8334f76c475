"""Checkpoints: everything that a training needs to go on as if it had never stopped."""

import json
import shutil
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from lociscope.errors import LociscopeError
from lociscope.storage import check_schema, replacing

if TYPE_CHECKING:
    from pathlib import Path

    import keras

SCHEMA = 1
KEPT = 2
"""Checkpoints kept: the newest, and the one before it in case the newest is damaged."""


@dataclass(slots=True)
class State:
    """Where a training stands, besides its variables.

    Attributes:
        step: Steps taken.
        history: One row for each finished epoch.
        best: The lowest validation loss so far.
    """

    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best: float = float("inf")


def variables_of(model: "keras.Model") -> "list[keras.Variable]":
    """All that a compiled model carries from step to step: weights, random seeds, optimiser, running metrics."""
    return [*model.variables, *model.optimizer.variables, *model.metrics_variables]


def save(folder: "Path", state: State, model: "keras.Model", best: list[np.ndarray]) -> None:
    """Writes `<step>/` into the folder, whole or not at all, and removes all but the newest `KEPT`.

    Args:
        folder: The Run's `checkpoints`.
        state: Where the training stands.
        model: The compiled model.
        best: Weights at the lowest validation loss; empty before the first epoch ended.
    """
    arrays = {f"variable{i}": np.asarray(variable) for i, variable in enumerate(variables_of(model))}
    arrays |= {f"best{i}": array for i, array in enumerate(best)}
    with replacing(folder / f"{state.step:08d}") as part:
        part.mkdir()
        np.savez(part / "variables.npz", allow_pickle=False, **arrays)
        about = {"schema": SCHEMA, "step": state.step, "history": state.history, "best": state.best}
        (part / "state.json").write_text(json.dumps(about), encoding="utf-8")
    for old in steps_in(folder)[:-KEPT]:
        shutil.rmtree(folder / f"{old:08d}", ignore_errors=True)


def steps_in(folder: "Path") -> list[int]:
    """Steps at which there are checkpoints, ascending."""
    return sorted(int(path.name) for path in folder.glob("[0-9]*") if path.name.isdigit())


def restore(folder: "Path", model: "keras.Model") -> tuple[State, list[np.ndarray]]:
    """Puts a model back to its newest checkpoint.

    Args:
        folder: The Run's `checkpoints`; may be missing.
        model: The compiled model, built as for the Run.

    Returns:
        Where the training stood, and the best weights so far; a fresh state where there is no checkpoint.

    Raises:
        LociscopeError: The checkpoint is damaged, or is of another network.
    """
    steps = steps_in(folder)
    if not steps:
        return State(), []
    path = folder / f"{steps[-1]:08d}"
    try:
        about = json.loads((path / "state.json").read_text(encoding="utf-8"))
        check_schema(about["schema"], SCHEMA, f"Checkpoint '{path}'")
        with (path / "variables.npz").open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            for i, variable in enumerate(variables_of(model)):
                variable.assign(arrays[f"variable{i}"])
            best = [arrays[f"best{i}"] for i in range(sum(name.startswith("best") for name in arrays.files))]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise LociscopeError(
            f"Checkpoint '{path}' cannot be used ({error}). Remove it to go on from before."
        ) from error
    return State(about["step"], about["history"], about["best"]), best
