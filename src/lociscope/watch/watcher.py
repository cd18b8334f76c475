"""Watch a folder: predict fields as a microscope writes them, each once, whatever interrupts the watch."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from lociscope.errors import Code
from lociscope.images.discovery.sources import Failure
from lociscope.predict.batch import BatchResult, merge_tables
from lociscope.predict.fingerprint import compute_fingerprint
from lociscope.predict.loading import load_field
from lociscope.predict.output import OutputOptions, PredictionOutput
from lociscope.predict.predictor import BATCH_SIZE, Predictor, PreparedField
from lociscope.prediction_log.writer import LogWriter
from lociscope.watch.arrivals import FieldTracker, ReadyField
from lociscope.watch.completeness import CompletenessCheck, Incomplete
from lociscope.watch.folder import PolledFolder, check_folder

if TYPE_CHECKING:
    from pathlib import Path
    from threading import Event

    from lociscope.artifacts.predictions import Predictions
    from lociscope.images.discovery.naming import Rules
    from lociscope.prediction_log.log import PredictionLog

TABLE_EVERY, TABLE_SHARE = 10.0, 0.05
"""Least seconds between two writes of the table, and the largest share of the time for them; parts have newer rows."""

REST_FACTOR = 10
"""A field that may be incomplete must rest for at least this multiple of `settle`."""


@dataclass(frozen=True, slots=True)
class WatchTiming:
    """The intervals and waiting times of a watch, s.

    Attributes:
        interval: Time between two polls of the folder; more if polling takes too much of a core.
        settle: Time for which a file must not change before it is read.
        patience: Time after which a field that lacks a file, or cannot be read, is reported.
        until_idle: Time without new files after which the watch ends; None for a watch that does not end.
    """

    interval: float = 0.5
    settle: float = 2.0
    patience: float = 60.0
    until_idle: float | None = None

    @property
    def min_rest(self) -> float:
        """Return how long the files of a field that may be incomplete must not change before they are read, s."""
        return max(self.patience, REST_FACTOR * self.settle)

    @property
    def retry_changed(self) -> float:
        """Return the time to the next check of such a field if its files have just changed, s."""
        return max(self.settle, self.interval)

    @property
    def retry_unchanged(self) -> float:
        """Return the time to the next check of such a field if its files have not changed, s."""
        return max(self.retry_changed, min(5.0, 4 * self.settle))


class WatchCallback(Protocol):
    """Receives the events of a watch; each method may do nothing."""

    def on_predicted(self, predictions: Predictions, completed: list[str]) -> None:
        """Receive predictions that are on disk; the fields in `completed` had been reported as incomplete."""

    def on_overdue(self, failure: Failure) -> None:
        """Receive a field that has lacked a file, or been unreadable, for longer than `patience`."""

    def on_problem(self, message: str) -> None:
        """Receive a message: the folder is unavailable or available again, or a part of it cannot be read."""


def watch(
    predictor: Predictor,
    folder: Path,
    out: Path,
    rules: Rules,
    options: OutputOptions,
    timing: WatchTiming,
    *,
    callback: WatchCallback,
    stop: Event,
    log: PredictionLog | None = None,
    workers: int = 2,
) -> BatchResult:
    """Predict the fields of a folder and of its sub-folders as they arrive, until `stop` is set.

    Predictions are on disk before they are reported: as parts beside `out`, as in `predict_to_file`, and from time to
    time in `out` itself. After a kill, the same call resumes.

    Args:
        predictor: The open bundle.
        folder: The folder; it may be unavailable for a time.
        out: `.csv` or `.parquet`.
        rules: How file names are parsed, and which channels are optional.
        options: What to write.
        timing: Intervals and waiting times.
        callback: Receives the events.
        stop: Ends the watch when it is set.
        log: Also receives the predictions.
        workers: Number of threads that read fields.

    Returns:
        What was done; its failures are the fields that still lack a file or cannot be read.

    Raises:
        LociscopeError: `folder` is not a folder or cannot be read at the start; `out` was made by another bundle or
            with other options, or cannot be written.
    """
    output = PredictionOutput.create(predictor.bundle, out, options)
    if options.embeddings:
        predictor.engine.require_outputs("embedding")
    check_folder(folder)
    with output.lock():
        table = _TableWriter(output)
        tracker = FieldTracker(folder, rules, timing.patience, table.fingerprints)
        writer = LogWriter(log, "watch", is_ending=stop.is_set)
        worker = _BatchPredictor(predictor, tracker, table, callback, writer, workers, timing)
        output.prepare()
        with writer, worker.pool:
            polled = PolledFolder(folder, tracker.may_be_field, timing.settle, output.folder)
            _follow(folder, polled, worker, timing, callback, stop)
            table.write()
        result = worker.result
        result.rows, result.failures = len(table.fingerprints), tracker.failures()
        result.unlogged, result.log_error = writer.unlogged, writer.trouble
        output.close(result.failures)
    return result


def _follow(
    folder: Path,
    polled: PolledFolder,
    worker: _BatchPredictor,
    timing: WatchTiming,
    callback: WatchCallback,
    stop: Event,
) -> None:
    """Predict new fields until `stop` is set or no file has arrived for `until_idle`.

    Only a poll shows that: however long it takes or is delayed, files that it has not seen, or that may still change,
    are not left behind.
    """
    tracker = worker.tracker
    unavailable, last, reported = False, time.monotonic(), 0.0
    polled_at = last
    while not stop.is_set():
        now = time.monotonic()
        changes = polled.poll(now, timing.interval)
        if changes is not None:
            polled_at = now
            unavailable = _report_unavailable(folder, polled.unavailable, was=unavailable, callback=callback)
            if unavailable:
                tracker.postpone(now)
            tracker.update(changes, now)
            for message in changes.problems:
                callback.on_problem(message)
            last = now if changes.changed or changes.settled or polled.has_unsettled else last
        ready = [] if unavailable else tracker.take_ready(now, BATCH_SIZE)
        if ready and worker.predict(ready):
            last = time.monotonic()
        if not ready and not unavailable and now >= reported + min(5.0, timing.patience / 10):
            reported = now
            for failure in tracker.take_overdue(now):
                callback.on_overdue(failure)
        worker.table.write_if_due(idle=not ready)
        if worker.completeness.is_undecided(now):
            last = now
        if timing.until_idle is not None and not ready and polled_at - last >= timing.until_idle:
            return
        if not ready:
            stop.wait(min(timing.interval, 0.25))


def _report_unavailable(folder: Path, reason: str | None, *, was: bool, callback: WatchCallback) -> bool:
    """Report that a folder has become unavailable or available; return whether it is unavailable."""
    if reason and not was:
        callback.on_problem(f"'{folder}' cannot be read now ({reason}). Waiting until it is available.")
    if was and not reason:
        callback.on_problem(f"'{folder}' is available again.")
    return reason is not None


class _TableWriter:
    """The predictions: the finished table, the newer parts, and the fingerprints of their fields."""

    def __init__(self, output: PredictionOutput) -> None:
        self._output = output
        self.fingerprints = output.read_fingerprints()
        self._has_table = bool(self.fingerprints)
        self._parts: list[Predictions] = []
        for part, marks in output.read_parts():
            self._parts.append(part)
            self.fingerprints.update(marks)
        self._next = time.monotonic() + TABLE_EVERY

    @property
    def embeddings(self) -> bool:
        """Return whether the table has embeddings."""
        return self._output.options.embeddings

    def add(self, part: Predictions, fingerprints: dict[str, str]) -> None:
        """Write a part to disk."""
        self._output.write_part(part, fingerprints)
        self._parts.append(part)
        self.fingerprints.update(fingerprints)

    def write_if_due(self, *, idle: bool) -> None:
        """Write the table if it is old enough, or there is no other work."""
        now = time.monotonic()
        if self._parts and now >= (self._next if not idle else self._next - 0.8 * TABLE_EVERY):
            self.write()
            self._next = time.monotonic() + max(TABLE_EVERY, (time.monotonic() - now) / TABLE_SHARE)

    def write(self) -> None:
        """Merge the parts into the table; after a kill at any point, table and parts together hold all rows."""
        if not self._parts:
            return
        stale = {name for part in self._parts for name in part.ids}
        earlier = [self._output.read_table()] if self._has_table else []
        whole = merge_tables(earlier, self._parts, stale, sorted({*self.fingerprints, *stale}))
        self._output.write_table(whole, self.fingerprints)
        self._output.remove_parts()
        self._has_table, self._parts = True, []


class _BatchPredictor:
    """Reads fields, predicts them, and writes the predictions."""

    def __init__(
        self,
        predictor: Predictor,
        tracker: FieldTracker,
        table: _TableWriter,
        callback: WatchCallback,
        writer: LogWriter,
        workers: int,
        timing: WatchTiming,
    ) -> None:
        self._predictor = predictor
        self.tracker = tracker
        self.table = table
        self.completeness = CompletenessCheck(timing.min_rest)
        self._timing = timing
        self._callback = callback
        self._writer = writer
        self._embeddings = table.embeddings or writer.wants_embeddings(predictor.engine.outputs)
        self.pool = ThreadPoolExecutor(workers)
        self.result = BatchResult()

    def predict(self, ready: list[ReadyField]) -> int:
        """Predict fields; return how many could be read."""
        fields: list[PreparedField] = []
        marks: dict[str, str] = {}
        completed: list[str] = []
        for each, result in zip(ready, self.pool.map(self._load, ready), strict=True):
            if isinstance(result, Incomplete):
                pause = self._timing.retry_changed if result.changed else self._timing.retry_unchanged
                self.tracker.mark_unreadable(each, result.reason, time.monotonic(), pause)
                continue
            if isinstance(result, Failure):
                self.tracker.mark_unreadable(each, result.reason, time.monotonic(), code=result.code)
                continue
            fields.append(result)
            marks[each.source.id] = each.fingerprint
            self.completeness.forget(each.source.id)
            if self.tracker.mark_predicted(each):
                completed.append(each.source.id)
        if fields:
            predictions = self._predictor.run(fields, embeddings=self._embeddings)
            predictions = predictions.with_positions({each.source.id: each.source.origin for each in ready})
            self.table.add(predictions if self.table.embeddings else replace(predictions, embedding=None), marks)
            self.result.new += len(predictions)
            statistics = np.stack([each.statistics for each in fields])
            self._writer.add(predictions, statistics, bundle=self._predictor.bundle.sha256)
            self._callback.on_predicted(predictions, completed)
        return len(fields)

    def _load(self, each: ReadyField) -> PreparedField | Incomplete | Failure:
        """Return a field, or why it is not read yet, or why it cannot be read."""
        incomplete = self.completeness.check(each.source, each.since, time.monotonic())
        if incomplete is not None:
            return incomplete
        loaded = load_field(self._predictor.prepare, each.source)
        if isinstance(loaded, PreparedField) and compute_fingerprint(each.source) != each.fingerprint:
            reason = f"Field '{each.source.id}' changed while it was read. It is read again when it no longer changes."
            return Failure(each.source.id, "", reason, Code.INCOMPLETE)
        return loaded
