"""Provenance: where the fields of a training came from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where the fields of a training came from, for Runs and cards.

    Attributes:
        kind: `simulated`, or `catalog` where a Catalog lists the fields.
        catalog: Name of the Catalog's file.
        fields: Number of simulated fields; None where each epoch simulates others.
        seed: Seed of the simulated fields.
        fold: Number of the fold that is held out, from 0; None without cross-validation.
        folds: Number of folds.
    """

    kind: Literal["simulated", "catalog"]
    catalog: str | None = None
    fields: int | None = None
    seed: int | None = None
    fold: int | None = None
    folds: int | None = None

    def describe(self) -> str:
        """Return the text for reports, such as `600 simulated fields of seed 0, fold 1 of 5`."""
        if self.kind == "catalog":
            text = f"Catalog '{self.catalog}'"
        elif self.fields is None:
            text = f"simulated fields of seed {self.seed}, others in every epoch"
        else:
            text = f"{self.fields} simulated fields of seed {self.seed}"
        return text if self.fold is None else f"{text}, fold {self.fold} of {self.folds}"


def parse_provenance(text: str) -> Provenance:
    """Parse the text that Runs of schema 1 and cards of schema 2 hold.

    Raises:
        ValueError: No version of lociscope wrote it.
    """
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:80]!r} does not name the source of a training's fields")
    numbers = {name: int(match[name]) for name in ("fields", "seed", "fold", "folds") if match[name]}
    if match["online"]:
        numbers["seed"] = int(match["online"])
    kind: Literal["simulated", "catalog"] = "simulated" if match["catalog"] is None else "catalog"
    return Provenance(kind, match["catalog"], **numbers)


_TEXT = re.compile(
    r"(?:Catalog '(?P<catalog>.*)'"
    r"|(?P<fields>\d+) simulated fields of seed (?P<seed>\d+)"
    r"|simulated fields of seed (?P<online>\d+), others in every epoch)"
    r"(?:, fold (?P<fold>\d+) of (?P<folds>\d+))?",
    re.DOTALL,
)
