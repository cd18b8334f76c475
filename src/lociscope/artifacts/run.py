"""The Run: the folder of one training."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lociscope.artifacts.catalog import read_labels
from lociscope.artifacts.predictions import Predictions
from lociscope.artifacts.provenance import Provenance, parse_provenance
from lociscope.artifacts.recipe import Recipe
from lociscope.errors import Code, LociscopeError
from lociscope.storage.schema import parse_model

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lociscope.storage.paths import AnyPath

SCHEMA = 2
"""Of `environment.json`. Version 1 described the source of the fields in a sentence."""

LOSSES = {"epoch", "loss", "val_loss"}
"""Columns that every row of a history has."""


class Environment(BaseModel):
    """`environment.json`: everything besides the recipe that the result depends on."""

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
    """The folder of one training; `lociscope.training` makes it.

    Attributes:
        folder: Holds `recipe.toml`, `environment.json`, `history.csv`, `checkpoints/`, and when finished
            `best.keras` (of the features recipe `best.npz`), `predictions.parquet`, `truth.csv` and `groups.csv` of
            the validation fields, and `DONE`; `scores/` holds scores on other fields.
    """

    folder: Path

    @classmethod
    def open(cls, folder: AnyPath) -> Self:
        """Open a finished Run.

        Raises:
            LociscopeError: The folder is not a Run, or the training is not finished.
        """
        run = cls(Path(folder))
        if not run.recipe_file.is_file():
            raise LociscopeError(
                f"'{folder}' is not a Run: recipe.toml is missing. Pass the folder given to `lociscope train -o`.",
                code=Code.WRONG_FILE,
            )
        if not run.done:
            raise LociscopeError(
                f"Run '{folder}' is not finished. Run `lociscope train … -o {folder}` again.", code=Code.INCOMPLETE
            )
        return run

    @property
    def recipe_file(self) -> Path:
        """The recipe as resolved."""
        return self.folder / "recipe.toml"

    @property
    def environment_file(self) -> Path:
        """Everything besides the recipe that the result depends on."""
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
        """The network of the best epoch."""
        return self.folder / "best.keras"

    @property
    def best_features(self) -> Path:
        """The heads of a Run of the features recipe, which has no network."""
        return self.folder / "best.npz"

    @property
    def predictions_file(self) -> Path:
        """Predictions of the validation fields."""
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
        """Whether the training is finished."""
        return (self.folder / "DONE").is_file()

    def mark_done(self) -> None:
        """Write `DONE`: every file is complete."""
        (self.folder / "DONE").touch()

    def read_recipe(self) -> Recipe:
        """Read the resolved recipe, without the floor that recipes had with preprocessing 1."""
        return Recipe.read_stored(self.recipe_file)

    def read_environment(self) -> Environment:
        """Read `environment.json`.

        Raises:
            LociscopeError: The file is missing, damaged, or of a newer schema.
        """
        try:
            data = self.environment_file.read_bytes()
        except OSError as error:
            raise self._unreadable_error("environment.json", error) from error
        return parse_model(data, Environment, SCHEMA, f"Run '{self.folder}': environment.json")

    def read_history(self) -> list[dict[str, float]]:
        """Read the losses by epoch, one mapping a row: `epoch`, `loss`, `val_loss`, `learning_rate`, `seconds`.

        Raises:
            LociscopeError: The file is missing or damaged.
        """
        try:
            with self.history_file.open(newline="", encoding="utf-8") as lines:
                rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(lines)]
            if any(not row.keys() >= LOSSES or not math.isfinite(row["epoch"]) for row in rows):
                raise ValueError(f"a row lacks one of {', '.join(sorted(LOSSES))}, or its epoch is not a number")
        except (OSError, ValueError, TypeError, KeyError, csv.Error) as error:
            raise self._unreadable_error("history.csv", error) from error
        return rows

    def read_predictions(self) -> Predictions:
        """Read the predictions of the validation fields."""
        return Predictions.read(self.predictions_file)

    def read_truth(self) -> dict[str, tuple[int, ...]]:
        """Read the labels of the validation fields, by id."""
        return read_labels(self.truth_file)

    def find_labels(self, ids: Iterable[str]) -> list[tuple[int, ...]]:
        """Return the labels of validation fields, in the order of `ids`.

        Raises:
            LociscopeError: The Run has no label of one of them.
        """
        known, wanted = self.read_truth(), list(ids)
        unknown = next((each for each in wanted if each not in known), None)
        if unknown is not None:
            raise LociscopeError(
                f"Run '{self.folder}' has no label of '{unknown}', so it cannot be scored. Train again.",
                code=Code.INCOMPLETE,
            )
        return [known[each] for each in wanted]

    def read_groups(self) -> dict[str, str]:
        """Read the group (specimen, antibody or id) of the validation fields, by id; empty for Runs of older versions.

        Raises:
            LociscopeError: The file is damaged.
        """
        try:
            with self.groups_file.open(newline="", encoding="utf-8") as lines:
                return {row["Id"]: row["Group"] for row in csv.DictReader(lines)}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, csv.Error) as error:
            raise self._unreadable_error("groups.csv", error) from error

    def read_scores(self) -> dict[str, dict[str, dict[str, float]]]:
        """Read the scores on other fields: each `scores/<name>.json`, by its name.

        Returns:
            For each name and each metric its `value`, `low`, `high` and `n`.

        Raises:
            LociscopeError: A file is not a table of scores.
        """
        found = {}
        for path in sorted((self.folder / "scores").glob("*.json")):
            try:
                table = json.loads(path.read_text(encoding="utf-8"))
                found[path.stem] = {metric: _parse_score(score) for metric, score in table.items()}
            except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
                raise LociscopeError(
                    f"'{path}' is not a table of scores ({error}). Write {{metric: {{value, low, high, n}}}}.",
                    code=Code.WRONG_FILE,
                ) from error
        return found

    def _unreadable_error(self, name: str, error: Exception) -> LociscopeError:
        reason, code = str(error), Code.CORRUPT
        if isinstance(error, OSError):
            reason = error.strerror or reason
            code = Code.NOT_FOUND if isinstance(error, FileNotFoundError) else Code.UNREADABLE
        return LociscopeError(f"Run '{self.folder}': {name} cannot be read ({reason}). Train again.", code=code)


def _parse_score(score: dict[str, Any]) -> dict[str, float]:
    """Return one score with NaN for null, which marks a metric that is not defined."""
    return {key: float("nan" if score[key] is None else score[key]) for key in ("value", "low", "high", "n")}
