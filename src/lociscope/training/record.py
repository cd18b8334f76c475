"""Write what every trainer stores in its Run: recipe, environment, history and validation predictions."""

from __future__ import annotations

import csv
import logging
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lociscope.artifacts.card import PREPROCESSING, hash_training
from lociscope.artifacts.predictions import Predictions
from lociscope.artifacts.run import Environment, Run
from lociscope.decide.locations import decide_locations, find_constant_threshold
from lociscope.errors import Code, LociscopeError
from lociscope.labels import N_LABELS, format_target
from lociscope.storage.atomic import atomic_write

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lociscope.artifacts.provenance import Provenance
    from lociscope.artifacts.recipe import Recipe
    from lociscope.data.cache.fields import PackedFields
    from lociscope.data.pipeline.online import OnlineSimulation

logger = logging.getLogger(__name__)


def open_run(folder: Path, recipe: Recipe, environment: Environment) -> Run:
    """Create the Run's folder, or check that an existing one holds the same training.

    Raises:
        LociscopeError: The folder holds a Run of another recipe or other fields, or cannot be written.
    """
    run = Run(folder)
    if run.recipe_file.is_file():
        if not run.read_recipe().same_training(recipe):
            raise LociscopeError(
                f"'{folder}' is a Run of another recipe. Name another folder with `output`.", code=Code.CONFLICT
            )
        before = run.read_environment()
        if before.data_hash != environment.data_hash:
            raise LociscopeError(
                f"'{folder}' is a Run on other fields. Name another folder with `output`.", code=Code.CONFLICT
            )
        if before.preprocessing != environment.preprocessing:
            raise LociscopeError(
                f"'{folder}' was begun with preprocessing {before.preprocessing}; this lociscope has preprocessing "
                f"{environment.preprocessing}. Name another folder with `output`.",
                code=Code.UNSUPPORTED_VERSION,
            )
        if before.versions != environment.versions:
            logger.warning("resuming with other library versions than the training began with")
        return run
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(run.environment_file) as part:
        part.write_text(environment.model_dump_json(by_alias=True, indent=2) + "\n", encoding="utf-8")
    with atomic_write(run.recipe_file) as part:
        recipe.write(part)
    return run


def describe_environment(
    recipe: Recipe,
    train: PackedFields | OnlineSimulation,
    valid: PackedFields,
    source: Provenance,
    parameters: int,
    packages: Iterable[str],
) -> Environment:
    """Return what a training depends on besides its recipe, with the versions of `packages`."""
    return Environment(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        seed=recipe.train.seed,
        git=_git(),
        versions={"python": platform.python_version(), **{name: version(name) for name in packages}},
        machine=f"{platform.system()} {platform.machine()}",
        data=source,
        data_hash=train.sha256,
        fields={"train": len(train), "valid": len(valid)},
        parameters=parameters,
        preprocessing=PREPROCESSING,
    )


def _git() -> str | None:
    """Return the commit of the checkout that contains this code; None for an installed package."""
    here = Path(__file__).parent
    try:
        result = subprocess.run(  # noqa: S603 - fixed arguments
            ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"],  # noqa: S607
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip()


def write_validation(
    run: Run, valid: PackedFields, probability: np.ndarray, embedding: np.ndarray | None = None
) -> None:
    """Store a model's predictions of its validation fields, their truth and their groups.

    Args:
        run: The Run, or the folder of all folds.
        valid: The n fields.
        probability: (n, 28).
        embedding: (n, d) if the model has one.
    """
    write_predictions(run, valid.ids, valid.groups, valid.y, probability, embedding, [run])


def write_predictions(
    run: Run,
    ids: list[str],
    groups: list[str],
    truth: np.ndarray,
    probability: np.ndarray,
    embedding: np.ndarray | None = None,
    trainings: Sequence[Run] = (),
) -> None:
    """Store predictions with truth (n, 28) and groups; `trainings` are the Runs that predicted."""
    thresholds = np.full(N_LABELS, find_constant_threshold(truth, probability))
    predicted, status = decide_locations(probability, thresholds)
    origin = {"trainings": [hash_training(each.read_environment().model_dump()) for each in trainings]}
    Predictions(ids, probability, predicted, status, [()] * len(ids), embedding).write(run.predictions_file, origin)
    targets = [format_target(np.flatnonzero(row)) for row in truth]
    write_csv_column(run.truth_file, "Target", ids, targets)
    write_csv_column(run.groups_file, "Group", ids, groups)


def write_csv_column(path: Path, column: str, ids: list[str], values: list[str]) -> None:
    """Write a CSV of ids and one value for each."""
    with atomic_write(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([("Id", column), *zip(ids, values, strict=True)])


def write_history(run: Run, rows: list[dict[str, float]]) -> None:
    """Write `history.csv`, a row for each epoch; a measure that an older lociscope lacked is nan."""
    empty = dict.fromkeys(rows[-1], float("nan"))
    with atomic_write(run.history_file) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, empty.keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(empty | row for row in rows)
