"""The prediction log: predictions with their time, bundle and image statistics.

One database for all commands and machines: an SQLite file by default, or any database of SQLAlchemy.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from lociscope.errors import LociscopeError
from lociscope.prediction_log.database import READ_SECONDS, WRITE_SECONDS, Database, Store, overwrite_deleted
from lociscope.prediction_log.log_errors import LogError
from lociscope.prediction_log.rows import Row, Window, iso, make_rows, to_window
from lociscope.prediction_log.tables import define_tables, prepare_tables

if TYPE_CHECKING:
    import re
    from collections.abc import Sequence

    import numpy as np
    import sqlalchemy as sa

    from lociscope.artifacts.predictions import Predictions

BACKWARD = timedelta(hours=1)
"""Rows that waited for the database may be this late."""

DELETED_AT_ONCE = 500
"""Rows of one transaction, so that writers do not wait long."""


def open_log(url: str, *, create: bool = True) -> PredictionLog:
    """Open a prediction log, and create it if needed.

    Args:
        url: An SQLAlchemy URL, such as `postgresql+psycopg://user@host/name`; a bare path is an SQLite file.
        create: Whether to create a missing file and missing tables.

    Returns:
        The log.

    Raises:
        LogError: The URL is wrong, its driver is not installed, the database cannot be reached, is damaged, is not a
            log or is of a newer schema; or it does not exist and may not be created.
        MissingExtraError: SQLAlchemy is not installed.
    """
    database = Database(url, create)
    try:
        try:
            prepare_tables(database, create)
        except LogError:
            if create or not database.reopen_immutable():
                raise
            prepare_tables(database, create)
    except LociscopeError:
        database.close()
        raise
    return PredictionLog(database)


class PredictionLog(Store):
    """An open log; may be used from several threads, and by several processes at once.

    Args:
        database: Its database.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._about, self._rows = define_tables()

    def add(self, predictions: Predictions, statistics: np.ndarray, *, bundle: str, command: str) -> None:
        """Add predictions, all or none.

        Args:
            predictions: The predictions; embeddings, if any, are stored in half precision.
            statistics: (n, k) float32, in the order of `lociscope.images.statistics.STATISTICS`.
            bundle: The bundle's sha256.
            command: One of `COMMANDS`.

        Raises:
            LogError: The log cannot be written: locked for long (`engine.WAIT_SECONDS`), full, missing, damaged.
        """
        self.write(make_rows(predictions, statistics, bundle=bundle, command=command))

    def write(self, rows: Sequence[Row], key: str | None = None, last: str | None = None) -> None:
        """Write rows, all or none, and once per key.

        If the answer of the database is lost, the caller does not know whether the rows were written. With a key it can
        repeat the call: the key is written in the same transaction, and rows whose key exists are not written again.

        Args:
            rows: The rows, from `make_rows`.
            key: A unique string of at most 32 characters.
            last: The key of the caller's previous rows, which is deleted.

        Raises:
            LogError: The log cannot be written; `LogUnavailableError` where a retry may succeed.
        """
        import sqlalchemy as sa

        try:
            with self._database.transaction("written", WRITE_SECONDS) as connection:
                if key is not None:
                    connection.execute(self._about.insert(), {"key": key, "value": iso(datetime.now(UTC))})
                if last is not None:
                    connection.execute(self._about.delete().where(self._about.c.key == last))
                if rows:
                    # Inline: the number of a row is not fetched, so that the writer needs no right to read.
                    connection.execute(self._rows.insert().inline(), list(rows))
        except LogError as error:
            written = isinstance(error.__cause__, sa.exc.IntegrityError) and key is not None
            if not written:
                raise

    def read(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        bundle: str | None = None,
        every: int = 1,
    ) -> Window:
        """Read the rows of a time window.

        Args:
            since: Only rows of this moment or later.
            until: Only rows before this moment.
            bundle: Only rows of the bundle of this sha256.
            every: Read only each `every`-th row, for a log that does not fit into memory.

        Returns:
            The rows, which may be none.

        Raises:
            LogError: The log cannot be read, or holds rows that lociscope did not write.
        """
        import sqlalchemy as sa

        query = sa.select(self._rows).where(*self._within(since, until)).order_by(self._rows.c.seq)
        if bundle is not None:
            query = query.where(self._rows.c.bundle == bundle)
        if every > 1:
            query = query.where(self._rows.c.seq % every == 0)
        with self._database.transaction("read", READ_SECONDS) as connection:
            rows = connection.execute(query).all()
        try:
            return to_window(rows)
        except (ValueError, TypeError, LociscopeError) as error:
            raise LogError(
                f"Log '{self.name}' holds a row that is damaged ({error}). Restore it from a copy."
            ) from error

    def bundles(self, since: datetime | None = None, until: datetime | None = None) -> dict[str, int]:
        """Count the rows of a time window by bundle; the bundle of the latest row comes last.

        Raises:
            LogError: The log cannot be read.
        """
        import sqlalchemy as sa

        table = self._rows.c
        counts = sa.select(table.bundle, sa.func.count()).where(*self._within(since, until))
        ordered = counts.group_by(table.bundle).order_by(sa.func.max(table.seq))
        with self._database.transaction("read", READ_SECONDS) as connection:
            return {row[0]: row[1] for row in connection.execute(ordered)}

    def span(self, since: datetime | None = None, until: datetime | None = None) -> tuple[str, str] | None:
        """Return the earliest and the latest time of the rows of a time window, or None if it has none.

        Raises:
            LogError: The log cannot be read.
        """
        import sqlalchemy as sa

        time = self._rows.c.time
        query = sa.select(sa.func.min(time), sa.func.max(time)).where(*self._within(since, until))
        with self._database.transaction("read", READ_SECONDS) as connection:
            first, last = connection.execute(query).one()
        return None if first is None else (first, last)

    def count_backward(self, since: datetime | None = None, until: datetime | None = None) -> int:
        """Count the rows whose time is more than `BACKWARD` before that of the row before: a clock was set back.

        Raises:
            LogError: The log cannot be read.
        """
        import sqlalchemy as sa

        table = self._rows.c
        before = sa.func.lag(table.time).over(order_by=table.seq).label("before")
        pairs = sa.select(table.time, before).where(*self._within(since, until)).subquery()
        query = sa.select(pairs.c.time, pairs.c.before).where(pairs.c.time < pairs.c.before)
        with self._database.transaction("read", READ_SECONDS) as connection:
            found = connection.execute(query).all()
        return sum(datetime.fromisoformat(row[1]) - datetime.fromisoformat(row[0]) > BACKWARD for row in found)

    def delete(self, before: datetime | None = None, matching: re.Pattern[str] | None = None) -> int:
        """Delete rows; in an SQLite file their bytes are overwritten.

        Args:
            before: Only rows before this moment.
            matching: Only rows in whose id this is found.

        Returns:
            The number of rows that were deleted.

        Raises:
            ValueError: Neither is passed, which would delete everything.
            LogError: The log cannot be read or written.
        """
        import sqlalchemy as sa

        if before is None and matching is None:
            raise ValueError("nothing says which rows to delete")
        table = self._rows.c
        query = sa.select(table.seq, table.id).where(*self._within(None, before)).order_by(table.seq)
        with self._database.transaction("read", READ_SECONDS) as connection:
            rows = [row.seq for row in connection.execute(query) if matching is None or matching.search(row.id)]
        for start in range(0, len(rows), DELETED_AT_ONCE):
            with self._database.transaction("written", WRITE_SECONDS) as connection:
                overwrite_deleted(connection)
                part = rows[start : start + DELETED_AT_ONCE]
                connection.execute(self._rows.delete().where(table.seq.in_(part)))
        return len(rows)

    def disconnect(self) -> None:
        """Close all connections to a server, so that pending calls fail."""
        self._database.disconnect()

    def _within(self, since: datetime | None, until: datetime | None) -> list[sa.ColumnElement[bool]]:
        time = self._rows.c.time
        return [
            *([] if since is None else [time >= iso(since)]),
            *([] if until is None else [time < iso(until)]),
        ]
