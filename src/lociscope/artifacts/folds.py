"""Folds: a folder of Runs, one for each fold of a cross-validation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field

from lociscope.artifacts.run import Run
from lociscope.errors import Code, LociscopeError
from lociscope.storage.atomic import atomic_write
from lociscope.storage.schema import parse_model

if TYPE_CHECKING:
    from lociscope.storage.paths import AnyPath

SCHEMA = 1


class Folds(BaseModel):
    """`folds.json`: number and Catalog of the folds in a folder."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
    FILE: ClassVar[str] = "folds.json"

    schema_: int = Field(SCHEMA, alias="schema")
    k: int = Field(ge=1, description="Number of folds.")
    catalog: str | None = Field(None, description="sha256 of the Catalog; null where the fields are simulated.")

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Read `folds.json`; return None where the folder has none.

        Raises:
            LociscopeError: The file is damaged, or of a newer schema.
        """
        path = folder / cls.FILE
        return parse_model(path.read_bytes(), cls, SCHEMA, f"'{path}'") if path.is_file() else None

    def write(self, folder: Path) -> None:
        """Write `folds.json`, which makes the folder a folder of folds."""
        with atomic_write(folder / self.FILE) as part:
            part.write_text(self.model_dump_json(by_alias=True) + "\n", encoding="utf-8")

    def runs(self, folder: Path) -> list[Run]:
        """Return the Runs `fold0`, …, whether or not they exist."""
        return [Run(folder / f"fold{number}") for number in range(self.k)]


def open_training(folder: AnyPath) -> tuple[Run, list[Run]]:
    """Open a finished training, of one network or of folds.

    Args:
        folder: A Run, or the folder of `lociscope train --folds`.

    Returns:
        The Run that holds the predictions and their truth, and the Runs of the networks: the same Run, or the folds.

    Raises:
        LociscopeError: The folder is neither, or a training is not finished.
    """
    run = Run(Path(folder))
    folds = Folds.read(run.folder)
    if folds is None:
        return Run.open(folder), [run]
    runs = folds.runs(run.folder)
    unfinished = next((each.folder for each in runs if not each.done), None)
    if unfinished is not None or not run.predictions_file.is_file():
        what = f"'{unfinished}' is not finished" if unfinished else f"The {folds.k} folds of '{folder}' are not joined"
        raise LociscopeError(
            f"{what}. Run `lociscope train … --folds {folds.k} -o {folder}` again.", code=Code.INCOMPLETE
        )
    return run, runs


def find_runs(predictions: Path) -> list[Run]:
    """Return the Runs whose networks made a file of Predictions, by its location.

    Args:
        predictions: The file.

    Returns:
        The Run that the file belongs to, or the Runs of all folds; an empty list for a file elsewhere.

    Raises:
        LociscopeError: `folds.json` is damaged, or of a newer schema.
    """
    run = Run(predictions.parent)
    if predictions.name != run.predictions_file.name:
        return []
    folds = Folds.read(run.folder)
    return [run] if folds is None else folds.runs(run.folder)
