"""Write and restore checkpoints: everything that a training needs to resume as if it had not stopped."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from lociscope.artifacts.run import LOSSES
from lociscope.errors import Code, LociscopeError
from lociscope.storage.atomic import atomic_write
from lociscope.storage.schema import CORRUPT_FILE_ERRORS, check_schema

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import keras

SCHEMA = 3
MAX_CHECKPOINTS = 2
"""Checkpoints on disk: the newest, and the one before it in case the newest is damaged."""


@dataclass(slots=True)
class TrainingState:
    """The state of a training besides its variables.

    Attributes:
        step: Steps taken.
        stage: Number of the stage, from 0.
        stage_start: Steps taken when the stage began.
        history: One row for each finished epoch.
        best: The lowest validation loss so far.
    """

    step: int = 0
    stage: int = 0
    stage_start: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best: float = float("inf")


def list_variables(model: keras.Model) -> list[keras.Variable]:
    """Return all variables of a compiled model: weights, random seeds, optimiser, running metrics."""
    return [*model.variables, *model.optimizer.variables, *model.metrics_variables]


def save(folder: Path, state: TrainingState, variables: Iterable[keras.Variable], best: list[np.ndarray]) -> None:
    """Write `<step>/` atomically into the folder, and remove all but the newest `MAX_CHECKPOINTS`.

    Args:
        folder: The Run's `checkpoints`.
        state: The state of the training.
        variables: Everything that changes from step to step, in an order that is the same each time.
        best: Weights at the lowest validation loss; empty before the first epoch ended.
    """
    arrays = {f"variable{i}": np.asarray(variable) for i, variable in enumerate(variables)}
    arrays |= {f"best{i}": array for i, array in enumerate(best)}
    with atomic_write(folder / f"{state.step:08d}") as part:
        part.mkdir()
        np.savez(part / "variables.npz", allow_pickle=False, **arrays)
        (part / "state.json").write_text(json.dumps({"schema": SCHEMA, **asdict(state)}), encoding="utf-8")
    for old in list_steps(folder)[:-MAX_CHECKPOINTS]:
        shutil.rmtree(folder / f"{old:08d}", ignore_errors=True)


def list_steps(folder: Path) -> list[int]:
    """Return the steps at which there are checkpoints, ascending."""
    return sorted(int(path.name) for path in folder.glob("[0-9]*") if path.name.isdigit())


def read_state(folder: Path) -> TrainingState:
    """Return the state of the newest checkpoint; a new state where there is none.

    Args:
        folder: The Run's `checkpoints`; may be missing.

    Raises:
        LociscopeError: The checkpoint is damaged, or was written by another version.
    """
    steps = list_steps(folder)
    if not steps:
        return TrainingState()
    path = folder / f"{steps[-1]:08d}"
    try:
        about = json.loads((path / "state.json").read_text(encoding="utf-8"))
        schema = about.pop("schema")
        check_schema(schema, SCHEMA, f"Checkpoint '{path}'")
        if schema == 2:
            about["stage_start"] = about.pop("began")
        elif schema < SCHEMA:
            raise LociscopeError(
                f"Checkpoint '{path}' is of schema {schema}, which this lociscope cannot resume. "
                "Train again in another folder.",
                code=Code.UNSUPPORTED_VERSION,
            )
        if any(not row.keys() >= LOSSES for row in about["history"]):
            raise ValueError("an epoch lacks its losses")
        return TrainingState(**about)
    except (*CORRUPT_FILE_ERRORS, AttributeError) as error:
        raise _corrupt_error(path, error) from error


def restore(folder: Path, state: TrainingState, variables: Iterable[keras.Variable]) -> list[np.ndarray]:
    """Assign the values of a checkpoint to variables.

    Args:
        folder: The Run's `checkpoints`.
        state: The result of `read_state`.
        variables: Those that were saved, in the same order.

    Returns:
        The best weights so far; empty where no epoch has ended.

    Raises:
        LociscopeError: The checkpoint is damaged, or is of another network.
    """
    path = folder / f"{state.step:08d}"
    try:
        with (path / "variables.npz").open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            for i, variable in enumerate(variables):
                variable.assign(arrays[f"variable{i}"])
            return [arrays[f"best{i}"] for i in range(sum(name.startswith("best") for name in arrays.files))]
    except CORRUPT_FILE_ERRORS as error:
        raise _corrupt_error(path, error) from error


def _corrupt_error(path: Path, error: Exception) -> LociscopeError:
    return LociscopeError(
        f"Checkpoint '{path}' cannot be used ({error}). Remove it to resume from the one before.", code=Code.CORRUPT
    )
