"""The database of the prediction log: its engine and tables, and one sentence for whatever it complains of."""

from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lociscope.errors import LociscopeError, MissingExtraError
from lociscope.storage import check_schema

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    import sqlalchemy as sa

SCHEMA = 1

WAIT_SECONDS = 30
"""How long a writer waits for another; `?timeout=` in an SQLite URL says otherwise."""


class LogError(LociscopeError):
    """The log cannot be opened, read or written; the predictions themselves are not touched by that."""


def engine_of(url: str, create: bool) -> "sa.Engine":
    """Makes the engine of a URL; nothing is opened yet.

    Args:
        url: An SQLAlchemy URL; a bare path is an SQLite file.
        create: Whether an SQLite file that is not there may be made.

    Raises:
        LogError: The URL cannot be, its driver is not installed, or the file is not there and may not be made.
        MissingExtraError: SQLAlchemy is not installed.
    """
    try:
        import sqlalchemy as sa
    except ImportError as error:
        raise MissingExtraError("The prediction log", "monitor") from error
    try:
        made = sa.make_url(url) if "://" in url else sa.URL.create("sqlite", database=str(Path(url).expanduser()))
        sqlite = made.get_backend_name() == "sqlite"
        if sqlite and not create and not Path(made.database or "").is_file():
            raise LogError(f"There is no log '{made.database}'. Name the one that `--log` or LOCISCOPE_LOG named.")
        wait = {"timeout": WAIT_SECONDS} if sqlite and "timeout" not in made.query else {}
        engine = sa.create_engine(made, connect_args=wait)
    except (ModuleNotFoundError, sa.exc.NoSuchModuleError) as error:
        raise LogError(
            f"The log's URL begins with '{url.partition('://')[0]}', whose driver is not installed ({error}). "
            "Install it: pip install 'psycopg[binary]' for postgresql+psycopg://."
        ) from error
    except (sa.exc.ArgumentError, ValueError) as error:  # the URL may hold a password, so it is not repeated
        raise LogError(
            "The log's URL cannot be read. Expected a path, sqlite:///PATH or postgresql+psycopg://USER@HOST/NAME."
        ) from error
    if sqlite:
        sa.event.listen(engine, "connect", _in_haste)
    return engine


def name_of(engine: "sa.Engine") -> str:
    """The log as a person calls it: the path of an SQLite file, else the URL without its password."""
    url = engine.url
    return (
        url.database or ":memory:" if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True)
    )


def tables() -> "tuple[sa.Table, sa.Table]":
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


def prepare(engine: "sa.Engine", create: bool) -> None:
    """Makes the tables where there are none, and checks that they are a log's that can be read.

    Args:
        engine: Where they are.
        create: Whether to make them.

    Raises:
        LogError: The database holds something else, or a log of a newer schema.
        sqlalchemy.exc.SQLAlchemyError: It cannot be reached, or is damaged.
    """
    import sqlalchemy as sa

    about, _ = tables()
    names = sa.inspect(engine).get_table_names()
    others = names and engine.dialect.name == "sqlite"  # a server's database may serve several programs
    if about.name not in names and (others or not create):
        raise LogError(
            f"'{name_of(engine)}' is no prediction log. Name what --log or LOCISCOPE_LOG named when it was written, or "
            "another path to begin one."
        )
    found = _schema(engine) if about.name in names else None
    if found is None and create:  # new, or begun by a process that is not done, or was killed
        _make(engine)
        found = _schema(engine)
    try:
        check_schema(found, SCHEMA, f"Log '{name_of(engine)}'")
    except LociscopeError as error:
        raise LogError(str(error)) from None


def _make(engine: "sa.Engine") -> None:
    import sqlalchemy as sa
    from sqlalchemy.schema import CreateIndex, CreateTable

    about, rows = tables()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if engine.dialect.name == "sqlite":  # readers and a writer do not wait for each other
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        for table in (about, rows):
            connection.execute(CreateTable(table, if_not_exists=True))
            for index in table.indexes:
                connection.execute(CreateIndex(index, if_not_exists=True))
        with suppress(sa.exc.IntegrityError):  # another process was faster
            connection.execute(about.insert(), {"key": "schema", "value": str(SCHEMA)})


def _schema(engine: "sa.Engine") -> str | None:
    about, _ = tables()
    with engine.connect() as connection:
        found = connection.execute(about.select().where(about.c.key == "schema")).first()
    return None if found is None else str(found.value)


@contextmanager
def told(name: str, done: str) -> "Iterator[None]":
    """Lets whatever the database complains of become one sentence.

    Args:
        name: The log, as `name_of` gives it.
        done: What cannot be: `opened`, `read`, `written`.

    Raises:
        LogError: The database complains.
    """
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise LogError(f"Log '{name}' cannot be {done} ({reason}). {_remedy(reason)}") from error
    except UnicodeDecodeError as error:  # SQLite quotes what is damaged in its complaint; found by fuzzing
        raise LogError(f"Log '{name}' cannot be {done} (malformed text). {_remedy('malformed')}") from error


def _remedy(reason: str) -> str:
    remedies = {
        "locked": "Another process holds it: end that, or try again.",
        "full": "Make space; the predictions themselves are not lost by it.",
        "not a database": "Name an SQLite file that lociscope wrote, or another path to begin one.",
        "malformed": "The file is damaged: restore it from a copy, or name another path to begin one.",
        "unable to open": "Check the path and its permissions.",
        "readonly": "Check its permissions.",
    }
    return next((remedy for word, remedy in remedies.items() if word in reason), "Check the URL, and that it is up.")


def _in_haste(connection: "sqlite3.Connection", _: object) -> None:
    """With write-ahead, a power cut costs at most the last rows, never the file."""
    connection.execute("PRAGMA synchronous=NORMAL")
