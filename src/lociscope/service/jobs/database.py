"""The database of the service: jobs, their fields, and API keys; SQLite, or PostgreSQL for several machines."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lociscope.errors import LociscopeError
from lociscope.prediction_log.database import GRACE_SECONDS, Database
from lociscope.prediction_log.marked_tables import MarkedTables, prepare_marked

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    import sqlalchemy as sa

SCHEMA = 1

STATEMENT_SECONDS = 10
"""Limit for one transaction on a server; `GRACE_SECONDS` later its connection is closed."""

_IMMEDIATE = "lociscope_immediate"

__all__ = ["GRACE_SECONDS", "SCHEMA", "ServiceDatabase", "Tables", "define_tables", "open_database"]


class Tables(NamedTuple):
    """The tables: what the database is, its jobs, their fields, and keys."""

    about: sa.Table
    jobs: sa.Table
    fields: sa.Table
    keys: sa.Table


@cache
def define_tables() -> Tables:
    """Define the tables."""
    import sqlalchemy as sa

    metadata = sa.MetaData()
    about = sa.Table(
        "lociscope_service", metadata, sa.Column("key", sa.String(32), primary_key=True), sa.Column("value", sa.Text)
    )
    jobs = sa.Table(
        "lociscope_jobs",
        metadata,
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("owner", sa.String(64), nullable=False, index=True),
        sa.Column("state", sa.String(16), nullable=False, index=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("expires", sa.Double, nullable=False, index=True),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("rules", sa.Text, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
    )
    fields = sa.Table(
        "lociscope_job_fields",
        metadata,
        sa.Column("job", sa.String(32), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("plate", sa.Text, nullable=False),
        sa.Column("well", sa.Text, nullable=False),
        sa.Column("site", sa.Text, nullable=False),
        sa.Column("worker", sa.String(64), nullable=False),
        sa.Column("lease", sa.Double, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("predicted", sa.Text),
        sa.Column("status", sa.Text),
        sa.Column("warnings", sa.Text),
        sa.Column("probability", sa.LargeBinary),
        sa.Column("embedding", sa.LargeBinary),
        sa.Column("bundle", sa.String(64)),
        sa.Column("model", sa.Text),
        sa.Column("width", sa.Integer),
        sa.Column("height", sa.Integer),
        sa.Column("pixel_size", sa.Double),
        sa.Column("code", sa.String(32)),
        sa.Column("reason", sa.Text),
        sa.Index("lociscope_job_fields_todo", "state", "number"),
    )
    keys = sa.Table(
        "lociscope_keys",
        metadata,
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("revoked", sa.Double),
    )
    return Tables(about, jobs, fields, keys)


class ServiceDatabase:
    """An open database; may be used from several threads, and by several processes at once.

    Args:
        database: The connections, with a limit on every wait.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.name = database.name
        self.is_sqlite = database.engine.dialect.name == "sqlite"

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Begin a transaction that reads.

        Raises:
            LogError: The database cannot be read; `LogUnavailableError` where a retry may succeed.
        """
        with self._transaction("read", immediate=False) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Begin a transaction that writes, and commit it unless the block raises.

        Raises:
            LogError: The database cannot be written; `LogUnavailableError` where a retry may succeed.
        """
        with self._transaction("written", immediate=True) as connection:
            yield connection

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    @contextmanager
    def _transaction(self, action: str, *, immediate: bool) -> Iterator[sa.Connection]:
        with self._database.limit_wait(action, STATEMENT_SECONDS), self._database.engine.connect() as connection:
            connection = connection.execution_options(**{_IMMEDIATE: immediate})
            with connection.begin():
                if not self.is_sqlite:
                    connection.exec_driver_sql(f"SET LOCAL statement_timeout = {1000 * STATEMENT_SECONDS}")
                yield connection


def open_database(url: str, *, create: bool = True) -> ServiceDatabase:
    """Open the database of the service, and create it if needed.

    Args:
        url: An SQLAlchemy URL, such as `postgresql+psycopg://user@host/name`; a bare path is an SQLite file.
        create: Whether to create a missing file and missing tables.

    Raises:
        LogError: The URL is wrong, its driver is not installed, the database cannot be reached, is damaged or is of a
            newer schema; or it does not exist and may not be created.
        MissingExtraError: SQLAlchemy is not installed.
    """
    if create and "://" not in url:
        Path(url).expanduser().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = Database(url, create, "Service database")
    try:
        about, *others = define_tables()
        refusal = "is not the database of a service. Name the one passed as `database`."
        prepare_marked(database, MarkedTables(about, tuple(others), SCHEMA, "Service database", refusal), create)
        if database.engine.dialect.name == "sqlite":
            database.engine.dispose()  # its connection does not have the settings yet
            _take_locks_early(database.engine)
    except LociscopeError:
        database.close()
        raise
    return ServiceDatabase(database)


def _take_locks_early(engine: sa.Engine) -> None:
    """Let a writing transaction take SQLite's lock when it begins.

    Two transactions that read first and write then would exclude each other, and one of them would fail at once. A
    commit reaches the disk before it is acknowledged, because a job is acknowledged with it.
    """
    import sqlalchemy as sa

    def prepare(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # sqlite3 begins no transactions itself
        connection.execute("PRAGMA synchronous=FULL")

    def begin(connection: sa.Connection) -> None:
        immediate = connection.get_execution_options().get(_IMMEDIATE, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    sa.event.listen(engine, "connect", prepare)
    sa.event.listen(engine, "begin", begin)
