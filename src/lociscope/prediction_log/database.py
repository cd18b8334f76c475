"""The database of the prediction log: its engine, the bounds on every wait for it, and what it complains of."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import SHUT_RDWR, socket
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from weakref import WeakSet

from lociscope.errors import Code, LociscopeError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy as sa

WAIT_SECONDS = 30
"""How long a writer waits for another; `?timeout=` in an SQLite URL says otherwise."""

OPEN_SECONDS, WRITE_SECONDS, READ_SECONDS = 5, 5, 300
"""How long a server may take for one statement; it is cut off `GRACE_SECONDS` later if it does not answer at all."""

GRACE_SECONDS = 3

_LIBPQ = {
    "connect_timeout": OPEN_SECONDS,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
"""Parameters of psycopg's connections, where the URL does not state them."""

_PASSING_SQLITE = {
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN,
}  # fmt: skip
_LASTING_STATES = ("22", "23", "42")
"""Classes of SQLSTATE that the same rows meet again: data, constraints, syntax and access rights."""


class LogError(LociscopeError):
    """The log cannot be opened, read or written; the predictions themselves are not touched by that."""

    code = Code.LOG


class LogUnavailableError(LogError):
    """The log cannot be used now and may be back: it is locked, full, restarting, silent or out of reach."""


class Database:
    """Opens a log's database; every wait for it is bounded.

    Args:
        url: An SQLAlchemy URL; a bare path is an SQLite file.
        create: Whether an SQLite file and the tables that are not there may be made.

    Attributes:
        engine: Of SQLAlchemy.
        name: The path of an SQLite file, else the URL without its password.

    Raises:
        LogError: The URL cannot be, its driver is not installed, or the file is not there and may not be made.
        MissingExtraError: SQLAlchemy is not installed.
    """

    def __init__(self, url: str, create: bool) -> None:
        self._use(create_engine(url, create))
        self.name = get_display_name(self.engine)
        if create or self.engine.dialect.name != "sqlite":
            return
        if not any(file.exists() for file in _beside(Path(self.engine.url.database or "").absolute())):
            self.reopen_immutable()  # at once: SQLite would make files that keep those out who may write the log

    def _use(self, engine: sa.Engine) -> None:
        import sqlalchemy as sa

        self.engine = engine
        self._open: WeakSet[Any] = WeakSet()
        self._noting = threading.Lock()
        # Before SQLAlchemy's own listeners, so that its first questions to a server are bounded, too.
        sa.event.listen(engine, "connect", lambda connection, _: self._note(connection), insert=True)

    def _note(self, connection: Any) -> None:  # noqa: ANN401 - each driver has its own
        if hasattr(connection, "fileno"):
            with self._noting:
                self._open.add(connection)

    def reopen_immutable(self) -> bool:
        """Read an SQLite file as one that nobody changes, where it, or its folder, may not be written.

        In write-ahead mode SQLite needs files beside the log even to read it.

        Returns:
            Whether the log is such a file.

        Raises:
            LogError: Its last rows are in a file beside it, without which it cannot be read right.
        """
        path = Path(self.engine.url.database or "").absolute()
        if self.engine.dialect.name != "sqlite" or not os.access(path, os.R_OK) or may_write(path):
            return False
        beside = next((file for file in _beside(path) if file.exists() and file.stat().st_size), None)
        if beside is not None:
            raise LogError(
                f"Log '{path}' cannot be read there: its last rows are in '{beside.name}', and neither may be written. "
                "Copy both files to a folder that you may write to, and name the copy."
            )
        self.close()
        self._use(_unchanging(self.engine.url, path))
        return True

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self.engine.dispose()

    @contextmanager
    def transaction(self, done: str, seconds: int) -> Iterator[sa.Connection]:
        """Begins a transaction, and commits it where nothing is raised.

        Args:
            done: What cannot be done where it fails: `read`, `written`.
            seconds: How long each statement, and the whole, may take on a server.

        Raises:
            LogError: The database complains; `LogUnavailableError` where trying again may help.
        """
        with self.bounded(done, seconds), self.engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql(f"SET LOCAL statement_timeout = {1000 * seconds}")
            yield connection

    def disconnect(self) -> None:
        """Ends all waiting for a server: what waits fails. An SQLite file is not affected."""
        with self._noting:
            connections = list(self._open)
        for connection in connections:
            with suppress(Exception):  # closed already
                raw = socket(fileno=connection.fileno())
                try:
                    raw.shutdown(SHUT_RDWR)
                finally:
                    raw.detach()

    @contextmanager
    def bounded(self, done: str, seconds: int) -> Iterator[None]:
        """Limits how long the block waits for a server, and lets whatever the database complains of name the log.

        Args:
            done: What cannot be done where it fails: `opened`, `read`, `written`.
            seconds: How long the whole may take.

        Raises:
            LogError: The database complains; `LogUnavailableError` where trying again may help.
        """
        silent, done_waiting = threading.Event(), threading.Event()

        def watch() -> None:
            while not done_waiting.wait(seconds + GRACE_SECONDS):
                silent.set()
                self.disconnect()

        if self.engine.dialect.name != "sqlite":
            threading.Thread(target=watch, name="lociscope-log-watch", daemon=True).start()
        try:
            with convert_errors(self.name, done):
                yield
        except LogError as error:
            if not silent.is_set():
                raise
            raise LogUnavailableError(
                f"Log '{self.name}' cannot be {done} (no answer within {seconds + GRACE_SECONDS} s). {_remedy('')}"
            ) from error
        finally:
            done_waiting.set()


def create_engine(url: str, create: bool) -> sa.Engine:
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
        bounds: dict[str, int] = {"timeout": WAIT_SECONDS} if sqlite else {}
        if made.get_driver_name() in ("psycopg", "psycopg2"):
            bounds = _LIBPQ
        wait = {key: value for key, value in bounds.items() if key not in made.query}
        engine = sa.create_engine(made, connect_args=wait, pool_pre_ping=not sqlite)
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
        if made.database not in (None, "", ":memory:") and "uri" not in made.query:
            _watch_file(engine, Path(made.database))
    return engine


def _watch_file(engine: sa.Engine, path: Path) -> None:
    """Refuse a connection whose file was removed or replaced: SQLite writes on to what nobody can read."""
    import sqlalchemy as sa

    def identity() -> tuple[int, int]:
        found = path.stat() if path.exists() else None
        return (found.st_dev, found.st_ino) if found else (0, 0)

    def check(_: object, record: Any, __: object) -> None:  # noqa: ANN401 - SQLAlchemy's
        if record.info.setdefault("file", identity()) != identity():
            raise LogError(f"Log '{path}' was removed or replaced while it was open. Give the command again.")

    sa.event.listen(engine, "checkout", check)


def get_display_name(engine: sa.Engine) -> str:
    """The log as a person calls it: the path of an SQLite file, else the URL without its password."""
    url = engine.url
    return (
        url.database or ":memory:" if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True)
    )


@contextmanager
def convert_errors(name: str, done: str) -> Iterator[None]:
    """Lets whatever the database complains of become one sentence.

    Args:
        name: The log, as `get_display_name` gives it.
        done: What cannot be: `opened`, `read`, `written`.

    Raises:
        LogError: The database complains.
    """
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        kind = LogUnavailableError if _passes(error) else LogError
        raise kind(f"Log '{name}' cannot be {done} ({reason}). {_remedy(reason)}") from error
    except UnicodeDecodeError as error:  # SQLite quotes what is damaged in its complaint; found by fuzzing
        raise LogError(f"Log '{name}' cannot be {done} (malformed text). {_remedy('malformed')}") from error


def _passes(error: sa.exc.SQLAlchemyError) -> bool:
    """Whether the same may be possible in a moment."""
    import sqlalchemy as sa

    orig = getattr(error, "orig", None)
    code, state = getattr(orig, "sqlite_errorcode", None), getattr(orig, "sqlstate", None)
    if code is not None:
        return code & 0xFF in _PASSING_SQLITE
    if state:
        return not state.startswith(_LASTING_STATES)
    return isinstance(error, (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError))


def may_write(path: Path) -> bool:
    """Return whether an SQLite file, and what SQLite puts beside it, may be written."""
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def _beside(path: Path) -> list[Path]:
    """The files in which SQLite keeps what is not in the database yet, or must be taken back from it."""
    return [path.with_name(path.name + end) for end in ("-wal", "-journal")]


def _unchanging(url: sa.URL, path: Path) -> sa.Engine:
    import sqlalchemy as sa

    address = f"file:{quote(str(path))}?mode=ro&immutable=1"
    return sa.create_engine(url, creator=lambda: sqlite3.connect(address, uri=True, check_same_thread=False))


def _remedy(reason: str) -> str:
    remedies = {
        "locked": "Another process holds it: end that, or try again.",
        "full": "Make space; the predictions themselves are not lost by it.",
        "not a database": "Name an SQLite file that lociscope wrote, or another path to begin one.",
        "malformed": "The file is damaged: restore it from a copy, or name another path to begin one.",
        "unable to open": "Check the path and its permissions.",
        "readonly": "Check its permissions.",
        "permission denied": "Ask for the right: see 'Who may do what' in the page on monitoring.",
    }
    return next((remedy for word, remedy in remedies.items() if word in reason), "Check the URL, and that it is up.")


def _in_haste(connection: sqlite3.Connection, _: object) -> None:
    """With write-ahead, a power cut costs at most the last rows, never the file."""
    connection.execute("PRAGMA synchronous=NORMAL")
