"""The prediction log, kept beside the answers: it never delays one, and never makes one fail."""

import logging
import queue
import threading
from collections.abc import Callable
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from lociscope.errors import LociscopeError
from lociscope.predictions import Predictions

if TYPE_CHECKING:
    from lociscope.log import PredictionLog
    from lociscope.service.answer import Outcome

MOST_WAITING = 4096
"""Predictions that wait for a slow log; more are lost, and counted."""

_TOGETHER = 256

logger = logging.getLogger(__name__)


class Journal:
    """Writes predictions into the log, in a thread of its own.

    Args:
        log: The opened log.
        lost: Called with the number of predictions that the log could not take.
    """

    def __init__(self, log: "PredictionLog", lost: Callable[[int], None]) -> None:
        self._log = log
        self._lost = lost
        self._complaint = ""
        self._waiting: queue.Queue[Outcome | None] = queue.Queue(MOST_WAITING)
        self._writer = threading.Thread(target=self._write, name="lociscope-log", daemon=True)
        self._writer.start()

    def add(self, outcome: "Outcome") -> None:
        """Leaves a prediction to be written."""
        try:
            self._waiting.put_nowait(outcome)
        except queue.Full:
            self._fail(1, "the log is too slow; predictions are answered but not kept")

    def close(self) -> None:
        """Writes what waits, and closes the log."""
        self._waiting.put(None)
        self._writer.join()
        self._log.close()

    def _write(self) -> None:
        while (first := self._waiting.get()) is not None:
            outcomes, ended = [first], False
            while len(outcomes) < _TOGETHER and not self._waiting.empty():
                following = self._waiting.get()
                if following is None:
                    ended = True
                    break
                outcomes.append(following)
            self._keep(outcomes)
            if ended:
                return

    def _keep(self, outcomes: "list[Outcome]") -> None:
        for bundle, group in groupby(outcomes, key=lambda each: each.bundle):
            some = list(group)
            try:
                self._log.add(
                    Predictions.join([each.predictions for each in some]),
                    np.stack([each.prepared.statistics for each in some]),
                    bundle=bundle,
                    command="serve",
                )
                self._complaint = ""
            except LociscopeError as error:
                self._fail(len(some), str(error))
            except Exception:
                logger.exception("a mistake of ours: the log failed")
                self._lost(len(some))

    def _fail(self, fields: int, reason: str) -> None:
        self._lost(fields)
        if reason != self._complaint:  # a log that stays away is told once
            logger.error("predictions are not kept: %s", reason)
        self._complaint = reason
