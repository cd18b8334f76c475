"""Jobs and their fields as the store returns them, and as the interface shows them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from lociscope.artifacts.predictions import Position, Predictions
from lociscope.labels import parse_target
from lociscope.warnings import parse_warnings

ASKING, OPEN, CANCELLED, EXPIRED, DELETED = "asking", "open", "cancelled", "expired", "deleted"
"""States of a job in the database; an open job without waiting fields is done."""

WAITING, RUNNING, DONE, FAILED = "waiting", "running", "done", "failed"
"""States of a field."""


class Counts(NamedTuple):
    """Numbers of fields by state."""

    waiting: int = 0
    running: int = 0
    done: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        """Return the number of fields."""
        return sum(self)

    @property
    def finished(self) -> int:
        """Return the number of fields that are done or failed."""
        return self.done + self.failed


@dataclass(frozen=True, slots=True)
class Job:
    """A job.

    Attributes:
        id: Its name in addresses, which cannot be guessed.
        owner: The id of the key that sent it, `environment` for that of the environment; empty where no key was needed.
        state: `asking`, `open`, `cancelled`, `expired` or `deleted`.
        name: What the page calls it.
        created: When it was received, s since 1970.
        expires: When it is deleted, s since 1970.
        message: Why the service asks about the names of the files, or what it did not read.
        rules: How the names are read: JSON of the texts of the form.
        counts: Its fields by state.
    """

    id: str
    owner: str
    state: str
    name: str
    created: float
    expires: float
    message: str
    rules: str
    counts: Counts

    @property
    def is_finished(self) -> bool:
        """Return whether no field waits or runs."""
        return self.state == CANCELLED or (self.state == OPEN and self.counts.finished == self.counts.total)

    @property
    def status(self) -> str:
        """Return the state for readers: `asking`, `running`, `done`, `cancelled`, `expired` or `deleted`."""
        if self.state != OPEN:
            return self.state
        return "done" if self.is_finished else "running"


@dataclass(frozen=True, slots=True)
class JobField:
    """One field of a job.

    Attributes:
        job: The job.
        number: Its place in the job, from 0.
        id: Its name.
        state: `waiting`, `running`, `done` or `failed`.
        source: Its files, as `lociscope.service.jobs.sources` writes them.
        position: Plate, well and site.
        predicted: The class numbers, once it is done.
        status: As in Predictions, once it is done.
        warnings: Their texts in files.
        probability: (28,) float32 once it is done; None before.
        embedding: (d,) float32, where the model has one.
        bundle: The sha256 of the bundle that predicted it.
        model: What the page shows of that bundle: JSON of a `lociscope.service.answer.ModelFacts`.
        size: Its columns and rows, px; zeros before it is read.
        pixel_size: Side of a pixel in µm, where it is declared.
        code: What kind of error it is, if it has failed.
        reason: Why it has failed.
    """

    job: str
    number: int
    id: str
    state: str
    source: str
    position: Position
    predicted: tuple[int, ...] = ()
    status: str = ""
    warnings: tuple[str, ...] = ()
    probability: np.ndarray | None = None
    embedding: np.ndarray | None = None
    bundle: str = ""
    model: str = ""
    size: tuple[int, int] = (0, 0)
    pixel_size: float | None = None
    code: str = ""
    reason: str = ""


class FieldOutcome(NamedTuple):
    """What became of a field: its prediction, or why there is none."""

    number: int
    predicted: str = ""
    status: str = ""
    warnings: str = "[]"
    probability: bytes | None = None
    embedding: bytes | None = None
    bundle: str = ""
    model: str = ""
    width: int = 0
    height: int = 0
    pixel_size: float | None = None
    code: str = ""
    reason: str = ""


class JobInfo(BaseModel):
    """A job, for programs."""

    model_config = ConfigDict(frozen=True)

    id: str = Field(description="Its name in addresses; whoever has it can read the job.")
    name: str
    state: str = Field(description="asking, running, done, cancelled, expired or deleted.")
    created: str = Field(description="When it was received, ISO 8601 in UTC.")
    expires: str = Field(description="When its files and results are deleted, ISO 8601 in UTC.")
    total: int = Field(description="Number of fields.")
    done: int = Field(description="Number of predicted fields.")
    failed: int = Field(description="Number of fields that cannot be read.")
    message: str = Field(description="What the service asks, or did not read; empty for nothing.")

    @classmethod
    def from_job(cls, job: Job) -> Self:
        """Return what the interface shows of a job."""
        return cls(
            id=job.id,
            name=job.name,
            state=job.status,
            created=format_time(job.created),
            expires=format_time(job.expires),
            total=job.counts.total,
            done=job.counts.done,
            failed=job.counts.failed,
            message=job.message,
        )


def make_job_id() -> str:
    """Return the id of a new job: 128 random bits, because whoever has it can read the job."""
    return secrets.token_urlsafe(16)


def format_time(seconds: float) -> str:
    """Return a time as ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(int(seconds), UTC).isoformat()


def to_predictions(fields: list[JobField]) -> Predictions:
    """Return the predicted fields of a job as a table of Predictions.

    An id that occurs twice, in two plates of one upload, gets the number of its field.
    """
    done = [field for field in fields if field.probability is not None]
    ids = [field.id for field in done]
    unique = [field.id if ids.count(field.id) == 1 else f"{field.id} ({field.number})" for field in done]
    embeddings = [field.embedding for field in done if field.embedding is not None]
    same = len(embeddings) == len(done) and len({len(each) for each in embeddings}) == 1
    return Predictions(
        unique,
        np.stack([np.asarray(field.probability, np.float32) for field in done])
        if done
        else np.empty((0, 28), np.float32),
        [field.predicted for field in done],
        [field.status for field in done],
        [parse_warnings(field.warnings) for field in done],
        np.stack(embeddings) if same else None,
        [field.position for field in done] if any(any(field.position) for field in done) else None,
    )


def parse_numbers(text: str | None) -> tuple[int, ...]:
    """Return class numbers that the database holds."""
    return parse_target(text or "")
