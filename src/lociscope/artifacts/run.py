"""The Run: the folder of one training; and the Folds of one recipe, a folder of Runs."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lociscope.artifacts.catalog import read_labels
from lociscope.artifacts.predictions import Predictions
from lociscope.artifacts.provenance import Provenance, parse_provenance
from lociscope.artifacts.recipe import Recipe
from lociscope.errors import Code, LociscopeError
from lociscope.storage.atomic import atomic_write
from lociscope.storage.schema import parse_model

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lociscope.storage.atomic import AnyPath

SCHEMA = 2
"""Of `environment.json`. Version 1 described the source of the fields in a sentence."""

FOLDS_SCHEMA = 1
LOSSES = {"epoch", "loss", "val_loss"}
"""What every row of a history tells."""


class Environment(BaseModel):
    """`environment.json`: what the result depends on besides the recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_: int = Field(SCHEMA, alias="schema")
    created: str
    seed: int
    git: str | None
    versions: dict[str, str]
    machine: str
    data: Provenance = Field(description="Where the fields came from.")
    data_hash: str = Field(description="sha256 over the prepared fields and their labels.")
    fields: dict[str, int] = Field(description="Number of fields in train and valid.")
    parameters: int = Field(description="Trainable and fixed numbers of the network.")
    preprocessing: int = Field(1, description="Version of the preprocessing that made the inputs.")

    @model_validator(mode="before")
    @classmethod
    def _migrate(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Convert values of schema 1."""
        if values.get("schema") != 1:
            return values
        return values | {"schema": SCHEMA, "data": parse_provenance(values["data"])}


@dataclass(frozen=True, slots=True)
class Run:
    """One training on disk; `lociscope.training.keras_trainer` makes it.

    Attributes:
        folder: Holds `recipe.toml`, `environment.json`, `history.csv`, `checkpoints/`, and when finished
            `best.keras` (of the features recipe `best.npz`), `predictions.parquet`, `truth.csv` and `groups.csv` of
            the validation fields, and `DONE`; `scores/` holds what others measured on it.
    """

    folder: Path

    @classmethod
    def open(cls, folder: AnyPath) -> Self:
        """Opens a finished Run.

        Raises:
            LociscopeError: The folder is no Run, or the training was cut off.
        """
        run = cls(Path(folder))
        if not run.recipe_file.is_file():
            raise LociscopeError(
                f"'{folder}' is no Run: it has no recipe.toml. Name a folder of `lociscope train`.",
                code=Code.WRONG_FILE,
            )
        if not run.done:
            raise LociscopeError(
                f"Run '{folder}' is not finished. Give `lociscope train … -o {folder}` again.", code=Code.INCOMPLETE
            )
        return run

    @property
    def recipe_file(self) -> Path:
        """The recipe as resolved."""
        return self.folder / "recipe.toml"

    @property
    def environment_file(self) -> Path:
        """What the result depends on besides the recipe."""
        return self.folder / "environment.json"

    @property
    def history_file(self) -> Path:
        """Losses by epoch."""
        return self.folder / "history.csv"

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints, one folder a step."""
        return self.folder / "checkpoints"

    @property
    def best_model(self) -> Path:
        """The network that the Run keeps."""
        return self.folder / "best.keras"

    @property
    def best_features(self) -> Path:
        """The heads that a Run of the features recipe keeps in the network's stead."""
        return self.folder / "best.npz"

    @property
    def predictions_file(self) -> Path:
        """Predictions of the fields that the training did not see."""
        return self.folder / "predictions.parquet"

    @property
    def truth_file(self) -> Path:
        """Labels of the same fields, `Id,Target`."""
        return self.folder / "truth.csv"

    @property
    def groups_file(self) -> Path:
        """Specimen or antibody of the same fields, `Id,Group`."""
        return self.folder / "groups.csv"

    @property
    def done(self) -> bool:
        """Whether the training came to its end."""
        return (self.folder / "DONE").is_file()

    def mark_done(self) -> None:
        """States that everything is written."""
        (self.folder / "DONE").touch()

    def read_recipe(self) -> Recipe:
        """The recipe as resolved; without the floor that recipes had with preprocessing 1."""
        return Recipe.read_stored(self.recipe_file)

    def read_environment(self) -> Environment:
        """What the result depends on besides the recipe.

        Raises:
            LociscopeError: The file is missing, damaged, or of a newer schema.
        """
        what = f"Run '{self.folder}': environment.json"
        try:
            data = self.environment_file.read_bytes()
        except OSError as error:
            raise LociscopeError(
                f"{what} cannot be read ({error.strerror}). Train again.", code=Code.UNREADABLE
            ) from error
        return parse_model(data, Environment, SCHEMA, what)

    def read_history(self) -> list[dict[str, float]]:
        """Losses by epoch, one mapping a row: `epoch`, `loss`, `val_loss`, `learning_rate`, `seconds`.

        Raises:
            LociscopeError: The file is missing or damaged.
        """
        try:
            with self.history_file.open(newline="", encoding="utf-8") as lines:
                rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(lines)]
            if any(not row.keys() >= LOSSES or not math.isfinite(row["epoch"]) for row in rows):
                raise ValueError(f"a row lacks one of {', '.join(sorted(LOSSES))}, or its epoch is no number")
        except (OSError, ValueError, TypeError, KeyError, csv.Error) as error:
            raise LociscopeError(
                f"Run '{self.folder}': history.csv cannot be read ({error}). Train again.", code=Code.UNREADABLE
            ) from error
        return rows

    def read_predictions(self) -> Predictions:
        """Predictions of the fields that the training did not see."""
        return Predictions.read(self.predictions_file)

    def read_truth(self) -> dict[str, tuple[int, ...]]:
        """Labels of the fields that the training did not see, by id."""
        return read_labels(self.truth_file)

    def find_labels(self, ids: Iterable[str]) -> list[tuple[int, ...]]:
        """Labels of fields that the training did not see, in their order.

        Raises:
            LociscopeError: The Run has none of one of them.
        """
        known, wanted = self.read_truth(), list(ids)
        unknown = next((each for each in wanted if each not in known), None)
        if unknown is not None:
            raise LociscopeError(
                f"Run '{self.folder}' has no label of '{unknown}', so it cannot be scored. Train again.",
                code=Code.INVALID_LABELS,
            )
        return [known[each] for each in wanted]

    def read_groups(self) -> dict[str, str]:
        """Specimen, antibody or own name of the same fields, by id; empty in a Run of before they were kept.

        Raises:
            LociscopeError: The file is damaged.
        """
        try:
            with self.groups_file.open(newline="", encoding="utf-8") as lines:
                return {row["Id"]: row["Group"] for row in csv.DictReader(lines)}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, csv.Error) as error:
            raise LociscopeError(
                f"Run '{self.folder}': groups.csv cannot be read ({error}). Train again.", code=Code.UNREADABLE
            ) from error

    def read_scores(self) -> dict[str, dict[str, dict[str, float]]]:
        """What was measured on the Run elsewhere: each `scores/<name>.json`, by its name.

        Returns:
            For each name, for each measure, its `value`, `low`, `high` and `n`.

        Raises:
            LociscopeError: A file is no such table.
        """
        found = {}
        for path in sorted((self.folder / "scores").glob("*.json")):
            try:
                table = json.loads(path.read_text(encoding="utf-8"))
                found[path.stem] = {measure: _score(said) for measure, said in table.items()}
            except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
                raise LociscopeError(
                    f"'{path}' is no table of scores ({error}). Write {{measure: {{value, low, high, n}}}}.",
                    code=Code.WRONG_FILE,
                ) from error
        return found


def _score(said: dict[str, Any]) -> dict[str, float]:
    """One measure; null is what could not be measured."""
    return {key: float("nan" if said[key] is None else said[key]) for key in ("value", "low", "high", "n")}


class Folds(BaseModel):
    """`folds.json`: what the folds in a folder are of."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
    FILE: ClassVar[str] = "folds.json"

    schema_: int = Field(FOLDS_SCHEMA, alias="schema")
    k: int = Field(ge=1, description="How many folds.")
    catalog: str | None = Field(None, description="sha256 of the Catalog; null where the fields are drawn.")

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Of a folder; None where it holds no folds.

        Raises:
            LociscopeError: The file is damaged, or of a newer schema.
        """
        path = folder / cls.FILE
        return parse_model(path.read_bytes(), cls, FOLDS_SCHEMA, f"'{path}'") if path.is_file() else None

    def write(self, folder: Path) -> None:
        """Makes the folder a folder of folds."""
        with atomic_write(folder / self.FILE) as part:
            part.write_text(self.model_dump_json(by_alias=True) + "\n", encoding="utf-8")

    def runs(self, folder: Path) -> list[Run]:
        """The Runs `fold0`, …, begun or not."""
        return [Run(folder / f"fold{number}") for number in range(self.k)]


def open_training(folder: AnyPath) -> tuple[Run, list[Run]]:
    """Open what a finished training left, of one network or of folds.

    Args:
        folder: A Run, or the folder of `lociscope train --folds`.

    Returns:
        The Run that holds the predictions and their truth, and the Runs of the networks: the same one, or the folds.

    Raises:
        LociscopeError: The folder is neither, or a training was cut off.
    """
    run = Run(Path(folder))
    folds = Folds.read(run.folder)
    if folds is None:
        return Run.open(folder), [run]
    runs = folds.runs(run.folder)
    left = next((each.folder for each in runs if not each.done), None)
    if left is not None or not run.predictions_file.is_file():
        what = f"'{left}' is not finished" if left else f"The {folds.k} folds of '{folder}' are not joined"
        raise LociscopeError(
            f"{what}. Give `lociscope train … --folds {folds.k} -o {folder}` again.", code=Code.INVALID_VALUE
        )
    return run, runs
