"""Compare the fields that a service predicts with a reference, window by window, in a thread of its own."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

import numpy as np

from lociscope.artifacts.predictions import Predictions
from lociscope.errors import LociscopeError
from lociscope.monitor.alarm import send_alarm
from lociscope.monitor.drift import compare_samples
from lociscope.monitor.report import DriftReport
from lociscope.monitor.samples import Sample
from lociscope.prediction_log.rows import Window
from lociscope.service.settings import Settings
from lociscope.workflows.monitor import compile_group, find_reference

MAX_WAITING = 2
"""Full windows that wait to be compared; further ones are left out and counted."""

MAX_BUNDLES = 4
"""Bundles whose fields are gathered at once, for a candidate or a promotion."""

logger = logging.getLogger(__name__)

Outcome = Callable[[DriftReport | None, str], None]
"""Called with the report of each window, or None, and `drift`, `same`, `failed` or `skipped`."""


class DriftWatch:
    """Gathers predicted fields, and compares each `size` of one bundle with the reference.

    Args:
        size: Number of fields of a window.
        find_sample: Returns the reference of a bundle, by its sha256.
        level: The chance that a window of unchanged fields raises an alarm.
        group: Regular expression for what the ids of one plate or specimen share.
        alarm: Where to send alarms, as `lociscope.monitor.alarm.check_target` takes it; None for nowhere.
        on_compared: Called in the thread after each window.
        on_alarm: Called with `sent` or `failed` after each alarm.
    """

    def __init__(
        self,
        size: int,
        find_sample: Callable[[str], Sample],
        level: float,
        group: str | None,
        alarm: str | None,
        on_compared: Outcome,
        on_alarm: Callable[[str], None],
    ) -> None:
        self._size = size
        self._find_sample = find_sample
        self._level = level
        self._group = compile_group(group)
        self._alarm = alarm
        self._on_compared = on_compared
        self._on_alarm = on_alarm
        self._references: dict[str, Sample] = {}
        self._gathered: dict[str, list[tuple[Predictions, np.ndarray]]] = {}
        self._drifted = False
        self._failure = ""
        self._lock = threading.Lock()
        self._full: queue.Queue[tuple[str, list[tuple[Predictions, np.ndarray]]] | None] = queue.Queue(MAX_WAITING + 1)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, name="lociscope-drift", daemon=True)

    def add(self, predictions: Predictions, statistics: np.ndarray, *, bundle: str) -> None:
        """Gather one field; never waits.

        Args:
            predictions: Its predictions.
            statistics: Its statistics, (1, k) float32.
            bundle: The sha256 of the bundle that predicted.
        """
        with self._lock:
            some = self._gathered.setdefault(bundle, [])
            some.append((predictions, statistics))
            if len(self._gathered) > MAX_BUNDLES:
                del self._gathered[next(iter(self._gathered))]  # the bundle that was new longest ago
            if len(some) < self._size:
                return
            self._gathered.pop(bundle, None)
            has_room = self._full.qsize() < MAX_WAITING
            if has_room:
                self._full.put_nowait((bundle, some))
        if not has_room:
            self._on_compared(None, "skipped")

    def read_reference(self, bundle: str) -> Sample:
        """Return the reference of a bundle, which is kept.

        Raises:
            LociscopeError: There is none.
        """
        if bundle not in self._references:
            self._references[bundle] = self._find_sample(bundle)
        return self._references[bundle]

    def start(self) -> None:
        """Compare in a separate thread from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the comparison in progress, and stop."""
        self._end.set()
        if self._thread.is_alive():
            self._full.put(None)  # there is room for it beyond `MAX_WAITING`
            self._thread.join()

    def compare_next(self) -> bool:
        """Compare a full window, waiting for one; return whether there was one."""
        found = self._full.get()
        if found is None or self._end.is_set():
            return False
        bundle, some = found
        try:
            report = self._compare(bundle, some)
        except Exception as error:  # predictions go on, whatever is wrong with a reference
            if str(error) != self._failure:
                logger.error("predicted fields cannot be compared with the reference: %s", error)
            self._failure = str(error)
            self._on_compared(None, "failed")
            return True
        self._failure = ""
        self._on_compared(report, "drift" if report.drifted else "same")
        if report.drifted != self._drifted:
            self._drifted = report.drifted
            self._tell(report)
        return True

    def _compare(self, bundle: str, some: list[tuple[Predictions, np.ndarray]]) -> DriftReport:
        predictions = Predictions.join([each for each, _ in some])
        n = len(predictions)
        window = Window(predictions, np.concatenate([row for _, row in some]), [bundle] * n, [""] * n, ["serve"] * n)
        sample = Sample.from_log(window, f"the last {n} fields")
        return compare_samples(sample, self.read_reference(bundle), level=self._level, group=self._group)

    def _tell(self, report: DriftReport) -> None:
        log = logger.warning if report.drifted else logger.info
        log("the last %d predicted fields %s", report.fields, "drifted" if report.drifted else "do not drift any more")
        if self._alarm is None:
            return
        try:
            send_alarm(self._alarm, report)
        except LociscopeError as error:
            logger.error("%s", error)
            self._on_alarm("failed")
        else:
            self._on_alarm("sent")

    def _work(self) -> None:
        while self.compare_next():
            pass


def create_drift_watch(
    settings: Settings, size: int, on_compared: Outcome, on_alarm: Callable[[str], None]
) -> DriftWatch:
    """Return the watch of a service.

    Args:
        settings: The settings of the service.
        size: Number of fields of a window.
        on_compared: As for `DriftWatch`.
        on_alarm: Likewise.
    """

    def find_sample(bundle: str) -> Sample:
        return find_reference(bundle, settings.reference, bundle=settings.bundle, registry=settings.registry)

    return DriftWatch(size, find_sample, settings.level, settings.group, settings.alarm, on_compared, on_alarm)
