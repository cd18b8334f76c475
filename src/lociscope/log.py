"""The prediction log: what was predicted, when, by which bundle, and how the fields looked.

One database for all commands and machines: an SQLite file by default, or whatever SQLAlchemy has a URL for.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lociscope.database import LogError, engine_of, name_of, prepare, tables, told
from lociscope.errors import LociscopeError
from lociscope.labels import N_LABELS, format_target, parse_target
from lociscope.predictions import Predictions

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from types import TracebackType

    import sqlalchemy as sa

COMMANDS = ("predict", "serve", "watch", "microscope")
"""Who writes."""

_HALF = float(np.finfo(np.float16).max)


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
    return PredictionLog(engine_of(url, create), create)


class PredictionLog:
    """An open log; may be used from several threads, and by several processes at once.

    Args:
        engine: Where it is.
        create: Whether to make its tables.
    """

    def __init__(self, engine: "sa.Engine", create: bool) -> None:
        self._engine = engine
        _, self._rows = tables()
        self.name = name_of(engine)
        """Its path, or its URL without a password."""
        try:
            with told(self.name, "opened"):
                prepare(engine, create)
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
            LogError: The log cannot be written: locked for long (`database.WAIT_SECONDS`), full, gone, damaged.
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
        with told(self.name, "written"), self._engine.begin() as connection:
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
        with told(self.name, "read"), self._engine.connect() as connection:
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
        with told(self.name, "read"), self._engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(ordered)}

    def span(self) -> tuple[str, str] | None:
        """The times of its first and last row, or None where it is empty.

        Raises:
            LogError: It cannot be read.
        """
        import sqlalchemy as sa

        time = self._rows.c.time
        with told(self.name, "read"), self._engine.connect() as connection:
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


class Keeper:
    """Keeps in a log what one command predicts; a log that cannot be written costs no prediction, and is told.

    Args:
        log: The log; None keeps nothing.
        bundle: The sha256 of the bundle that predicts.
        command: One of `COMMANDS`.

    Attributes:
        unlogged: Fields that the log could not take.
        trouble: Why it could not take the last of them.
    """

    def __init__(self, log: PredictionLog | None, bundle: str, command: str) -> None:
        self._log = log
        self._bundle = bundle
        self._command = command
        self.unlogged = 0
        self.trouble = ""

    def wants_embeddings(self, outputs: "Collection[str]") -> bool:
        """Whether the log takes embeddings, of a model with these outputs."""
        return self._log is not None and "embedding" in outputs

    def add(self, made: Predictions, statistics: np.ndarray) -> None:
        """Keeps predictions that are safe on disk by now.

        Args:
            made: What was predicted.
            statistics: (n, k) float32, as `PredictionLog.add` takes them.
        """
        if self._log is None:
            return
        try:
            self._log.add(made, statistics, bundle=self._bundle, command=self._command)
        except LociscopeError as error:
            self.unlogged += len(made)
            self.trouble = str(error)


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
