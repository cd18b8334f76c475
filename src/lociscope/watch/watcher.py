"""Watching a folder: fields are predicted as a microscope writes them, each once, whatever interrupts it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.sources import Failure
from lociscope.predict.batch import BatchResult, merge_tables
from lociscope.predict.fingerprint import compute_fingerprint
from lociscope.predict.loading import load_field
from lociscope.predict.output import OutputOptions, PredictionOutput
from lociscope.predict.predictor import BATCH_SIZE, Predictor, PreparedField
from lociscope.prediction_log.writer import LogWriter
from lociscope.watch.arrivals import Arrivals, Ready
from lociscope.watch.completeness import Completeness, Doubt
from lociscope.watch.folder import PolledFolder

if TYPE_CHECKING:
    from pathlib import Path
    from threading import Event

    from lociscope.artifacts.predictions import Predictions
    from lociscope.images.discovery.naming import Rules
    from lociscope.prediction_log.log import PredictionLog

TABLE_EVERY, TABLE_SHARE = 10.0, 0.05
"""The table is written anew at most so often, and in at most this share of the time; parts hold what is newer."""

RESTS = 10
"""A field that may be incomplete rests at least so many times as long as one without a sign of that."""


@dataclass(frozen=True, slots=True)
class Pace:
    """When a watch does what, in seconds.

    Attributes:
        every: Between two looks at the folder; more where looking takes too much of a core.
        settle: For which a file must not change to be read.
        patience: After which a field that lacks a file, or cannot be read, is reported.
        until_idle: After which the watch ends by itself when nothing comes; None never.
    """

    every: float = 0.5
    settle: float = 2.0
    patience: float = 60.0
    until_idle: float | None = None

    @property
    def rest(self) -> float:
        """For which the files of a field that may be incomplete must not change to be read."""
        return max(self.patience, RESTS * self.settle)

    @property
    def again(self) -> float:
        """After which such a field is looked at again where its files have just changed."""
        return max(self.settle, self.every)

    @property
    def seldom(self) -> float:
        """The same where they have not."""
        return max(self.again, min(5.0, 4 * self.settle))


class Tell(Protocol):
    """What hears of everything that happens; each method may do nothing."""

    def predicted(self, predictions: Predictions, completed: list[str]) -> None:
        """Fields are predicted, and kept on disk; those of `completed` had been reported as incomplete."""

    def overdue(self, failure: Failure) -> None:
        """A field lacks something, or cannot be read, for longer than the patience."""

    def trouble(self, sentence: str) -> None:
        """The folder is away, or is back, or a part of it cannot be read."""


def watch(
    predictor: Predictor,
    folder: Path,
    out: Path,
    rules: Rules,
    options: OutputOptions,
    pace: Pace,
    *,
    tell: Tell,
    stop: Event,
    log: PredictionLog | None = None,
    workers: int = 2,
) -> BatchResult:
    """Predicts the fields of a folder and of its sub-folders as they come, until it is told to stop.

    What is predicted is on disk before it is told: as a part beside `out`, as `predict_to_file` keeps them, and
    from time to time in `out` itself. A watch that was killed and is started again goes on where it was.

    Args:
        predictor: The opened bundle.
        folder: The folder; it may vanish for a time.
        out: `.csv` or `.parquet`.
        rules: How files are told apart, and what a field may lack.
        options: What to write.
        pace: When to do what.
        tell: Hears what happens.
        stop: Set from elsewhere, it ends the watch in order.
        log: Keeps what is predicted.
        workers: Threads that read fields.

    Returns:
        What was done; its failures are the fields that still lack something.

    Raises:
        LociscopeError: The folder is none or cannot be read at the start; `out` was made by another bundle or with
            other options, or cannot be written.
    """
    job = PredictionOutput.create(predictor.bundle, out, options)
    if options.embeddings:
        predictor.engine.require_outputs("embedding")
    _check(folder)
    with job.lock():
        table = _Table(job)
        arrivals = Arrivals(folder, rules, pace.patience, table.prints)
        writer = LogWriter(log, "watch", is_ending=stop.is_set)
        work = _Work(predictor, arrivals, table, tell, writer, workers, pace)
        job.prepare()
        with writer, work.pool:
            _follow(folder, PolledFolder(folder, arrivals.wanted, pace.settle, job.folder), work, pace, tell, stop)
            table.write()
        outcome = work.outcome
        outcome.rows, outcome.failures = len(table.prints), arrivals.failures()
        outcome.unlogged, outcome.log_error = writer.unlogged, writer.trouble
        job.close(outcome.failures)
    return outcome


def _follow(folder: Path, polled: PolledFolder, work: _Work, pace: Pace, tell: Tell, stop: Event) -> None:
    """Predict what comes, until `stop` is set or nothing has come for long enough."""
    arrivals = work.arrivals
    away, last, asked = False, time.monotonic(), 0.0
    while not stop.is_set():
        now = time.monotonic()
        seen = polled.poll(now, pace.every)
        if seen is not None:
            away = _tell_away(folder, polled.away, was=away, tell=tell)
            if away:
                arrivals.postpone(now)
            arrivals.update(seen, now)
            for sentence in seen.trouble:
                tell.trouble(sentence)
            last = now if seen.stirred or seen.settled else last
        ready = [] if away else arrivals.ready(now, BATCH_SIZE)
        if ready and work.predict(ready):
            last = time.monotonic()
        if not ready and not away and now >= asked + min(5.0, pace.patience / 10):
            asked = now
            for failure in arrivals.overdue(now):
                tell.overdue(failure)
        work.table.write_if_due(idle=not ready)
        if work.completeness.undecided(now):
            last = now
        if pace.until_idle is not None and not ready and time.monotonic() - last >= pace.until_idle:
            return
        if not ready:
            stop.wait(min(pace.every, 0.25))


def _check(folder: Path) -> None:
    try:
        if not folder.is_dir():
            what = "is no folder" if folder.exists() else "does not exist"
            raise LociscopeError(
                f"'{folder}' {what}. Name the folder that the microscope writes to.", code=Code.INVALID_VALUE
            )
        next(folder.iterdir(), None)
    except OSError as error:
        raise LociscopeError(
            f"Cannot read '{folder}': {error.strerror}. Check its permissions.", code=Code.UNREADABLE
        ) from error


def _tell_away(folder: Path, reason: str | None, *, was: bool, tell: Tell) -> bool:
    if reason and not was:
        tell.trouble(f"'{folder}' cannot be read now ({reason}). Waiting for it to come back.")
    if was and not reason:
        tell.trouble(f"'{folder}' is back.")
    return reason is not None


class _Table:
    """What is predicted: the finished table, the parts that are newer, and what they were made of."""

    def __init__(self, job: PredictionOutput) -> None:
        self._job = job
        held = job.read_fingerprints()
        self._any = bool(held)
        self._parts: list[Predictions] = []
        self.prints = dict(held)
        for part, marks in job.read_parts():
            self._parts.append(part)
            self.prints.update(marks)
        self._next = time.monotonic() + TABLE_EVERY

    @property
    def embeddings(self) -> bool:
        """Whether it holds embeddings."""
        return self._job.options.embeddings

    def add(self, part: Predictions, prints: dict[str, str]) -> None:
        """Keeps a part on disk."""
        self._job.write_part(part, prints)
        self._parts.append(part)
        self.prints.update(prints)

    def write_if_due(self, *, idle: bool) -> None:
        """Writes the table where it is old enough, or nothing else is to be done."""
        now = time.monotonic()
        if self._parts and now >= (self._next if not idle else self._next - 0.8 * TABLE_EVERY):
            self.write()
            self._next = time.monotonic() + max(TABLE_EVERY, (time.monotonic() - now) / TABLE_SHARE)

    def write(self) -> None:
        """Puts the parts into the table; killed at any point, the two together still hold everything."""
        if not self._parts:
            return
        stale = {name for part in self._parts for name in part.ids}
        earlier = [self._job.read_table()] if self._any else []
        whole = merge_tables(earlier, self._parts, stale, sorted({*self.prints, *stale}))
        self._job.write_table(whole, self.prints)
        self._job.remove_parts()
        self._any, self._parts = True, []


class _Work:
    """Reads fields, predicts them, and keeps what is predicted."""

    def __init__(
        self,
        predictor: Predictor,
        arrivals: Arrivals,
        table: _Table,
        tell: Tell,
        writer: LogWriter,
        workers: int,
        pace: Pace,
    ) -> None:
        self._predictor = predictor
        self.arrivals = arrivals
        self.table = table
        self.completeness = Completeness(pace.rest)
        self._pace = pace
        self._tell = tell
        self._writer = writer
        self._embeddings = table.embeddings or writer.wants_embeddings(predictor.engine.outputs)
        self.pool = ThreadPoolExecutor(workers)
        self.outcome = BatchResult()

    def predict(self, ready: list[Ready]) -> int:
        """Predicts fields; gives how many could be read."""
        fields: list[PreparedField] = []
        marks: dict[str, str] = {}
        completed: list[str] = []
        for each, result in zip(ready, self.pool.map(self._load, ready), strict=True):
            if isinstance(result, Doubt):
                pause = self._pace.again if result.fresh else self._pace.seldom
                self.arrivals.refused(each, result.reason, time.monotonic(), pause)
                continue
            if isinstance(result, str):
                self.arrivals.refused(each, result, time.monotonic())
                continue
            fields.append(result)
            marks[each.source.id] = each.fingerprint
            self.completeness.forget(each.source.id)
            if self.arrivals.done(each):
                completed.append(each.source.id)
        if fields:
            made = self._predictor.run(fields, embeddings=self._embeddings)
            made = made.with_positions({each.source.id: each.source.origin for each in ready})
            self.table.add(made if self.table.embeddings else replace(made, embedding=None), marks)
            self.outcome.new += len(made)
            statistics = np.stack([each.statistics for each in fields])
            self._writer.add(made, statistics, bundle=self._predictor.bundle.sha256)
            self._tell.predicted(made, completed)
        return len(fields)

    def _load(self, each: Ready) -> PreparedField | Doubt | str:
        """The field, or why it is not to be read yet, or cannot be as it is."""
        doubt = self.completeness.doubt(each.source, each.since, time.monotonic())
        if doubt is not None:
            return doubt
        loaded = load_field(self._predictor, each.source)
        if isinstance(loaded, Failure):
            return loaded.reason
        if compute_fingerprint(each.source) != each.fingerprint:
            return f"Field '{each.source.id}' changed while it was read. It is read again once it rests."
        return loaded
