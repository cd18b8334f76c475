"""The origin of a retrained model: `retraining.json` of a Run, and `retraining` in the provenance of its bundle."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field

from lociscope.storage.atomic import atomic_write
from lociscope.storage.schema import parse_model

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

SCHEMA = 1
_MARK = 12


class Ancestor(BaseModel):
    """A version that a retrained model descends from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    sha256: str = Field(description="Of its bundle.")
    trainings: list[str] = Field([], description="Hashes of its trainings, which name data, seed and time.")


class Source(BaseModel):
    """A Catalog that the fields came from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    catalog: str = Field(description="Name of the file.")
    sha256: str
    fields: int = Field(description="Number of its fields, without those that were left out.")


class Retraining(BaseModel):
    """`retraining.json`: which version was retrained, and with what."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    FILE: ClassVar[str] = "retraining.json"

    schema_: int = Field(SCHEMA, alias="schema")
    ancestors: list[Ancestor] = Field(min_length=1, description="The oldest first; the last was retrained.")
    base: Source = Field(description="The fields of the version before.")
    labels: list[Source] = Field(min_length=1, description="The added labels.")
    catalog_sha256: str = Field(description="Of the Catalog of all of them, on which the Run was trained.")
    relabelled: int = Field(0, description="Number of fields of the base whose label was replaced.")
    left_out: int = Field(0, description="Number of fields that were left out, because the frozen test has them.")
    added: list[str] = Field([], description="Marks of the ids with added labels, also of the versions before.")

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Read `retraining.json` of a Run; None where it has none.

        Raises:
            LociscopeError: The file is damaged, or of a newer schema.
        """
        path = folder / cls.FILE
        return parse_model(path.read_bytes(), cls, SCHEMA, f"'{path}'") if path.is_file() else None

    def write(self, folder: Path) -> None:
        """Write `retraining.json` into a Run."""
        with atomic_write(folder / self.FILE) as part:
            part.write_text(self.model_dump_json(by_alias=True, indent=2) + "\n", encoding="utf-8")


def find_retraining(provenance: Mapping[str, Any]) -> Retraining | None:
    """Return the retraining that a card records, or None."""
    found = provenance.get("retraining")
    return None if found is None else Retraining.model_validate(found)


def mark_ids(ids: Iterable[str]) -> list[str]:
    """Return what cards hold of ids, sorted: a part of their hash, since an id may name a person."""
    return sorted(hashlib.sha256(each.encode()).hexdigest()[:_MARK] for each in ids)


def exclude_marked(ids: Iterable[str], marks: Collection[str]) -> list[str]:
    """Return the ids whose marks are not among `marks`, in order."""
    return [each for each in ids if mark_ids([each])[0] not in marks]
