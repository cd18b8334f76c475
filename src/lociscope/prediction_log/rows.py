"""Rows of the prediction log: predictions as columns of a database, and back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from lociscope.artifacts.predictions import Predictions
from lociscope.labels import N_LABELS, format_target, parse_target
from lociscope.warnings import parse_warnings

if TYPE_CHECKING:
    from collections.abc import Sequence

    import sqlalchemy as sa

COMMANDS = ("predict", "serve", "watch", "microscope")
"""Commands that write to the log."""

Row = dict[str, Any]
"""The columns of one prediction."""

_HALF = float(np.finfo(np.float16).max)


@dataclass(frozen=True, slots=True)
class Window:
    """Rows of a log, in the order in which they were written.

    Attributes:
        predictions: Their n predictions; `embedding` is None unless every row has one of the same length.
        statistics: (n, k) float32, in the order of `lociscope.images.statistics.STATISTICS`.
        bundles: The sha256 of the bundle of each row.
        times: The time of each prediction, ISO 8601 in UTC.
        commands: The command that wrote each row, one of `COMMANDS`.
    """

    predictions: Predictions
    statistics: np.ndarray
    bundles: list[str]
    times: list[str]
    commands: list[str]

    def __len__(self) -> int:
        return len(self.predictions)

    def take(self, rows: Sequence[int]) -> Window:
        """Return the given rows, in the given order."""
        return Window(
            self.predictions.take(rows),
            self.statistics[list(rows)],
            [self.bundles[row] for row in rows],
            [self.times[row] for row in rows],
            [self.commands[row] for row in rows],
        )


def make_rows(predictions: Predictions, statistics: np.ndarray, *, bundle: str, command: str) -> list[Row]:
    """Make the rows of predictions, with the current time.

    Args:
        predictions: The predictions; embeddings, if any, are stored in half precision.
        statistics: (n, k) float32, in the order of `lociscope.images.statistics.STATISTICS`.
        bundle: The bundle's sha256.
        command: One of `COMMANDS`.

    Returns:
        n rows, for `PredictionLog.write`.
    """
    if command not in COMMANDS or statistics.shape[:1] != (len(predictions),):
        raise ValueError(f"command {command!r}, {statistics.shape} statistics of {len(predictions)} predictions")
    time = iso(datetime.now(UTC))
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
            "embedding": _to_half_precision(predictions.embedding, number),
        }
        for number, name in enumerate(predictions.ids)
    ]


def iso(moment: datetime) -> str:
    """Return a timestamp as a string that sorts by time."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _to_half_precision(embedding: np.ndarray | None, row: int) -> bytes | None:
    return None if embedding is None else np.clip(embedding[row], -_HALF, _HALF).astype("<f2").tobytes()


def to_window(rows: Sequence[sa.Row[Any]]) -> Window:
    """Return the predictions of rows that were read."""

    def table(column: str, kind: str, wide: int | None = None) -> np.ndarray:
        arrays = [np.frombuffer(getattr(row, column), kind) for row in rows]
        wide = len(arrays[0]) if wide is None and arrays else wide or 0
        return np.array(arrays, np.float32).reshape(len(arrays), wide)

    same_length = len({None if row.embedding is None else len(row.embedding) for row in rows}) == 1
    predictions = Predictions(
        [row.id for row in rows],
        table("probability", "<f4", N_LABELS),
        [parse_target(row.predicted) for row in rows],
        [row.status for row in rows],
        [parse_warnings(json.loads(row.warnings)) for row in rows],
        table("embedding", "<f2") if same_length and rows[0].embedding is not None else None,
    )
    return Window(
        predictions,
        table("statistics", "<f4"),
        [row.bundle for row in rows],
        [row.time for row in rows],
        [row.command for row in rows],
    )
