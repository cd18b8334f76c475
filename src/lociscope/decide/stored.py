"""Store a fitted ensemble: `ensemble.json` with everything needed to apply it, and `report.json` with its scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, field_validator, model_validator

from lociscope.decide.calibration import Calibration, Method
from lociscope.decide.conformal import PredictionSets, UnsureRule
from lociscope.decide.decider import Decider
from lociscope.decide.ensemble import Combiner, Ensemble, Scale
from lociscope.decide.members import Member
from lociscope.decide.thresholds import Policy, Thresholds
from lociscope.errors import Code, LociscopeError
from lociscope.labels import LABELS
from lociscope.storage.atomic import atomic_write
from lociscope.storage.schema import parse_model

if TYPE_CHECKING:
    from pathlib import Path

    from lociscope.decide.ensemble_report import EnsembleReport

SCHEMA = 2
"""In schema 1, `members` had only the sha256 of each bundle."""
ENSEMBLE, REPORT = "ensemble.json", "report.json"

Row = tuple[FiniteFloat, ...]
Share = Annotated[float, Field(ge=0, le=1)]


class StoredEnsemble(BaseModel):
    """The contents of `ensemble.json`: the numbers of a `Decider`, and the members it was fitted on."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: Annotated[int, Field(alias="schema")] = SCHEMA
    labels: tuple[str, ...] = LABELS
    members: tuple[Member, ...] = Field(description="The identity of each member, by position.")
    combiner: Combiner
    scale: Scale
    squash: bool
    weights: tuple[Row, ...] = Field(description="(members, classes)")
    intercepts: Row
    cross: tuple[Row, ...] | None = Field(description="(classes, classes): what each class adds to each other class.")
    shift: Row | None
    calibration: Method
    coefficients: tuple[Row, Row, Row] = Field(description="(3, classes) of the calibration.")
    policy: Policy
    thresholds: tuple[Share, ...]
    coverage: float = Field(gt=0, lt=1)
    set_cut: Share
    set_fields: int = Field(ge=1)
    unsure_cut: float = Field(ge=0, le=2)

    @field_validator("members", mode="before")
    @classmethod
    def _read_schema_1(cls, members: Any) -> Any:  # noqa: ANN401 - any JSON value
        if not isinstance(members, list):
            return members
        return [{"bundle": each} if each is None or isinstance(each, str) else each for each in members]

    @model_validator(mode="after")
    def _check_shapes(self) -> Self:
        if self.labels != LABELS:
            raise ValueError("labels are not the 28 labels of lociscope in their order")
        if self.calibration == "isotonic":
            raise ValueError("an isotonic calibration cannot be stored")
        if not self.members or len(self.weights) != len(self.members):
            raise ValueError(f"{len(self.weights)} rows of weights for {len(self.members)} members")
        if (self.cross is None) != (self.shift is None):
            raise ValueError("cross and shift belong together")
        rows = [*self.weights, self.intercepts, self.thresholds, *self.coefficients, *(self.cross or ())]
        rows += [] if self.shift is None else [self.shift]
        if any(len(row) != len(LABELS) for row in rows) or (self.cross and len(self.cross) != len(LABELS)):
            raise ValueError(f"a row without {len(LABELS)} numbers")
        return self

    @classmethod
    def from_decider(cls, decider: Decider, members: tuple[Member, ...]) -> Self:
        """Convert a fitted `Decider`.

        Args:
            decider: A decider for 28 classes.
            members: The identity of each member, by position.
        """
        ensemble = decider.ensemble
        return cls(
            members=members,
            combiner=ensemble.combiner,
            scale=ensemble.scale,
            squash=ensemble.squash,
            weights=ensemble.weights_.tolist(),
            intercepts=ensemble.intercepts_.tolist(),
            cross=None if ensemble.cross_ is None else ensemble.cross_.tolist(),
            shift=None if ensemble.shift_ is None else ensemble.shift_.tolist(),
            calibration=decider.calibration.method,
            coefficients=decider.calibration.coefficients_.tolist(),
            policy=decider.thresholds.policy,
            thresholds=decider.thresholds.thresholds_.tolist(),
            coverage=decider.sets.coverage,
            set_cut=decider.sets.threshold_,
            set_fields=decider.sets.n_,
            unsure_cut=decider.unsure.threshold_,
        )

    def to_decider(self) -> Decider:
        """Return the `Decider`, ready to be applied."""
        cross = None if self.cross is None else np.array(self.cross)
        shift = None if self.shift is None else np.array(self.shift)
        ensemble = Ensemble(
            self.combiner, self.scale, self.squash, np.array(self.weights), np.array(self.intercepts), cross, shift
        )
        calibration = Calibration(self.calibration)
        calibration.coefficients_ = np.array(self.coefficients)
        thresholds = Thresholds(self.policy)
        thresholds.thresholds_ = np.array(self.thresholds)
        sets = PredictionSets(self.coverage)
        sets.threshold_, sets.n_ = self.set_cut, self.set_fields
        unsure = UnsureRule()
        unsure.threshold_ = self.unsure_cut
        return Decider(ensemble, calibration, thresholds, sets, unsure)


def write_fitted(folder: Path, stored: StoredEnsemble, report: EnsembleReport) -> None:
    """Write the folder atomically, replacing an older fitted ensemble.

    Raises:
        LociscopeError: The folder has other contents, or cannot be written.
    """
    if folder.exists() and not (folder / ENSEMBLE).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise LociscopeError(
            f"'{folder}' exists and is not a fitted ensemble. Pass another folder as `output`.", code=Code.CONFLICT
        )
    with atomic_write(folder) as part:
        part.mkdir()
        for name, model in ((ENSEMBLE, stored), (REPORT, report)):
            (part / name).write_text(model.model_dump_json(by_alias=True, indent=1) + "\n", encoding="utf-8")


def read_fitted(folder: Path) -> StoredEnsemble:
    """Read `ensemble.json`.

    Raises:
        LociscopeError: The folder is not a fitted ensemble, or the file is damaged or of a newer schema.
    """
    try:
        contents = (folder / ENSEMBLE).read_bytes()
    except OSError as error:
        raise LociscopeError(
            f"'{folder}' is not a fitted ensemble: cannot read {ENSEMBLE} ({error.strerror}). "
            "Pass a folder written by `lociscope ensemble fit`.",
            code=Code.WRONG_FILE,
        ) from error
    return parse_fitted(contents, f"Fitted ensemble '{folder}'")


def parse_fitted(data: bytes, what: str) -> StoredEnsemble:
    """Parse the contents of `ensemble.json`; `what` is the file, as the error message calls it.

    Raises:
        LociscopeError: The file is damaged or of a newer schema.
    """
    return parse_model(data, StoredEnsemble, SCHEMA, what)
