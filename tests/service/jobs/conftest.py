"""A store of jobs over SQLite and PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from lociscope.artifacts.predictions import Position
from lociscope.service.jobs.database import open_database
from lociscope.service.jobs.records import OPEN, WAITING, Counts, Job, JobField, make_job_id
from lociscope.service.jobs.store import JobStore

if TYPE_CHECKING:
    from pathlib import Path

LEASE = 20.0


class Clock:
    """A clock that tests advance."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[JobStore]:
    """A store, over SQLite and over a real PostgreSQL server."""
    url = str(tmp_path / "service.sqlite")
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").new_database()
    database = open_database(url)
    yield JobStore(database, clock, LEASE)
    database.close()


Add = Callable[..., Job]


@pytest.fixture
def add(store: JobStore, clock: Clock) -> Add:
    """`add(3)` stores a job of three waiting fields."""

    def create(n: int, owner: str = "", expires: float = 1e9, **other: Any) -> Job:
        job = Job(make_job_id(), owner, OPEN, f"job of {n}", clock.now, expires, "", "{}", Counts(), **other)
        clock.now += 1
        fields = [JobField(job.id, k, f"f{k}", WAITING, "{}", Position("P1", "A01", str(k))) for k in range(n)]
        store.create(job, fields, 100)
        return job

    return create


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for a condition."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.05)


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool]], None]:
    return until
