"""A fitted ensemble on disk: `ensemble.json`, all that is applied, and `report.json`, how good it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, field_validator, model_validator

from lociscope.decide.calibration import Calibration, Method
from lociscope.decide.conformal import PredictionSets, UnsureRule
from lociscope.decide.decider import Decider
from lociscope.decide.ensemble import Combiner, Ensemble, Scale
from lociscope.decide.ensemble_report import SCHEMA as REPORT_SCHEMA
from lociscope.decide.ensemble_report import EnsembleReport
from lociscope.decide.members import Member
from lociscope.decide.thresholds import Policy, Thresholds
from lociscope.errors import Code, LociscopeError
from lociscope.labels import LABELS
from lociscope.storage.atomic import atomic_write
from lociscope.storage.schema import parse_model

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = 2
"""Of 1, `members` held only the sha256 of each bundle."""
ENSEMBLE, REPORT = "ensemble.json", "report.json"

Row = tuple[FiniteFloat, ...]
Share = Annotated[float, Field(ge=0, le=1)]


class StoredEnsemble(BaseModel):
    """`ensemble.json`: the numbers of a `Decider`, and which members it was fitted on."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: Annotated[int, Field(alias="schema")] = SCHEMA
    labels: tuple[str, ...] = LABELS
    members: tuple[Member, ...] = Field(description="By what each member is recognised, by position.")
    combiner: Combiner
    scale: Scale
    squash: bool
    weights: tuple[Row, ...] = Field(description="(members, classes)")
    intercepts: Row
    cross: tuple[Row, ...] | None = Field(description="(classes, classes): what each class adds to each other.")
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
    def _of_schema_1(cls, members: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        if not isinstance(members, list):
            return members
        return [{"bundle": each} if each is None or isinstance(each, str) else each for each in members]

    @model_validator(mode="after")
    def _shapes(self) -> Self:
        if self.labels != LABELS:
            raise ValueError("labels are not lociscope's 28 labels in their order")
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
    def of(cls, decider: Decider, members: tuple[Member, ...]) -> Self:
        """From a fitted decision.

        Args:
            decider: The decision, of 28 classes.
            members: By what each member is recognised, by position.
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

    def decider(self) -> Decider:
        """The decision, ready to be applied."""
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
    """Writes the folder, whole or not at all; an older fitted ensemble of that name is replaced.

    Raises:
        LociscopeError: The folder holds something else, or cannot be written.
    """
    if folder.exists() and not (folder / ENSEMBLE).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise LociscopeError(
            f"'{folder}' exists and is no fitted ensemble. Name another folder with -o.", code=Code.CONFLICT
        )
    with atomic_write(folder) as part:
        part.mkdir()
        for name, model in ((ENSEMBLE, stored), (REPORT, report)):
            (part / name).write_text(model.model_dump_json(by_alias=True, indent=1) + "\n", encoding="utf-8")


def read_fitted(folder: Path) -> StoredEnsemble:
    """Reads `ensemble.json`.

    Raises:
        LociscopeError: The folder is no fitted ensemble, or the file is damaged or of a newer schema.
    """
    return parse_model(_bytes(folder / ENSEMBLE), StoredEnsemble, SCHEMA, f"Fitted ensemble '{folder}'")


def read_findings(folder: Path) -> EnsembleReport:
    """Reads `report.json`; raises as `read_fitted`."""
    return parse_model(_bytes(folder / REPORT), EnsembleReport, REPORT_SCHEMA, f"EnsembleReport of '{folder}'")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise LociscopeError(
            f"'{path.parent}' is no fitted ensemble: cannot read {path.name} ({error.strerror}). "
            "Name a folder of `lociscope ensemble fit`.",
            code=Code.WRONG_FILE,
        ) from error
