"""The prediction log: what was predicted, when, by which bundle, and how the fields looked.

One database for all commands and machines: an SQLite file by default, or whatever SQLAlchemy has a URL for.
"""

import json
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lociscope.errors import LociscopeError, MissingExtraError
from lociscope.labels import N_LABELS, format_target, parse_target
from lociscope.predictions import Predictions
from lociscope.storage import check_schema

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    import sqlalchemy as sa

SCHEMA = 1
COMMANDS = ("predict", "serve", "watch", "microscope")
"""Who writes."""

WAIT_SECONDS = 30
"""How long a writer waits for another; `?timeout=` in an SQLite URL says otherwise."""

_HALF = float(np.finfo(np.float16).max)


class LogError(LociscopeError):
    """The log cannot be opened, read or written; the predictions themselves are not touched by that."""


@dataclass(frozen=True, slots=True)
class Window:
    """Rows of a log, in the order in which they were written.

    Attributes:
        predictions: Their n predictions; `embedding` is None unless every row has one of the same length.
        statistics: (n, k) float32, in the order of `lociscope.images.statistics.STATISTICS`.
        bundles: The bundle of each row, its sha256.
        times: When each was written, ISO 8601 in UTC.
        commands: Which command wrote it, one of `COMMANDS`.
    """

    predictions: Predictions
    statistics: np.ndarray
    bundles: list[str]
    times: list[str]
    commands: list[str]

    def __len__(self) -> int:
        return len(self.predictions)


def open_log(url: str, *, create: bool = True) -> "PredictionLog":
    """Opens a prediction log, or makes it.

    Args:
        url: An SQLAlchemy URL, such as `postgresql+psycopg://user@host/name`; a bare path is an SQLite file.
        create: Whether to make what is not there.

    Returns:
        The log.

    Raises:
        LogError: The URL cannot be, its driver is not installed, it cannot be reached, is damaged, holds something
            else or is of a newer schema; or it does not exist and may not be made.
        MissingExtraError: SQLAlchemy is not installed.
    """
    return PredictionLog(_engine(url, create), create)


class PredictionLog:
    """An open log; may be used from several threads, and by several processes at once.

    Args:
        engine: Where it is.
        create: Whether to make its tables.
    """

    def __init__(self, engine: "sa.Engine", create: bool) -> None:
        self._engine = engine
        self._about, self._rows = _tables()
        self.name = engine.url.render_as_string(hide_password=True)
        """Its URL, without a password."""
        try:
            with self._told("opened"):
                self._prepare(create)
        except LociscopeError:
            self.close()
            raise

    def add(self, predictions: Predictions, statistics: np.ndarray, *, bundle: str, command: str) -> None:
        """Keeps predictions, all or none.

        Args:
            predictions: What was predicted; embeddings are kept, in half precision, if they are there.
            statistics: (n, k) float32, in the order of `lociscope.images.statistics.STATISTICS`.
            bundle: The bundle's sha256.
            command: One of `COMMANDS`.

        Raises:
            LogError: The log cannot be written: locked for longer than `WAIT_SECONDS`, full, gone, damaged.
        """
        if command not in COMMANDS or statistics.shape[:1] != (len(predictions),):
            raise ValueError(f"command {command!r}, {statistics.shape} statistics of {len(predictions)} predictions")
        if not len(predictions):
            return
        time = _iso(datetime.now(UTC))
        rows = [
            {
                "time": time,
                "command": command,
                "bundle": bundle,
                "id": name,
                "predicted": format_target(predictions.predicted[number]),
                "status": predictions.status[number],
                "warnings": json.dumps(predictions.warnings[number], ensure_ascii=False),
                "probability": predictions.probability[number].astype("<f4").tobytes(),
                "statistics": statistics[number].astype("<f4").tobytes(),
                "embedding": _halved(predictions.embedding, number),
            }
            for number, name in enumerate(predictions.ids)
        ]
        with self._told("written"), self._engine.begin() as connection:
            connection.execute(self._rows.insert(), rows)

    def read(self, since: datetime | None = None, until: datetime | None = None, bundle: str | None = None) -> Window:
        """Reads the rows of a time.

        Args:
            since: Only rows of this moment or later.
            until: Only rows before this moment.
            bundle: Only rows of the bundle of this sha256.

        Returns:
            The rows; none is no error.

        Raises:
            LogError: The log cannot be read, or holds rows that no lociscope wrote.
        """
        import sqlalchemy as sa

        chosen = sa.select(self._rows).where(*self._within(since, until)).order_by(self._rows.c.seq)
        if bundle is not None:
            chosen = chosen.where(self._rows.c.bundle == bundle)
        with self._told("read"), self._engine.connect() as connection:
            rows = connection.execute(chosen).all()
        try:
            return _window(rows)
        except (ValueError, TypeError, LociscopeError) as error:
            raise LogError(
                f"Log '{self.name}' holds a row that is damaged ({error}). Restore it from a copy."
            ) from error

    def bundles(self, since: datetime | None = None, until: datetime | None = None) -> dict[str, int]:
        """How many rows of a time are of which bundle; that of the latest row comes last.

        Raises:
            LogError: The log cannot be read.
        """
        import sqlalchemy as sa

        table = self._rows.c
        counted = sa.select(table.bundle, sa.func.count()).where(*self._within(since, until))
        ordered = counted.group_by(table.bundle).order_by(sa.func.max(table.seq))
        with self._told("read"), self._engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(ordered)}

    def span(self) -> tuple[str, str] | None:
        """The times of its first and last row, or None where it is empty.

        Raises:
            LogError: It cannot be read.
        """
        import sqlalchemy as sa

        time = self._rows.c.time
        with self._told("read"), self._engine.connect() as connection:
            first, last = connection.execute(sa.select(sa.func.min(time), sa.func.max(time))).one()
        return None if first is None else (first, last)

    def close(self) -> None:
        """Lets go of the database."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        self.close()

    def _within(self, since: datetime | None, until: datetime | None) -> "list[sa.ColumnElement[bool]]":
        time = self._rows.c.time
        return [
            *([] if since is None else [time >= _iso(since)]),
            *([] if until is None else [time < _iso(until)]),
        ]

    def _prepare(self, create: bool) -> None:
        import sqlalchemy as sa

        names = sa.inspect(self._engine).get_table_names()
        others = names and self._engine.dialect.name == "sqlite"  # a server's database may serve several programs
        if self._about.name not in names and (others or not create):
            raise LogError(
                f"'{self.name}' is no prediction log. Name what --log or LOCISCOPE_LOG named when it was written, or "
                "another path to begin one."
            )
        found = self._schema() if self._about.name in names else None
        if found is None and create:  # new, or begun by a process that is not done, or was killed
            self._make()
            found = self._schema()
        try:
            check_schema(found, SCHEMA, f"Log '{self.name}'")
        except LociscopeError as error:
            raise LogError(str(error)) from None

    def _make(self) -> None:
        import sqlalchemy as sa
        from sqlalchemy.schema import CreateIndex, CreateTable

        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if self._engine.dialect.name == "sqlite":  # readers and a writer do not wait for each other
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            for table in (self._about, self._rows):
                connection.execute(CreateTable(table, if_not_exists=True))
                for index in table.indexes:
                    connection.execute(CreateIndex(index, if_not_exists=True))
            with suppress(sa.exc.IntegrityError):  # another process was faster
                connection.execute(self._about.insert(), {"key": "schema", "value": str(SCHEMA)})

    def _schema(self) -> str | None:
        with self._engine.connect() as connection:
            found = connection.execute(self._about.select().where(self._about.c.key == "schema")).first()
        return None if found is None else str(found.value)

    @contextmanager
    def _told(self, done: str) -> "Iterator[None]":
        """Whatever the database complains of becomes one sentence."""
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            raise LogError(f"Log '{self.name}' cannot be {done} ({reason}). {_remedy(reason)}") from error
        except UnicodeDecodeError as error:  # SQLite quotes what is damaged in its complaint; found by fuzzing
            raise LogError(f"Log '{self.name}' cannot be {done} (malformed text). {_remedy('malformed')}") from error


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


def _engine(url: str, create: bool) -> "sa.Engine":
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


def _in_haste(connection: "sqlite3.Connection", _: object) -> None:
    """With write-ahead, a power cut costs at most the last rows, never the file."""
    connection.execute("PRAGMA synchronous=NORMAL")


def _tables() -> "tuple[sa.Table, sa.Table]":
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


def _iso(moment: datetime) -> str:
    """Text that sorts as time does."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _halved(embedding: np.ndarray | None, row: int) -> bytes | None:
    return None if embedding is None else np.clip(embedding[row], -_HALF, _HALF).astype("<f2").tobytes()


def _window(rows: "Sequence[sa.Row[Any]]") -> Window:
    def table(column: str, kind: str, wide: int | None = None) -> np.ndarray:
        arrays = [np.frombuffer(getattr(row, column), kind) for row in rows]
        wide = len(arrays[0]) if wide is None and arrays else wide or 0
        return np.array(arrays, np.float32).reshape(len(arrays), wide)

    alike = len({None if row.embedding is None else len(row.embedding) for row in rows}) == 1
    predictions = Predictions(
        [row.id for row in rows],
        table("probability", "<f4", N_LABELS),
        [parse_target(row.predicted) for row in rows],
        [row.status for row in rows],
        [tuple(map(str, json.loads(row.warnings))) for row in rows],
        table("embedding", "<f2") if alike and rows[0].embedding is not None else None,
    )
    return Window(
        predictions,
        table("statistics", "<f4"),
        [row.bundle for row in rows],
        [row.time for row in rows],
        [row.command for row in rows],
    )
