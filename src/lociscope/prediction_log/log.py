"""The prediction log: what was predicted, when, by which bundle, and how the fields looked.

One database for all commands and machines: an SQLite file by default, or whatever SQLAlchemy has a URL for.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lociscope.artifacts.predictions import Predictions
from lociscope.errors import LociscopeError
from lociscope.labels import N_LABELS, format_target, parse_target
from lociscope.prediction_log.database import READ_SECONDS, WRITE_SECONDS, Database, LogError
from lociscope.prediction_log.tables import define_tables, prepare_tables
from lociscope.warnings import parse_warnings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    import sqlalchemy as sa

COMMANDS = ("predict", "serve", "watch", "microscope")
"""Who writes."""

Row = dict[str, Any]
"""The columns of one prediction."""

_HALF = float(np.finfo(np.float16).max)


@dataclass(frozen=True, slots=True)
class Window:
    """Rows of a log, in the order in which they were written.

    Attributes:
        predictions: Their n predictions; `embedding` is None unless every row has one of the same length.
        statistics: (n, k) float32, in the order of `lociscope.images.statistics.STATISTICS`.
        bundles: The bundle of each row, its sha256.
        times: When each was predicted, ISO 8601 in UTC.
        commands: Which command wrote it, one of `COMMANDS`.
    """

    predictions: Predictions
    statistics: np.ndarray
    bundles: list[str]
    times: list[str]
    commands: list[str]

    def __len__(self) -> int:
        return len(self.predictions)


def open_log(url: str, *, create: bool = True) -> PredictionLog:
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
    database = Database(url, create)
    try:
        try:
            prepare_tables(database, create)
        except LogError:
            if create or not database.reopen_immutable():
                raise
            prepare_tables(database, create)
    except LociscopeError:
        database.close()
        raise
    return PredictionLog(database)


class PredictionLog:
    """An open log; may be used from several threads, and by several processes at once.

    Args:
        database: Where it is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._about, self._rows = define_tables()
        self.name = database.name
        """Its path, or its URL without a password."""

    def add(self, predictions: Predictions, statistics: np.ndarray, *, bundle: str, command: str) -> None:
        """Keeps predictions, all or none.

        Args:
            predictions: What was predicted; embeddings are kept, in half precision, if they are there.
            statistics: (n, k) float32, in the order of `lociscope.images.statistics.STATISTICS`.
            bundle: The bundle's sha256.
            command: One of `COMMANDS`.

        Raises:
            LogError: The log cannot be written: locked for long (`database.WAIT_SECONDS`), full, gone, damaged.
        """
        self.write(make_rows(predictions, statistics, bundle=bundle, command=command))

    def write(self, rows: Sequence[Row], key: str | None = None, last: str | None = None) -> None:
        """Write rows, all or none, and once per key.

        Where an answer is lost, nobody knows whether the database took the rows. With a key, the same call can be made
        again: the key is written in the transaction of the rows, and rows whose key is there are not written again.

        Args:
            rows: Of `make_rows`.
            key: At most 32 characters that no other rows have.
            last: The key of the caller's rows before these, which is no longer needed.

        Raises:
            LogError: The log cannot be written; `LogUnavailableError` where it may be in a moment.
        """
        import sqlalchemy as sa

        try:
            with self._database.transaction("written", WRITE_SECONDS) as connection:
                if key is not None:
                    connection.execute(self._about.insert(), {"key": key, "value": _iso(datetime.now(UTC))})
                if last is not None:
                    connection.execute(self._about.delete().where(self._about.c.key == last))
                if rows:
                    # Inline: nobody asks for the number of a row, and so nobody needs the right to read one.
                    connection.execute(self._rows.insert().inline(), list(rows))
        except LogError as error:
            written = isinstance(error.__cause__, sa.exc.IntegrityError) and key is not None
            if not written:
                raise

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
        with self._database.transaction("read", READ_SECONDS) as connection:
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
        with self._database.transaction("read", READ_SECONDS) as connection:
            return {row[0]: row[1] for row in connection.execute(ordered)}

    def span(self) -> tuple[str, str] | None:
        """The times of its first and last row, or None where it is empty.

        Raises:
            LogError: It cannot be read.
        """
        import sqlalchemy as sa

        time = self._rows.c.time
        with self._database.transaction("read", READ_SECONDS) as connection:
            first, last = connection.execute(sa.select(sa.func.min(time), sa.func.max(time))).one()
        return None if first is None else (first, last)

    def close(self) -> None:
        """Lets go of the database."""
        self._database.close()

    def disconnect(self) -> None:
        """Ends all waiting for a server; what waits fails."""
        self._database.disconnect()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _within(self, since: datetime | None, until: datetime | None) -> list[sa.ColumnElement[bool]]:
        time = self._rows.c.time
        return [
            *([] if since is None else [time >= _iso(since)]),
            *([] if until is None else [time < _iso(until)]),
        ]


def make_rows(predictions: Predictions, statistics: np.ndarray, *, bundle: str, command: str) -> list[Row]:
    """Make the rows of predictions, which carry the time of this call.

    Args:
        predictions: What was predicted; embeddings are kept, in half precision, if they are there.
        statistics: (n, k) float32, in the order of `lociscope.images.statistics.STATISTICS`.
        bundle: The bundle's sha256.
        command: One of `COMMANDS`.

    Returns:
        n rows, for `PredictionLog.write`.
    """
    if command not in COMMANDS or statistics.shape[:1] != (len(predictions),):
        raise ValueError(f"command {command!r}, {statistics.shape} statistics of {len(predictions)} predictions")
    time = _iso(datetime.now(UTC))
    return [
        {
            "time": time,
            "command": command,
            "bundle": bundle,
            "id": name,
            "predicted": format_target(predictions.predicted[number]),
            "status": predictions.status[number],
            "warnings": json.dumps([str(warning) for warning in predictions.warnings[number]], ensure_ascii=False),
            "probability": predictions.probability[number].astype("<f4").tobytes(),
            "statistics": statistics[number].astype("<f4").tobytes(),
            "embedding": _halved(predictions.embedding, number),
        }
        for number, name in enumerate(predictions.ids)
    ]


def _iso(moment: datetime) -> str:
    """Text that sorts as time does."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _halved(embedding: np.ndarray | None, row: int) -> bytes | None:
    return None if embedding is None else np.clip(embedding[row], -_HALF, _HALF).astype("<f2").tobytes()


def _window(rows: Sequence[sa.Row[Any]]) -> Window:
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
        [parse_warnings(json.loads(row.warnings)) for row in rows],
        table("embedding", "<f2") if alike and rows[0].embedding is not None else None,
    )
    return Window(
        predictions,
        table("statistics", "<f4"),
        [row.bundle for row in rows],
        [row.time for row in rows],
        [row.command for row in rows],
    )
