"""Jobs in the database: each field is predicted once, whatever process is killed.

A worker claims fields for `LEASE_SECONDS`, which it renews while it works. Fields whose lease has run out, because
their process was killed, are claimed again. The result of a field and its state are one row, which only the worker that
holds the lease can complete: no result is lost, and none is written twice.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lociscope.errors import Code
from lociscope.service.jobs.database import define_tables
from lociscope.service.jobs.records import (
    ASKING,
    CANCELLED,
    DELETED,
    DONE,
    EXPIRED,
    FAILED,
    OPEN,
    RUNNING,
    WAITING,
    Counts,
    FieldOutcome,
    Job,
    JobField,
)
from lociscope.service.jobs.rows import to_field, to_job, to_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import sqlalchemy as sa

    from lociscope.service.jobs.database import ServiceDatabase

LEASE_SECONDS = 20.0
"""A worker that does not renew its claim for so long is taken for dead."""

MAX_ATTEMPTS = 5
"""Number of processes that may end while they predict a field, before it counts as unreadable."""

TOMBSTONE_SECONDS = 30 * 86_400.0
"""Time for which the service still knows that a job has expired, without its name and its fields."""

_ENDED = (EXPIRED, DELETED)


class JobStore:
    """The jobs of a service.

    Args:
        database: An open database.
        clock: Returns the time in s since 1970.
        lease_seconds: How long a claim lasts unless it is renewed.
    """

    def __init__(
        self,
        database: ServiceDatabase,
        clock: Callable[[], float] = time.time,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._database = database
        self._clock = clock
        self._lease = lease_seconds
        self._tables = define_tables()

    def create(self, job: Job, fields: Sequence[JobField], size: int) -> None:
        """Store a job with its fields, all or nothing.

        Args:
            job: The job; its counts are ignored.
            fields: Its fields: waiting, or failed where their files are incomplete.
            size: Bytes of its files.
        """
        row = {"id": job.id, "owner": job.owner, "state": job.state, "name": job.name, "created": job.created,
               "expires": job.expires, "message": job.message, "rules": job.rules, "bytes": size}  # fmt: skip
        with self._database.write() as connection:
            connection.execute(self._tables.jobs.insert(), row)
            if fields:
                connection.execute(self._tables.fields.insert(), list(map(to_row, fields)))

    def answer(self, job: Job, fields: Sequence[JobField]) -> bool:
        """Replace the fields of a job that asks, after its rules were given; return whether it still asked."""
        jobs = self._tables.jobs
        with self._database.write() as connection:
            changed = connection.execute(
                jobs.update()
                .where(jobs.c.id == job.id, jobs.c.state == ASKING)
                .values(state=job.state, message=job.message, rules=job.rules)
            ).rowcount
            if changed and fields:
                connection.execute(self._tables.fields.insert(), list(map(to_row, fields)))
        return bool(changed)

    def get(self, identifier: str) -> Job | None:
        """Return a job; None for one that does not exist."""
        jobs = self._tables.jobs
        with self._database.read() as connection:
            row = connection.execute(jobs.select().where(jobs.c.id == identifier)).first()
            return None if row is None else to_job(row, self._count(connection, [identifier]).get(identifier, Counts()))

    def list_jobs(self, owner: str | None, most: int = 100) -> list[Job]:
        """Return the jobs of an owner, the newest first.

        Args:
            owner: The id of a key; None for the jobs of all.
            most: Maximum number.
        """
        jobs = self._tables.jobs
        query = jobs.select().where(jobs.c.state.not_in(_ENDED)).order_by(jobs.c.created.desc()).limit(most)
        if owner is not None:
            query = query.where(jobs.c.owner == owner)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
            counts = self._count(connection, [row.id for row in rows])
        return [to_job(row, counts.get(row.id, Counts())) for row in rows]

    def count_waiting(self) -> int:
        """Return the number of fields that are not finished, of jobs that are neither cancelled nor ended."""
        import sqlalchemy as sa

        jobs, fields = self._tables.jobs, self._tables.fields
        query = (
            sa.select(sa.func.count())
            .select_from(fields.join(jobs, jobs.c.id == fields.c.job))
            .where(jobs.c.state == OPEN, fields.c.state.in_((WAITING, RUNNING)))
        )
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def count_bytes(self) -> int:
        """Return the bytes of the files of all jobs that are kept."""
        with self._database.read() as connection:
            return self._sum_bytes(connection)

    def reserve_bytes(self, identifier: str, size: int, *, most: int) -> bool:
        """Add bytes to those of a job that is kept; return False if all jobs would then have more than `most`."""
        jobs = self._tables.jobs
        kept = jobs.c.id == identifier, jobs.c.state.not_in(_ENDED)
        with self._database.write() as connection:
            if self._sum_bytes(connection) + size > most:
                return False
            return bool(connection.execute(jobs.update().where(*kept).values(bytes=jobs.c.bytes + size)).rowcount)

    def read_fields(self, identifier: str, numbers: Iterable[int] | None = None) -> list[JobField]:
        """Return the fields of a job in order.

        Args:
            identifier: The job.
            numbers: The fields to return; None for all.
        """
        fields = self._tables.fields
        query = fields.select().where(fields.c.job == identifier).order_by(fields.c.number)
        if numbers is not None:
            query = query.where(fields.c.number.in_(list(numbers)))
        with self._database.read() as connection:
            return [to_field(row) for row in connection.execute(query)]

    def claim(self, worker: str, most: int) -> list[JobField]:
        """Return fields to predict, which no other worker gets while the claim lasts.

        The first fields of all jobs come first, so that a small job does not wait for a large one.

        Args:
            worker: Who claims them.
            most: Maximum number.
        """
        import sqlalchemy as sa

        jobs, fields, now = self._tables.jobs, self._tables.fields, self._clock()
        free = sa.or_(fields.c.state == WAITING, sa.and_(fields.c.state == RUNNING, fields.c.lease < now))
        query = (
            sa.select(fields)
            .join(jobs, jobs.c.id == fields.c.job)
            .where(free, jobs.c.state == OPEN)
            .order_by(fields.c.number, jobs.c.created)
            .limit(most)
            .with_for_update(skip_locked=True, of=fields)
        )
        with self._database.write() as connection:
            rows = connection.execute(query).all()
            worn = [row for row in rows if row.attempts >= MAX_ATTEMPTS]
            mine = [row for row in rows if row.attempts < MAX_ATTEMPTS]
            for row in worn:
                connection.execute(
                    fields.update()
                    .where(fields.c.job == row.job, fields.c.number == row.number)
                    .values(
                        state=FAILED, worker="", code=Code.INTERNAL.value,
                        reason=f"Field '{row.id}' ended {MAX_ATTEMPTS} processes of the service that read it.",
                    )
                )  # fmt: skip
            for row in mine:
                connection.execute(
                    fields.update()
                    .where(fields.c.job == row.job, fields.c.number == row.number)
                    .values(state=RUNNING, worker=worker, lease=now + self._lease, attempts=row.attempts + 1)
                )
        return [to_field(row) for row in mine]

    def renew(self, worker: str) -> None:
        """Extend the claims of a worker."""
        fields = self._tables.fields
        with self._database.write() as connection:
            connection.execute(
                fields.update()
                .where(fields.c.state == RUNNING, fields.c.worker == worker)
                .values(lease=self._clock() + self._lease)
            )

    def release(self, worker: str) -> None:
        """Return the fields of a worker that stops."""
        fields = self._tables.fields
        with self._database.write() as connection:
            connection.execute(
                fields.update()
                .where(fields.c.state == RUNNING, fields.c.worker == worker)
                .values(state=WAITING, worker="", attempts=fields.c.attempts - 1)
            )

    def finish(self, worker: str, job: str, outcomes: Sequence[FieldOutcome]) -> list[int]:
        """Store what became of fields that a worker holds.

        Returns:
            The numbers of those that were stored; another worker has the others, or their job was deleted.
        """
        fields, stored = self._tables.fields, []
        with self._database.write() as connection:
            for outcome in outcomes:
                values = outcome._asdict()
                number = values.pop("number")
                state = FAILED if outcome.reason else DONE
                done = connection.execute(
                    fields.update()
                    .where(
                        fields.c.job == job, fields.c.number == number, fields.c.state == RUNNING,
                        fields.c.worker == worker,
                    )
                    .values(state=state, worker="", **values)
                ).rowcount  # fmt: skip
                stored += [number] if done else []
        return stored

    def cancel(self, identifier: str) -> None:
        """Stop a job: its waiting fields are not predicted, its results are kept."""
        jobs = self._tables.jobs
        with self._database.write() as connection:
            connection.execute(
                jobs.update().where(jobs.c.id == identifier, jobs.c.state.in_((OPEN, ASKING))).values(state=CANCELLED)
            )

    def delete(self, identifier: str, state: str = DELETED) -> None:
        """Delete the fields and the name of a job; that it existed remains known for a while."""
        jobs, fields = self._tables.jobs, self._tables.fields
        with self._database.write() as connection:
            connection.execute(fields.delete().where(fields.c.job == identifier))
            connection.execute(
                jobs.update()
                .where(jobs.c.id == identifier, jobs.c.state.not_in(_ENDED))
                .values(state=state, owner="", name="", message="", rules="{}", bytes=0)
            )

    def find_expired(self) -> list[str]:
        """Return the jobs whose time is over, and forget those that ended long ago."""
        import sqlalchemy as sa

        jobs = self._tables.jobs
        now = self._clock()
        with self._database.write() as connection:
            connection.execute(jobs.delete().where(jobs.c.state.in_(_ENDED), jobs.c.expires < now - TOMBSTONE_SECONDS))
            query = sa.select(jobs.c.id).where(jobs.c.expires < now, jobs.c.state.not_in(_ENDED))
            return list(connection.execute(query).scalars())

    def _sum_bytes(self, connection: sa.Connection) -> int:
        import sqlalchemy as sa

        jobs = self._tables.jobs
        query = sa.select(sa.func.coalesce(sa.func.sum(jobs.c.bytes), 0)).where(jobs.c.state.not_in(_ENDED))
        return int(connection.execute(query).scalar_one())

    def _count(self, connection: sa.Connection, identifiers: Sequence[str]) -> dict[str, Counts]:
        import sqlalchemy as sa

        fields = self._tables.fields
        query = (
            sa.select(fields.c.job, fields.c.state, sa.func.count().label("n"))
            .where(fields.c.job.in_(identifiers))
            .group_by(fields.c.job, fields.c.state)
        )
        counts: dict[str, Counts] = {}
        for row in connection.execute(query):
            counts[row.job] = counts.get(row.job, Counts())._replace(**{row.state: row.n})
        return counts
