"""The study: the folder of one tuning, and what is told of each of its trials."""

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
    """One trial that is over.

    Attributes:
        number: From 0.
        state: `complete`, `pruned` (cut short, since it fell behind) or `failed`.
        lrap: Label ranking average precision on the validation fields; None unless complete.
        macro_average_precision: On the same; None unless complete.
        epochs: How many were finished.
        val_loss: The lowest; None before the first epoch.
        minutes: All epochs together, validation included.
        values: What was searched, by dotted key.
        own: Whether these are the recipe's own values.
        why: What made it fail.
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
    """Where a tuning lies; `lociscope.training.tuning.search` makes it.

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
        """One row for each trial that is over."""
        return self.folder / "trials.csv"

    @property
    def page_file(self) -> Path:
        """The report."""
        return self.folder / "study.html"

    @property
    def fields(self) -> Path:
        """The prepared fields that all trials use, while there are trials to come."""
        return self.folder / "fields"

    def run(self, number: int) -> Run:
        """The Run of a trial. Only the best one's has weights."""
        return Run(self.folder / "trials" / f"{number:04d}")

    def write_table(self, trials: Iterable[TrialRecord], keys: Sequence[str]) -> None:
        """Writes `trials.csv`: a row for each trial, a column for each key that was searched.

        Raises:
            LociscopeError: It cannot be written.
        """
        with atomic_write(self.table_file) as part, part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([*COLUMNS, *keys, "why"])
            for trial in trials:
                values = [trial.values.get(key) for key in keys]
                writer.writerow([*(getattr(trial, column) for column in COLUMNS), *values, trial.why])


def find_best_trial(trials: Iterable[TrialRecord]) -> TrialRecord | None:
    """The trial with the highest LRAP, of several the first; None where none came to its end."""
    complete = [trial for trial in trials if trial.lrap is not None]
    return max(complete, key=lambda trial: (trial.lrap, -trial.number), default=None)
