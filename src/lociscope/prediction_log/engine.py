"""SQLAlchemy engines for the prediction log, with timeouts for every connection."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lociscope.errors import MissingExtraError
from lociscope.prediction_log.log_errors import LogError

if TYPE_CHECKING:
    import sqlalchemy as sa

WAIT_SECONDS = 30
"""How long a writer of an SQLite file waits for another; `?timeout=` in the URL overrides it."""

CONNECT_SECONDS = 5

_LIBPQ = {
    "connect_timeout": CONNECT_SECONDS,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
"""Parameters of psycopg's connections, unless the URL states them."""


def create_engine(url: str, create: bool) -> sa.Engine:
    """Create the engine of a URL; no connection is opened yet.

    Args:
        url: An SQLAlchemy URL; a bare path is an SQLite file.
        create: Whether an SQLite file that does not exist may be created.

    Raises:
        LogError: The URL is wrong, its driver is not installed, or the file does not exist and may not be created.
        MissingExtraError: SQLAlchemy is not installed.
    """
    try:
        import sqlalchemy as sa
    except ImportError as error:
        raise MissingExtraError("The prediction log", "monitor") from error
    try:
        parsed = sa.make_url(url) if "://" in url else sa.URL.create("sqlite", database=str(Path(url).expanduser()))
        sqlite = parsed.get_backend_name() == "sqlite"
        if sqlite and not create and not Path(parsed.database or "").is_file():
            raise LogError(f"There is no log '{parsed.database}'. Name the one passed as `log` or in LOCISCOPE_LOG.")
        timeouts: dict[str, int] = {"timeout": WAIT_SECONDS} if sqlite else {}
        if parsed.get_driver_name() in ("psycopg", "psycopg2"):
            timeouts = _LIBPQ
        arguments = {key: value for key, value in timeouts.items() if key not in parsed.query}
        engine = sa.create_engine(parsed, connect_args=arguments, pool_pre_ping=not sqlite)
    except (ModuleNotFoundError, sa.exc.NoSuchModuleError) as error:
        raise LogError(
            f"The log's URL begins with '{url.partition('://')[0]}', whose driver is not installed ({error}). "
            "Install it: pip install 'psycopg[binary]' for postgresql+psycopg://."
        ) from error
    except (sa.exc.ArgumentError, ValueError) as error:  # the URL may hold a password, so the message omits it
        raise LogError(
            "The log's URL cannot be read. Expected a path, sqlite:///PATH or postgresql+psycopg://USER@HOST/NAME."
        ) from error
    if sqlite:
        sa.event.listen(engine, "connect", _relax_synchronous)
        if parsed.database not in (None, "", ":memory:") and "uri" not in parsed.query:
            _watch_file(engine, Path(parsed.database))
    return engine


def create_immutable_engine(url: sa.URL, path: Path) -> sa.Engine:
    """Create an engine that reads an SQLite file without creating files beside it."""
    import sqlalchemy as sa

    address = f"file:{quote(str(path))}?mode=ro&immutable=1"
    return sa.create_engine(url, creator=lambda: sqlite3.connect(address, uri=True, check_same_thread=False))


def get_display_name(engine: sa.Engine) -> str:
    """Return the name of a log for messages: the path of an SQLite file, else the URL without its password."""
    url = engine.url
    return (
        url.database or ":memory:" if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True)
    )


def is_writable(path: Path) -> bool:
    """Return whether an SQLite file and the files that SQLite creates beside it may be written."""
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def list_journals(path: Path) -> list[Path]:
    """Return the paths of SQLite's write-ahead log and rollback journal, whether or not they exist."""
    return [path.with_name(path.name + end) for end in ("-wal", "-journal")]


def _watch_file(engine: sa.Engine, path: Path) -> None:
    """Refuse a connection whose file was removed or replaced: SQLite would write to an unlinked file."""
    import sqlalchemy as sa

    def identity() -> tuple[int, int]:
        found = path.stat() if path.exists() else None
        return (found.st_dev, found.st_ino) if found else (0, 0)

    def check(_: object, record: Any, __: object) -> None:  # noqa: ANN401 - SQLAlchemy's
        if record.info.setdefault("file", identity()) != identity():
            raise LogError(f"Log '{path}' was removed or replaced while it was open. Run the command again.")

    sa.event.listen(engine, "checkout", check)


def _relax_synchronous(connection: sqlite3.Connection, _: object) -> None:
    """Flush less often: with write-ahead logging, a power cut costs at most the last rows, never the file."""
    connection.execute("PRAGMA synchronous=NORMAL")
