"""Tables in a database that others may use, too: one of them marks what they are, and of which schema."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from lociscope.errors import LociscopeError
from lociscope.prediction_log.database import OPEN_SECONDS
from lociscope.prediction_log.log_errors import LogError
from lociscope.storage.schema import check_schema

if TYPE_CHECKING:
    import sqlalchemy as sa

    from lociscope.prediction_log.database import Database


class MarkedTables(NamedTuple):
    """Tables, and how they are recognised.

    Attributes:
        about: The table that marks them, with the columns `key` and `value`.
        tables: The others.
        schema: The version of their schema.
        what: What they are, in an error: `Log`, `Review`.
        refusal: What to say of another database, after its name.
    """

    about: sa.Table
    tables: tuple[sa.Table, ...]
    schema: int
    what: str
    refusal: str


def prepare_marked(database: Database, marked: MarkedTables, create: bool) -> None:
    """Create missing tables, and check that they are of a known schema.

    Args:
        database: The database.
        marked: The tables.
        create: Whether to create missing tables.

    Raises:
        LogError: The database cannot be reached, is damaged, holds something else, or is of a newer schema.
    """
    with database.limit_wait("opened", OPEN_SECONDS):
        _prepare(database.engine, database.name, marked, create)


def _prepare(engine: sa.Engine, name: str, marked: MarkedTables, create: bool) -> None:
    import sqlalchemy as sa

    names = sa.inspect(engine).get_table_names()
    others = names and engine.dialect.name == "sqlite"  # a server's database may serve several programs
    if marked.about.name not in names and (others or not create):
        raise LogError(f"'{name}' {marked.refusal}")
    found = _read_schema(engine, marked.about) if marked.about.name in names else None
    if found is None and create:  # new, or created by a process that is not done, or was killed
        _create(engine, marked)
        found = _read_schema(engine, marked.about)
    try:
        check_schema(found, marked.schema, f"{marked.what} '{name}'")
    except LociscopeError as error:
        raise LogError(str(error)) from None


def _create(engine: sa.Engine, marked: MarkedTables) -> None:
    import sqlalchemy as sa
    from sqlalchemy.schema import CreateIndex, CreateTable

    every = (marked.about, *marked.tables)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if engine.dialect.name == "sqlite":  # readers do not wait for a writer, nor a writer for readers
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        statements: tuple[sa.Executable, ...] = (
            *(CreateTable(table, if_not_exists=True) for table in every),
            *(CreateIndex(index, if_not_exists=True) for table in every for index in table.indexes),
        )
        for statement in statements:
            try:
                connection.execute(statement)
            except (sa.exc.IntegrityError, sa.exc.ProgrammingError):  # another process created it at the same moment
                connection.execute(statement)
        with suppress(sa.exc.IntegrityError):  # another process was faster
            connection.execute(marked.about.insert(), {"key": "schema", "value": str(marked.schema)})


def _read_schema(engine: sa.Engine, about: sa.Table) -> str | None:
    with engine.connect() as connection:
        found = connection.execute(about.select().where(about.c.key == "schema")).first()
    return None if found is None else str(found.value)
