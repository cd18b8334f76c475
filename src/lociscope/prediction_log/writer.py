"""Write to the prediction log in a thread, so that no prediction waits for a database."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Self
from uuid import uuid4

from lociscope.errors import LociscopeError
from lociscope.prediction_log.log_errors import LogUnavailableError
from lociscope.prediction_log.rows import make_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from types import TracebackType

    import numpy as np

    from lociscope.artifacts.predictions import Predictions
    from lociscope.prediction_log.log import PredictionLog
    from lociscope.prediction_log.rows import Row

MOST_WAITING = 4096
"""Predictions in the queue at most; further ones are not logged, but counted."""

MOST_AT_ONCE = 64
"""Predictions of one transaction: few enough for a slow connection within the limit of a statement."""

PATIENCE_SECONDS = 30.0
"""How long `close` waits for a log that is unavailable."""

HURRY_SECONDS = 3.0
"""The same after a signal asked the command to end."""

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
"""Seconds between two attempts to write; each pause is twice the one before."""

_POLL_SECONDS = 0.05

logger = logging.getLogger(__name__)


class LogWriter:
    """Writes the predictions of one command to a log, in a thread.

    `add` never waits. While the log is unavailable, up to `MOST_WAITING` predictions are queued, and each is written
    once when the log is back; further ones, and those left when `close` gives up, are counted and not logged.

    Args:
        log: The log, which the caller closes; None disables logging.
        command: One of `lociscope.prediction_log.rows.COMMANDS`.
        on_lost: Called, from any thread, with the number of predictions that will not be logged.
        is_ending: Returns whether the command was asked to end; `close` then waits at most `HURRY_SECONDS`.

    Attributes:
        unlogged: Number of predictions that are not in the log; final after `close`.
        trouble: Why the last of them was not written.
    """

    def __init__(
        self,
        log: PredictionLog | None,
        command: str,
        *,
        on_lost: Callable[[int], None] = lambda predictions: None,
        is_ending: Callable[[], bool] = lambda: False,
    ) -> None:
        self._log = log
        self._command = command
        self._on_lost = on_lost
        self._is_ending = is_ending
        self.unlogged = 0
        self.trouble = ""
        self._logged_trouble = ""
        self._waiting: deque[list[Row]] = deque()
        self._rows = 0  # queued, or being written
        self._changed = threading.Condition()
        self._ending = False
        self._given_up = threading.Event()
        self._thread: threading.Thread | None = None
        if log is not None:
            self._thread = threading.Thread(target=self._run, args=(log,), name="lociscope-log", daemon=True)
            self._thread.start()

    def wants_embeddings(self, outputs: Collection[str]) -> bool:
        """Return whether the log takes embeddings, of a model with these outputs."""
        return self._log is not None and "embedding" in outputs

    def add(self, predictions: Predictions, statistics: np.ndarray, *, bundle: str) -> None:
        """Queue predictions.

        Args:
            predictions: The predictions.
            statistics: (n, k) float32, as `PredictionLog.add` takes them.
            bundle: The sha256 of the bundle that predicted.
        """
        if self._log is None or not len(predictions):
            return
        rows = make_rows(predictions, statistics, bundle=bundle, command=self._command)
        with self._changed:
            room = not self._ending and self._rows + len(rows) <= MOST_WAITING
            if room:
                starts = range(0, len(rows), MOST_AT_ONCE)
                self._waiting.extend(rows[start : start + MOST_AT_ONCE] for start in starts)
                self._rows += len(rows)
                self._changed.notify()
        if not room:
            self._lose(len(rows), self._logged_trouble or f"Log '{self._log.name}' is too slow.")

    def close(self, patience: float | None = None) -> None:
        """Write the queue, or count it where the log does not accept it in time.

        Args:
            patience: How long to wait, in seconds; by default `PATIENCE_SECONDS`.

        Raises:
            KeyboardInterrupt: It was interrupted; the rest of the queue is counted.
        """
        if self._log is None or self._thread is None:
            return
        with self._changed:
            self._ending = True
            self._changed.notify()
        limit = PATIENCE_SECONDS if patience is None else patience
        began, warned = time.monotonic(), False
        try:
            while self._thread.is_alive():
                spent = time.monotonic() - began
                if spent >= (min(HURRY_SECONDS, limit) if self._is_ending() else limit):
                    break
                if spent > 1 and not warned:
                    logger.warning("waiting for the log: %d predictions are not in it yet", self._rows)
                    warned = True
                self._thread.join(_POLL_SECONDS)
        finally:
            self._give_up(self._log)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        outcome = error is None
        try:
            self.close(None if outcome else HURRY_SECONDS)
        except KeyboardInterrupt:
            outcome = False
            raise
        finally:
            if not outcome and self.unlogged:  # nothing else reports it
                logger.warning("%d predictions are not in the log; %s", self.unlogged, self.trouble)

    def _give_up(self, log: PredictionLog) -> None:
        """Count what is not written; a thread that still waits for the database writes nothing more."""
        self._given_up.set()
        with self._changed:
            remaining, self._rows = self._rows, 0
            self._waiting.clear()
        if remaining:
            log.disconnect()
            self._count(remaining, self._logged_trouble or f"Log '{log.name}' did not take them in time.")

    def _run(self, log: PredictionLog) -> None:
        last: str | None = None
        while rows := self._next():
            key = uuid4().hex
            refusal = self._write(log, rows, key, last)
            with self._changed:
                if self._given_up.is_set():  # the rows are counted
                    return
                self._rows -= len(rows)
            if refusal is None:
                last = key
            else:
                self._lose(len(rows), refusal)
        if last is not None:
            try:
                log.write([], last=last)
            except LociscopeError:
                logger.debug("the last key stays in the log", exc_info=True)

    def _next(self) -> list[Row]:
        """Wait for the rows of the next transaction; return none at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ending)
            rows: list[Row] = []
            while self._waiting and len(rows) < MOST_AT_ONCE:
                rows += self._waiting.popleft()
            return rows

    def _write(self, log: PredictionLog, rows: list[Row], key: str, last: str | None) -> str | None:
        """Write rows, with retries while the log is unavailable; return the reason of a refusal."""
        pause = FIRST_PAUSE
        while not self._given_up.is_set():
            try:
                log.write(rows, key, last)
            except LogUnavailableError as error:
                self._warn(
                    f"{error} Prediction continues, and up to {MOST_WAITING} predictions are queued.", str(error)
                )
                self._given_up.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            except LociscopeError as error:
                return str(error)
            except Exception as error:
                logger.exception("internal error: the log failed")
                return f"Log '{log.name}' failed ({type(error).__name__})."
            else:
                if self._logged_trouble:
                    logger.warning("log '%s' is available again", log.name)
                    self._logged_trouble = ""
                break
        return None

    def _lose(self, predictions: int, reason: str) -> None:
        self._count(predictions, reason)
        self._warn(f"predictions are not logged: {reason}", reason)

    def _count(self, predictions: int, reason: str) -> None:
        with self._changed:
            self.unlogged += predictions
            self.trouble = reason
        self._on_lost(predictions)

    def _warn(self, message: str, reason: str) -> None:
        """Warn once until the log is available again."""
        if not self._logged_trouble:
            logger.warning(message)
        self._logged_trouble = reason
