"""Convert jobs and fields to rows of the database, and back."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lociscope.artifacts.predictions import Position
from lociscope.service.jobs.records import DONE, Job, JobField, parse_numbers

if TYPE_CHECKING:
    from lociscope.service.jobs.records import Counts


def to_row(field: JobField) -> dict[str, Any]:
    """Return the row of a new field."""
    return {
        "job": field.job, "number": field.number, "id": field.id, "state": field.state, "source": field.source,
        **field.position._asdict(), "worker": "", "lease": 0.0, "attempts": 0, "code": field.code,
        "reason": field.reason,
    }  # fmt: skip


def to_job(row: Any, counts: Counts) -> Job:  # noqa: ANN401 - a row of SQLAlchemy
    """Return the job of a row, with the numbers of its fields."""
    return Job(row.id, row.owner, row.state, row.name, row.created, row.expires, row.message, row.rules, counts)


def to_field(row: Any) -> JobField:  # noqa: ANN401 - a row of SQLAlchemy
    """Return the field of a row."""
    field = JobField(
        row.job, row.number, row.id, row.state, row.source, Position(row.plate, row.well, row.site),
        code=row.code or "", reason=row.reason or "",
    )  # fmt: skip
    if row.state != DONE:
        return field
    return replace(
        field,
        predicted=parse_numbers(row.predicted),
        status=row.status,
        warnings=tuple(json.loads(row.warnings)),
        probability=np.frombuffer(row.probability, "<f4"),
        embedding=None if row.embedding is None else np.frombuffer(row.embedding, "<f4"),
        bundle=row.bundle,
        model=row.model,
        size=(row.width, row.height),
        pixel_size=row.pixel_size,
    )
