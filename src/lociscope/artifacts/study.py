"""The study: the folder of one tuning, and the records of its trials."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lociscope.artifacts.run import Run
from lociscope.storage.atomic import atomic_write

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """The record of one trial that has ended.

    Attributes:
        number: From 0.
        state: `complete`, `pruned` (stopped early because it fell behind) or `failed`.
        lrap: Label ranking average precision on the validation fields; None unless complete.
        macro_average_precision: On the same; None unless complete.
        epochs: Number of finished epochs.
        val_loss: The lowest loss of the validation fields; None before the first epoch.
        minutes: Duration of all epochs, with validation.
        values: The hyperparameters that were searched, by dotted key.
        own: Whether they are the recipe's own values.
        why: The error of a failed trial.
    """

    number: int
    state: str
    lrap: float | None
    macro_average_precision: float | None
    epochs: int
    val_loss: float | None
    minutes: float
    values: dict[str, Any]
    own: bool = False
    why: str = ""


COLUMNS = ("number", "state", "lrap", "macro_average_precision", "epochs", "val_loss", "minutes")


@dataclass(frozen=True, slots=True)
class Study:
    """The folder of one tuning; `lociscope.training.tuning.search` makes it.

    Attributes:
        folder: Holds `study.db`, `trials/0000`…, and after the first trial `best.toml`, `trials.csv`, `study.html`.
    """

    folder: Path

    @property
    def database(self) -> Path:
        """Optuna's SQLite file."""
        return self.folder / "study.db"

    @property
    def best_file(self) -> Path:
        """The best trial's recipe."""
        return self.folder / "best.toml"

    @property
    def table_file(self) -> Path:
        """One row for each trial that has ended."""
        return self.folder / "trials.csv"

    @property
    def page_file(self) -> Path:
        """The report."""
        return self.folder / "study.html"

    @property
    def fields(self) -> Path:
        """The prepared fields that all trials use, until the last trial ends."""
        return self.folder / "fields"

    def run(self, number: int) -> Run:
        """Return the Run of a trial; only the best trial keeps its weights."""
        return Run(self.folder / "trials" / f"{number:04d}")

    def write_table(self, trials: Iterable[TrialRecord], keys: Sequence[str]) -> None:
        """Write `trials.csv`: a row for each trial, a column for each key that was searched.

        Raises:
            LociscopeError: The file cannot be written.
        """
        with atomic_write(self.table_file) as part, part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([*COLUMNS, *keys, "why"])
            for trial in trials:
                values = [trial.values.get(key) for key in keys]
                writer.writerow([*(getattr(trial, column) for column in COLUMNS), *values, trial.why])


def find_best_trial(trials: Iterable[TrialRecord]) -> TrialRecord | None:
    """Return the first trial with the highest LRAP; None where no trial is complete."""
    complete = [trial for trial in trials if trial.lrap is not None]
    return max(complete, key=lambda trial: (trial.lrap, -trial.number), default=None)
