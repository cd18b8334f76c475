"""The tables of the prediction log."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from lociscope.errors import LociscopeError
from lociscope.prediction_log.database import OPEN_SECONDS
from lociscope.prediction_log.log_errors import LogError
from lociscope.storage.schema import check_schema

if TYPE_CHECKING:
    import sqlalchemy as sa

    from lociscope.prediction_log.database import Database

SCHEMA = 1


def define_tables() -> tuple[sa.Table, sa.Table]:
    """Define the table that marks a database as a log, and the table of predictions."""
    import sqlalchemy as sa

    metadata = sa.MetaData()
    about = sa.Table(
        "lociscope_log", metadata, sa.Column("key", sa.String(32), primary_key=True), sa.Column("value", sa.Text)
    )
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    rows = sa.Table(
        "lociscope_predictions",
        metadata,
        sa.Column("seq", number, primary_key=True, autoincrement=True),
        sa.Column("time", sa.String(32), nullable=False, index=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("command", "bundle", "id", "predicted", "status")),
        sa.Column("warnings", sa.Text, nullable=False),
        sa.Column("probability", sa.LargeBinary, nullable=False),
        sa.Column("statistics", sa.LargeBinary, nullable=False),
        sa.Column("embedding", sa.LargeBinary),
    )
    return about, rows


def prepare_tables(database: Database, create: bool) -> None:
    """Create missing tables, and check that they are those of a log of a known schema.

    Args:
        database: The database.
        create: Whether to create missing tables.

    Raises:
        LogError: The database cannot be reached, is damaged, or holds something else or a log of a newer schema.
    """
    with database.limit_wait("opened", OPEN_SECONDS):
        _prepare(database.engine, database.name, create)


def _prepare(engine: sa.Engine, name: str, create: bool) -> None:
    import sqlalchemy as sa

    about, _ = define_tables()
    names = sa.inspect(engine).get_table_names()
    others = names and engine.dialect.name == "sqlite"  # a server's database may serve several programs
    if about.name not in names and (others or not create):
        raise LogError(
            f"'{name}' is not a prediction log. Name the one passed as `log` or in LOCISCOPE_LOG when it was "
            "written, or a new path to create a log."
        )
    found = _read_schema(engine) if about.name in names else None
    if found is None and create:  # new, or created by a process that is not done, or was killed
        _create(engine)
        found = _read_schema(engine)
    try:
        check_schema(found, SCHEMA, f"Log '{name}'")
    except LociscopeError as error:
        raise LogError(str(error)) from None


def _create(engine: sa.Engine) -> None:
    import sqlalchemy as sa
    from sqlalchemy.schema import CreateIndex, CreateTable

    about, rows = define_tables()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if engine.dialect.name == "sqlite":  # readers do not wait for a writer, nor a writer for readers
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        statements: tuple[sa.Executable, ...] = (
            *(CreateTable(table, if_not_exists=True) for table in (about, rows)),
            *(CreateIndex(index, if_not_exists=True) for index in rows.indexes),
        )
        for statement in statements:
            try:
                connection.execute(statement)
            except (sa.exc.IntegrityError, sa.exc.ProgrammingError):  # another process created it at the same moment
                connection.execute(statement)
        with suppress(sa.exc.IntegrityError):  # another process was faster
            connection.execute(about.insert(), {"key": "schema", "value": str(SCHEMA)})


def _read_schema(engine: sa.Engine) -> str | None:
    about, _ = define_tables()
    with engine.connect() as connection:
        found = connection.execute(about.select().where(about.c.key == "schema")).first()
    return None if found is None else str(found.value)
