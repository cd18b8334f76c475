"""Databases of every released schema are opened, and changed to the present one; a step that fails changes nothing."""

from __future__ import annotations

import logging
import sqlite3
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from lociscope.errors import MissingExtraError
from lociscope.prediction_log import tables as log_tables
from lociscope.prediction_log.database import Database
from lociscope.prediction_log.log import open_log
from lociscope.prediction_log.log_errors import LogError
from lociscope.prediction_log.marked_tables import MarkedTables, prepare_marked
from lociscope.review import tables as review_tables
from lociscope.review.store import open_review
from lociscope.service.jobs import database as service_tables
from lociscope.service.jobs.database import open_database
from lociscope.service.keys import KeyStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from fixtures.postgres import Postgres

SCHEMAS = Path(__file__).parent / "schemas"
MODULES: dict[str, Any] = {"log": log_tables, "review": review_tables, "service": service_tables}


def open_and_close(kind: str, url: str) -> None:
    openers: dict[str, Callable[..., Any]] = {"log": open_log, "review": open_review, "service": open_database}
    with closing(openers[kind](url, create=True)):
        pass


def differences(kind: str, url: str) -> list[Any]:
    """What Alembic would change of a database, so that it has the tables of this release."""
    tables = MODULES[kind].define_tables()
    names = {table.name for table in tables}
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        options = {"include_name": lambda name, kind, _: kind != "table" or name in names, "compare_type": True}
        found = compare_metadata(MigrationContext.configure(connection, opts=options), tables[0].metadata)
    engine.dispose()
    return list(found)


def load(path: Path, kind: str, schema: int) -> str:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((SCHEMAS / f"{kind}-{schema}.sqlite.sql").read_text("utf-8"))
    return f"sqlite:///{path}"


RELEASED = [(kind, number) for kind, module in MODULES.items() for number in range(1, module.SCHEMA + 1)]


def test_each_released_schema_is_kept() -> None:
    """A change of tables needs a new number, a step from the one before, and its files here."""
    kept = {f"{kind}-{number}.{engine}.sql" for kind, number in RELEASED for engine in ("sqlite", "postgresql")}
    assert {path.name for path in SCHEMAS.iterdir()} == kept


@pytest.mark.parametrize(("kind", "schema"), RELEASED)
def test_a_released_schema_becomes_the_present_one(kind: str, schema: int, tmp_path: Path) -> None:
    url = load(tmp_path / "old.db", kind, schema)
    open_and_close(kind, url)
    assert differences(kind, url) == []


@pytest.mark.parametrize(("kind", "schema"), RELEASED)
def test_so_it_does_on_postgresql(kind: str, schema: int, postgres: Postgres) -> None:
    url = postgres.new_database()
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql((SCHEMAS / f"{kind}-{schema}.postgresql.sql").read_text("utf-8"))
    engine.dispose()
    open_and_close(kind, url)
    assert differences(kind, url) == []


def test_the_rows_of_the_first_schemas_are_read(tmp_path: Path) -> None:
    with open_log(load(tmp_path / "log.db", "log", 1), create=False) as log:
        window = log.read()
        assert (window.predictions.ids, window.predictions.predicted) == (["f0", "f1"], [(0, 25), ()])
        np.testing.assert_array_equal(window.statistics[0], np.arange(window.statistics.shape[1]))
    with open_review(load(tmp_path / "review.db", "review", 1)) as store:
        assert [(each.reviewer, each.labels, each.note) for each in store.answers()] == [("ann", (0, 7), "clear")]
        assert store.items()[0].source.pixel_size == 0.32
    with closing(open_database(load(tmp_path / "service.db", "service", 1))) as database:
        assert [each.name for each in KeyStore(database).list()] == ["robot"]


class Things(NamedTuple):
    """A database of schema 1 of some tables, and the same tables in schema 2, with the step to it."""

    first: MarkedTables
    second: MarkedTables


def define_things(number: int) -> tuple[sa.Table, sa.Table]:
    metadata = sa.MetaData()
    about = sa.Table("about", metadata, sa.Column("key", sa.String(32), primary_key=True), sa.Column("value", sa.Text))
    more = [sa.Column("weight", sa.Integer, nullable=False, server_default="7", index=True)] if number > 1 else []
    return about, sa.Table("things", metadata, sa.Column("name", sa.String(32), primary_key=True), *more)


def make_things(steps: dict[int, Any] | None = None) -> Things:
    def step(operations: Any) -> None:
        column = sa.Column("weight", sa.Integer, nullable=False, server_default="7")
        with operations.batch_alter_table("things") as batch:  # SQLite copies the table
            batch.add_column(column)
            batch.create_index("ix_things_weight", ["weight"])

    (about, things), (_, more) = define_things(1), define_things(2)
    first = MarkedTables(about, (things,), 1, "Thing", "is something else.")
    return Things(first, first._replace(tables=(more,), schema=2, steps={1: step} if steps is None else steps))


def prepare(url: str, marked: MarkedTables, create: bool = True) -> None:
    with closing(Database(url, create)) as database:
        prepare_marked(database, marked, create)


def read_things(url: str) -> tuple[list[Any], str]:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        rows = [tuple(row) for row in connection.exec_driver_sql("SELECT * FROM things ORDER BY name")]
        schema = connection.exec_driver_sql("SELECT value FROM about WHERE key = 'schema'").scalar_one()
    engine.dispose()
    return rows, schema


def fill(url: str, things: Things) -> None:
    prepare(url, things.first)
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO things (name) VALUES ('a'), ('b')")
    engine.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new database, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'things.db'}"
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database()


def test_a_step_keeps_the_rows_and_runs_once(url: str, caplog: pytest.LogCaptureFixture) -> None:
    things = make_things()
    fill(url, things)
    with pytest.raises(LogError, match="has schema 1, older than 2"):
        prepare(url, things.second, create=False)
    with caplog.at_level(logging.WARNING, "lociscope"):
        prepare(url, things.second)
        prepare(url, things.second)
    assert read_things(url) == ([("a", 7), ("b", 7)], "2")
    assert len(caplog.records) == 1
    with pytest.raises(LogError, match="newer than 1"):
        prepare(url, things.first)


def test_processes_at_once_run_it_once(url: str) -> None:
    ran, things = [], make_things()
    step = things.second.steps[1]

    def counted(operations: Any) -> None:
        ran.append(1)
        step(operations)

    fill(url, things)
    marked, errors = things.second._replace(steps={1: counted}), []

    def open_it() -> None:
        try:
            prepare(url, marked)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert (errors, ran, read_things(url)) == ([], [1], ([("a", 7), ("b", 7)], "2"))


def test_a_step_that_fails_changes_nothing(url: str) -> None:
    things = make_things()
    step = things.second.steps[1]

    def fail(operations: Any) -> None:
        step(operations)
        raise LogError("the disk is full")

    fill(url, things)
    with pytest.raises(LogError, match="the disk is full"):
        prepare(url, things.second._replace(steps={1: fail}))
    assert read_things(url) == ([("a",), ("b",)], "1")
    with pytest.raises(LogError, match="cannot change to 2"):
        prepare(url, make_things({}).second)
    prepare(url, things.second)
    assert read_things(url)[1] == "2"


def test_alembic_is_needed_only_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, things = f"sqlite:///{tmp_path / 'things.db'}", make_things()
    fill(url, things)
    for name in [each for each in sys.modules if each.partition(".")[0] == "alembic"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "alembic.migration", None)
    prepare(url, things.first)
    with pytest.raises(MissingExtraError):
        prepare(url, things.second)
