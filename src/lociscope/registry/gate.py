"""The gate of a registry, `gate.json`: what a version must show before `production` names it, fixed beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from lociscope.errors import Code, Exit, LociscopeError
from lociscope.storage.atomic import atomic_write
from lociscope.storage.file_errors import unreadable_error
from lociscope.storage.schema import parse_model

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = 1
FILE = "gate.json"


class PromotionRefusedError(LociscopeError):
    """The bundle does not pass its self-test or the gate, and is not promoted."""

    exit_code = Exit.CHECK_FAILED
    code = Code.REFUSED


class GateRules(BaseModel):
    """`gate.json`: the frozen test and the margins."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_: int = Field(SCHEMA, alias="schema")
    catalog: str = Field(description="The Catalog of the frozen test.")
    catalog_sha256: str
    margin: float = Field(0.01, ge=0, le=1, description="Loss of macro-F1 that is accepted.")
    slice_margin: float = Field(0.05, ge=0, le=1, description="Loss that is accepted for a location or a cell line.")
    max_seconds: float = Field(2.0, gt=0, description="Time within which 95 % of the fields must be predicted, s.")
    review: str | None = Field(None, description="The review whose labels count too.")


class GateSlice(BaseModel):
    """The gain of a candidate on a part of the fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    fields: int
    gain: float
    p: float
    worse: bool


class GateRecord(BaseModel):
    """What the gate found, which the history keeps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    passed: bool
    reasons: list[str] = Field([], description="Why it did not pass.")
    override: str | None = Field(None, description="Why the version was promoted nevertheless.")
    fields: int = 0
    gain: float | None = Field(None, description="Macro-F1 of the candidate − that of the version in use.")
    low: float | None = Field(None, description="Lower end of its one-sided 95 % interval.")
    seconds: float | None = Field(None, description="95th percentile of the time for a field, s.")
    slices: list[GateSlice] = []


def read_gate(folder: Path) -> GateRules | None:
    """Return the rules of a registry, or None where it has none.

    Raises:
        LociscopeError: They cannot be read, are damaged or of a newer schema.
    """
    file = folder / FILE
    try:
        return parse_model(file.read_bytes(), GateRules, SCHEMA, f"'{file}'")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unreadable_error(file, error) from error


def write_gate(folder: Path, rules: GateRules) -> None:
    """Write the rules of a registry atomically.

    Raises:
        LociscopeError: The registry does not exist, or the file cannot be written.
    """
    if not folder.is_dir():
        raise LociscopeError(
            f"'{folder}' is not a registry. Create it with `lociscope models add`, or check the path.",
            code=Code.NOT_FOUND,
        )
    with atomic_write(folder / FILE) as part:
        part.write_text(rules.model_dump_json(by_alias=True, indent=2) + "\n", encoding="utf-8")
