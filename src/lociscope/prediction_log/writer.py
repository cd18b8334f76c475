"""Writes to the prediction log beside the work, so that no prediction and no picture waits for a database."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Self
from uuid import uuid4

from lociscope.errors import LociscopeError
from lociscope.prediction_log.database import LogUnavailableError
from lociscope.prediction_log.log import make_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from types import TracebackType

    import numpy as np

    from lociscope.artifacts.predictions import Predictions
    from lociscope.prediction_log.log import PredictionLog, Row

MOST_WAITING = 4096
"""Predictions that wait for the log; what comes while so many wait is not logged, and counted."""

MOST_AT_ONCE = 64
"""Predictions of one transaction: few enough for a slow connection, within the time that a statement may take."""

PATIENCE_SECONDS = 30.0
"""How long the end of the work waits for a log that is away."""

HURRY_SECONDS = 3.0
"""The same where a signal asked for the end."""

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
"""Seconds between two attempts to write; each pause is twice the one before."""

_POLL_SECONDS = 0.05

logger = logging.getLogger(__name__)


class LogWriter:
    """Writes what one command predicts to a log, in a thread.

    `add` never waits. While the log is away, up to `MOST_WAITING` predictions wait for it, and each is written once
    when it is back; what comes on top, or waits longer than `close` does, is counted and not logged.

    Args:
        log: The log, which stays open; None logs nothing.
        command: One of `lociscope.prediction_log.log.COMMANDS`.
        lost: Called, from any thread, with the number of predictions that will not be logged.
        hurry: Tells whether the work was asked to end; `close` then waits no longer than `HURRY_SECONDS`.

    Attributes:
        unlogged: Predictions that are not in the log; final after `close`.
        trouble: Why the last of them is not.
    """

    def __init__(
        self,
        log: PredictionLog | None,
        command: str,
        *,
        lost: Callable[[int], None] = lambda predictions: None,
        hurry: Callable[[], bool] = lambda: False,
    ) -> None:
        self._log = log
        self._command = command
        self._lost = lost
        self._hurry = hurry
        self.unlogged = 0
        self.trouble = ""
        self._logged_trouble = ""
        self._waiting: deque[list[Row]] = deque()
        self._rows = 0  # of those that wait, and of those that are being written
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

    def add(self, made: Predictions, statistics: np.ndarray, *, bundle: str) -> None:
        """Leave predictions to be written.

        Args:
            made: What was predicted.
            statistics: (n, k) float32, as `PredictionLog.add` takes them.
            bundle: The sha256 of the bundle that predicted.
        """
        if self._log is None or not len(made):
            return
        rows = make_rows(made, statistics, bundle=bundle, command=self._command)
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
        """Write what waits, or count it where the log does not take it in time.

        Args:
            patience: How long to wait, in seconds; by default `PATIENCE_SECONDS`.

        Raises:
            KeyboardInterrupt: It was interrupted; what still waited is counted.
        """
        if self._log is None or self._thread is None:
            return
        with self._changed:
            self._ending = True
            self._changed.notify()
        limit = PATIENCE_SECONDS if patience is None else patience
        began, told = time.monotonic(), False
        try:
            while self._thread.is_alive():
                spent = time.monotonic() - began
                if spent >= (min(HURRY_SECONDS, limit) if self._hurry() else limit):
                    break
                if spent > 1 and not told:
                    logger.warning("waiting for the log: %d predictions are not in it yet", self._rows)
                    told = True
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
            if not outcome and self.unlogged:  # nothing else will report it
                logger.warning("%d predictions are not in the log; %s", self.unlogged, self.trouble)

    def _give_up(self, log: PredictionLog) -> None:
        """Counts what is not written; the thread, if it still waits for the database, does nothing more."""
        self._given_up.set()
        with self._changed:
            left, self._rows = self._rows, 0
            self._waiting.clear()
        if left:
            log.disconnect()
            self._count(left, self._logged_trouble or f"Log '{log.name}' did not take them in time.")

    def _run(self, log: PredictionLog) -> None:
        last: str | None = None
        while rows := self._next():
            key = uuid4().hex
            refused = self._write(log, rows, key, last)
            with self._changed:
                if self._given_up.is_set():  # they are counted
                    return
                self._rows -= len(rows)
            if refused is None:
                last = key
            else:
                self._lose(len(rows), refused)
        if last is not None:
            try:
                log.write([], last=last)
            except LociscopeError:
                logger.debug("the last key stays in the log", exc_info=True)

    def _next(self) -> list[Row]:
        """The rows of the next transaction; none at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ending)
            rows: list[Row] = []
            while self._waiting and len(rows) < MOST_AT_ONCE:
                rows += self._waiting.popleft()
            return rows

    def _write(self, log: PredictionLog, rows: list[Row], key: str, last: str | None) -> str | None:
        """Tries to write rows until the log takes or refuses them; why it refuses them, where it does."""
        pause = FIRST_PAUSE
        while not self._given_up.is_set():
            try:
                log.write(rows, key, last)
            except LogUnavailableError as error:
                self._tell(f"{error} Predictions go on, and up to {MOST_WAITING} wait for it.", str(error))
                self._given_up.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            except LociscopeError as error:
                return str(error)
            except Exception as error:
                logger.exception("a mistake of ours: the log failed")
                return f"Log '{log.name}' failed ({type(error).__name__})."
            else:
                if self._logged_trouble:
                    logger.warning("log '%s' is written again", log.name)
                    self._logged_trouble = ""
                break
        return None

    def _lose(self, predictions: int, reason: str) -> None:
        self._count(predictions, reason)
        self._tell(f"predictions are not logged: {reason}", reason)

    def _count(self, predictions: int, reason: str) -> None:
        with self._changed:
            self.unlogged += predictions
            self.trouble = reason
        self._lost(predictions)

    def _tell(self, sentence: str, reason: str) -> None:
        """Says it once, until the log is written again."""
        if not self._logged_trouble:
            logger.warning(sentence)
        self._logged_trouble = reason
