"""What a service answers, for programs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lociscope.errors import Code, LociscopeError

if TYPE_CHECKING:
    from collections.abc import Mapping


class ServiceError(LociscopeError):
    """The service has refused a request, or cannot be reached.

    Attributes:
        status: The HTTP status; 0 where there was no answer.
    """

    status: int = 0

    def __init__(self, message: str, code: Code, status: int = 0) -> None:
        super().__init__(message, code=code)
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """The locations of the protein in one field.

    Attributes:
        id: The name of the field.
        predicted: Class numbers, ascending; may be empty.
        names: The names of these classes.
        status: `ok`, `unsure`, `negative` or `unlike-training`.
        sentence: The prediction as a sentence.
        warnings: Warnings about the field, as sentences.
        probabilities: 28, by class number.
        thresholds: 28, by class number.
        bundle: The sha256 of the bundle that predicted it.
    """

    id: str
    predicted: tuple[int, ...]
    names: tuple[str, ...]
    status: str
    sentence: str
    warnings: tuple[str, ...]
    probabilities: tuple[float, ...]
    thresholds: tuple[float, ...]
    bundle: str


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A job.

    Attributes:
        id: Its name in addresses.
        name: What the page calls it.
        state: `asking`, `running`, `done`, `cancelled`, `expired` or `deleted`.
        total: Number of fields.
        done: Number of predicted fields.
        failed: Number of fields that cannot be read.
        expires: When its files and results are deleted, ISO 8601 in UTC.
    """

    id: str
    name: str
    state: str
    total: int
    done: int
    failed: int
    expires: str

    @property
    def is_finished(self) -> bool:
        """Return whether nothing is to be waited for."""
        return self.state != "running"


def to_answer(said: Mapping[str, Any]) -> Answer:
    """Return the answer that a service sent."""
    return Answer(
        said["id"], tuple(said["predicted"]), tuple(said["names"]), said["status"], said["sentence"],
        tuple(said["notes"]), tuple(said["probabilities"]), tuple(said["thresholds"]), said["bundle"]["sha256"],
    )  # fmt: skip


def to_status(said: Mapping[str, Any]) -> JobStatus:
    """Return the state of a job that a service sent."""
    return JobStatus(
        said["id"], said["name"], said["state"], said["total"], said["done"], said["failed"], said["expires"]
    )


def to_error(status: int, data: bytes) -> ServiceError:
    """Return the error that a service sent."""
    try:
        said = json.loads(data)
        return ServiceError(str(said["error"]), Code(said.get("code", Code.REFUSED)), status)
    except (ValueError, TypeError, KeyError):
        return ServiceError(f"The service answered {status}: {data[:200]!r}. Try again.", Code.UNAVAILABLE, status)
