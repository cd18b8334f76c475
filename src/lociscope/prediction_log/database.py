"""The database of the prediction log: connections and transactions with a limit on every wait."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import SHUT_RDWR, socket
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakSet

from lociscope.prediction_log.engine import (
    create_engine,
    create_immutable_engine,
    get_display_name,
    is_writable,
    list_journals,
)
from lociscope.prediction_log.log_errors import LogError, LogUnavailableError, convert_errors, find_remedy

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy as sa

OPEN_SECONDS, WRITE_SECONDS, READ_SECONDS = 5, 5, 300
"""Limits for one statement of a server; `GRACE_SECONDS` later a connection that does not answer is closed."""

GRACE_SECONDS = 3


class Database:
    """A log's database; every wait for it is limited.

    Args:
        url: An SQLAlchemy URL; a bare path is an SQLite file.
        create: Whether an SQLite file and missing tables may be created.
        noun: What error messages call it.

    Attributes:
        engine: The engine of SQLAlchemy.
        name: The path of an SQLite file, else the URL without its password.

    Raises:
        LogError: The URL is wrong, its driver is not installed, or the file does not exist and may not be created.
        MissingExtraError: SQLAlchemy is not installed.
    """

    def __init__(self, url: str, create: bool, noun: str = "Log") -> None:
        self._noun = noun
        self._use(create_engine(url, create))
        self.name = get_display_name(self.engine)
        if create or self.engine.dialect.name != "sqlite":
            return
        if not any(file.exists() for file in list_journals(Path(self.engine.url.database or "").absolute())):
            self.reopen_immutable()  # now: SQLite would create files that lock out those who may write the log

    def _use(self, engine: sa.Engine) -> None:
        import sqlalchemy as sa

        self.engine = engine
        self._connections: WeakSet[Any] = WeakSet()
        self._connections_lock = threading.Lock()
        # Before SQLAlchemy's own listeners, so that its first queries to a server are limited too.
        sa.event.listen(engine, "connect", lambda connection, _: self._register(connection), insert=True)

    def _register(self, connection: Any) -> None:  # noqa: ANN401 - each driver has its own
        if hasattr(connection, "fileno"):
            with self._connections_lock:
                self._connections.add(connection)

    def reopen_immutable(self) -> bool:
        """Reopen an SQLite file as immutable where the file, or its folder, may not be written.

        In write-ahead mode SQLite needs files beside the log even to read it.

        Returns:
            Whether the log is such a file.

        Raises:
            LogError: Its last rows are in a file beside it, without which it cannot be read correctly.
        """
        path = Path(self.engine.url.database or "").absolute()
        if self.engine.dialect.name != "sqlite" or not os.access(path, os.R_OK) or is_writable(path):
            return False
        journal = next((file for file in list_journals(path) if file.exists() and file.stat().st_size), None)
        if journal is not None:
            raise LogError(
                f"Log '{path}' cannot be read there: its last rows are in '{journal.name}', and neither may be "
                "written. Copy both files to a folder that you may write to, and name the copy."
            )
        self.close()
        self._use(create_immutable_engine(self.engine.url, path))
        return True

    def close(self) -> None:
        """Close the idle connections."""
        self.engine.dispose()

    @contextmanager
    def transaction(self, action: str, seconds: int) -> Iterator[sa.Connection]:
        """Begin a transaction, and commit it unless the block raises.

        Args:
            action: What fails in the message of an error: `read`, `written`.
            seconds: Limit for each statement, and for the whole, on a server.

        Raises:
            LogError: The database raised an exception; `LogUnavailableError` where a retry may succeed.
        """
        with self.limit_wait(action, seconds), self.engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql(f"SET LOCAL statement_timeout = {1000 * seconds}")
            yield connection

    def disconnect(self) -> None:
        """Close all connections to a server, so that pending calls fail; an SQLite file is not affected."""
        with self._connections_lock:
            connections = list(self._connections)
        for connection in connections:
            with suppress(Exception):  # it is closed already
                raw = socket(fileno=connection.fileno())
                try:
                    raw.shutdown(SHUT_RDWR)
                finally:
                    raw.detach()

    @contextmanager
    def limit_wait(self, action: str, seconds: int) -> Iterator[None]:
        """Limit how long the block waits for a server, and convert exceptions of the database.

        Args:
            action: What fails in the message of an error: `opened`, `read`, `written`.
            seconds: Limit for the whole block.

        Raises:
            LogError: The database raised an exception; `LogUnavailableError` where a retry may succeed.
        """
        timed_out, finished = threading.Event(), threading.Event()

        def watch() -> None:
            while not finished.wait(seconds + GRACE_SECONDS):
                timed_out.set()
                self.disconnect()

        if self.engine.dialect.name != "sqlite":
            threading.Thread(target=watch, name="lociscope-log-watch", daemon=True).start()
        try:
            with convert_errors(self.name, action, self._noun):
                yield
        except LogError as error:
            if not timed_out.is_set():
                raise
            raise LogUnavailableError(
                f"{self._noun} '{self.name}' cannot be {action} (no answer within {seconds + GRACE_SECONDS} s). "
                f"{find_remedy('')}"
            ) from error
        finally:
            finished.set()


class Store:
    """What keeps its rows in a database, which is closed at the end of a `with`.

    Args:
        database: Its database.

    Attributes:
        name: The path of the database, or its URL without the password.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.name = database.name

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def overwrite_deleted(connection: sa.Connection) -> None:
    """Let SQLite overwrite what is deleted in this transaction."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete=ON")
