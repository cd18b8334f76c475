"""Tables in a database that others may use, too: one of them marks what they are, and of which schema."""

from __future__ import annotations

from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from lociscope.errors import LociscopeError
from lociscope.prediction_log.database import OPEN_SECONDS
from lociscope.prediction_log.log_errors import LogError
from lociscope.prediction_log.migrations import migrate
from lociscope.storage.schema import check_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import sqlalchemy as sa
    from alembic.operations import Operations

    from lociscope.prediction_log.database import Database


MIGRATION_SECONDS = 3600
"""Limit for the change of tables to another schema."""


class MarkedTables(NamedTuple):
    """Tables, and how they are recognised.

    Attributes:
        about: The table that marks them, with the columns `key` and `value`.
        tables: The others.
        schema: The version of their schema.
        what: What they are, in an error: `Log`, `Review`.
        refusal: What to say of another database, after its name.
        steps: The change from each older schema to the next one, by the older number.
    """

    about: sa.Table
    tables: tuple[sa.Table, ...]
    schema: int
    what: str
    refusal: str
    steps: Mapping[int, Callable[[Operations], None]] = MappingProxyType({})


def prepare_marked(database: Database, marked: MarkedTables, create: bool) -> None:
    """Create missing tables, change those of an older schema, and check that they are of a known one.

    Args:
        database: The database.
        marked: The tables.
        create: Whether to create missing tables, and to change those of an older schema.

    Raises:
        LogError: The database cannot be reached, is damaged, holds something else, is of a newer schema, or of an older
            one and may not be changed.
    """
    with database.limit_wait("opened", OPEN_SECONDS):
        is_older = _prepare(database.engine, database.name, marked, create)
    if is_older:
        with database.limit_wait("changed", MIGRATION_SECONDS):
            migrate(database.engine, database.name, marked)


def _prepare(engine: sa.Engine, name: str, marked: MarkedTables, create: bool) -> bool:
    """Create missing tables; return whether they are of an older schema, and may be changed."""
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
    is_older = int(found or 0) < marked.schema
    if is_older and not create:
        raise LogError(
            f"{marked.what} '{name}' has schema {found}, older than {marked.schema}. A command that writes to it "
            "changes it: run one."
        )
    return is_older


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
