"""Bring the tables of an older release to the present schema, with Alembic's operations, in one transaction.

A change of tables is a new number of their schema and a step from the one before, in the `steps` of their
`MarkedTables`; `tests/prediction_log/schemas` holds each released schema, from which all steps are tested.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lociscope.errors import MissingExtraError
from lociscope.prediction_log.log_errors import LogError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy as sa

    from lociscope.prediction_log.marked_tables import MarkedTables

logger = logging.getLogger(__name__)


def migrate(engine: sa.Engine, name: str, marked: MarkedTables) -> None:
    """Run the missing steps, unless another process runs them at the same moment.

    If a step fails or the process is killed, the tables are as before.

    Args:
        engine: The engine of the database.
        name: Its name, for messages.
        marked: The tables, their present schema and the steps to it.

    Raises:
        LogError: A step is missing.
        MissingExtraError: Alembic is not installed.
    """
    try:
        from alembic.migration import MigrationContext
        from alembic.operations import Operations
    except ImportError:
        raise MissingExtraError(f"The change of '{name}' to schema {marked.schema}", "monitor") from None
    about = marked.about
    schema = about.c.key == "schema"
    with _exclusive(engine) as connection:
        found = connection.execute(about.select().where(schema).with_for_update()).first()
        before = marked.schema if found is None else int(found.value)
        for number in range(before, marked.schema):
            if number not in marked.steps:
                raise LogError(
                    f"{marked.what} '{name}' has schema {number}, which this lociscope cannot change to {number + 1}. "
                    "Open it with the release before."
                )
            marked.steps[number](Operations(MigrationContext.configure(connection)))
        if before < marked.schema:
            connection.execute(about.update().where(schema).values(value=str(marked.schema)))
            logger.warning("%s '%s' was changed from schema %d to %d", marked.what, name, before, marked.schema)


@contextmanager
def _exclusive(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Begin a transaction that no other writer shares: in SQLite with its lock, elsewhere with that of the row."""
    if engine.dialect.name != "sqlite":
        with engine.begin() as connection:
            yield connection
        return
    # The driver begins no transaction before a change of tables, so it is begun and ended here.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.exec_driver_sql("ROLLBACK")
            raise
        connection.exec_driver_sql("COMMIT")
