"""The tables of the prediction log."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from lociscope.errors import LociscopeError
from lociscope.prediction_log.database import OPEN_SECONDS, LogError
from lociscope.storage.schema import check_schema

if TYPE_CHECKING:
    import sqlalchemy as sa

    from lociscope.prediction_log.database import Database

SCHEMA = 1


def define_tables() -> tuple[sa.Table, sa.Table]:
    """What says that a database is a log, and its rows."""
    import sqlalchemy as sa

    every = sa.MetaData()
    about = sa.Table(
        "lociscope_log", every, sa.Column("key", sa.String(32), primary_key=True), sa.Column("value", sa.Text)
    )
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    rows = sa.Table(
        "lociscope_predictions",
        every,
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
    """Makes the tables where there are none, and checks that they are a log's that can be read.

    Args:
        database: Where they are.
        create: Whether to make them.

    Raises:
        LogError: The database cannot be reached, is damaged, or holds something else or a log of a newer schema.
    """
    with database.bounded("opened", OPEN_SECONDS):
        _prepare(database.engine, database.name, create)


def _prepare(engine: sa.Engine, name: str, create: bool) -> None:
    import sqlalchemy as sa

    about, _ = define_tables()
    names = sa.inspect(engine).get_table_names()
    others = names and engine.dialect.name == "sqlite"  # a server's database may serve several programs
    if about.name not in names and (others or not create):
        raise LogError(
            f"'{name}' is no prediction log. Name what --log or LOCISCOPE_LOG named when it was written, or "
            "another path to begin one."
        )
    found = _schema(engine) if about.name in names else None
    if found is None and create:  # new, or begun by a process that is not done, or was killed
        _make(engine)
        found = _schema(engine)
    try:
        check_schema(found, SCHEMA, f"Log '{name}'")
    except LociscopeError as error:
        raise LogError(str(error)) from None


def _make(engine: sa.Engine) -> None:
    import sqlalchemy as sa
    from sqlalchemy.schema import CreateIndex, CreateTable

    about, rows = define_tables()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if engine.dialect.name == "sqlite":  # readers and a writer do not wait for each other
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        statements: tuple[sa.Executable, ...] = (
            *(CreateTable(table, if_not_exists=True) for table in (about, rows)),
            *(CreateIndex(index, if_not_exists=True) for index in rows.indexes),
        )
        for statement in statements:
            try:
                connection.execute(statement)
            except (sa.exc.IntegrityError, sa.exc.ProgrammingError):  # another process made it at the same moment
                connection.execute(statement)
        with suppress(sa.exc.IntegrityError):  # another process was faster
            connection.execute(about.insert(), {"key": "schema", "value": str(SCHEMA)})


def _schema(engine: sa.Engine) -> str | None:
    about, _ = define_tables()
    with engine.connect() as connection:
        found = connection.execute(about.select().where(about.c.key == "schema")).first()
    return None if found is None else str(found.value)
