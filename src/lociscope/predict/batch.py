"""Predicting many fields to a file: resumable, nothing lost, good fields go on and bad ones are listed."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from stat import S_ISDIR
from typing import TYPE_CHECKING

import numpy as np

from lociscope.artifacts.predictions import Predictions
from lociscope.errors import LociscopeError
from lociscope.images.discovery.sources import Failure, FieldSource
from lociscope.images.io.container import parse_plane_ref
from lociscope.images.io.formats import list_source_files
from lociscope.images.io.read import read_field
from lociscope.predict.job import Job, Options
from lociscope.predict.predictor import BATCH, Predictor, PreparedField, batched
from lociscope.prediction_log.writer import LogWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from lociscope.prediction_log.log import PredictionLog
    from lociscope.storage.atomic import AnyPath

PART = 16
"""Calls of the network in one part, so 256 fields: what a kill can cost; an interrupt costs the call that runs."""

Call = tuple[Predictions, np.ndarray]
"""What one call of the network gave, and the statistics of its fields."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Outcome:
    """What a call did.

    Attributes:
        rows: Fields in the file.
        new: Fields that this call predicted.
        failures: Fields that could not be read.
        unlogged: Fields that were predicted and could not be written to the log.
        trouble: Why the last of them could not.
        ids: The fields in the file.
    """

    rows: int = 0
    new: int = 0
    failures: list[Failure] = field(default_factory=list)
    unlogged: int = 0
    trouble: str = ""
    ids: list[str] = field(default_factory=list)


def predict_to_file(
    predictor: Predictor,
    sources: Sequence[FieldSource],
    out: AnyPath,
    options: Options,
    *,
    broken: Sequence[Failure] = (),
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
    log: PredictionLog | None = None,
) -> Outcome:
    """Predicts fields into a file, or goes on where an earlier call stopped.

    Fields that the file already holds are kept if their planes have not changed since; the others, and those
    that failed before, are predicted. The rows follow the order of `sources`, then come rows that the file
    held of other fields.

    What is new is also written to the log, beside the work, each part after its rows are safe on disk. A log that
    cannot be written costs no prediction; what it lacks is counted in the outcome. A kill costs the log the parts that
    it has not taken yet: at most one where it keeps up.

    Args:
        predictor: The opened bundle.
        sources: The fields.
        out: `.csv` or `.parquet`.
        options: What to write.
        broken: Fields known to be unreadable; they are listed with the others.
        workers: Threads that read fields.
        progress: Called with (done, total).
        log: Where to keep the predictions besides.

    Returns:
        What was done.

    Raises:
        LociscopeError: The file was made by another bundle or with other options, or cannot be written.
    """
    job = Job.of(predictor.bundle, Path(out), options, predictor.views)
    if options.embeddings:
        predictor.engine.require("embedding")
    prints = {source.id: fingerprint(source) for source in sources}
    held = job.finished()
    parts = job.parts(prints)
    known = {name for part in parts for name in part.ids}
    known |= {name for name, mark in held.items() if prints.get(name, mark) == mark}
    todo = [source for source in sources if source.id not in known]
    stale = {source.id for source in todo} | {failure.id for failure in broken}
    logger.info("fields found: %d, to predict: %d", len(sources), len(todo))
    outcome = Outcome(failures=list(broken))
    if todo:
        job.prepare()
    prepared = _prepared(predictor, todo, workers, outcome.failures)
    with LogWriter(log, "predict") as writer:
        embeddings = options.embeddings or writer.wants_embeddings(predictor.engine.outputs)
        calls = _counted(_calls(predictor, prepared, embeddings), outcome, len(broken), len(todo), progress)
        _keep(calls, job, prints, {source.id: source.origin for source in todo}, parts, writer)
        if any(map(len, parts)) or stale & held.keys():
            earlier = [job.earlier()] if held else []
            table = merged(earlier, parts, stale, [source.id for source in sources])
            job.finish(table, held | prints)
            outcome.ids = table.ids
        else:
            outcome.ids = list(held)
    outcome.rows = len(outcome.ids)
    outcome.unlogged, outcome.trouble = writer.unlogged, writer.trouble
    job.close(outcome.failures)
    return outcome


def _keep(
    calls: Iterator[Call],
    job: Job,
    prints: Mapping[str, str],
    origins: Mapping[str, Mapping[str, str]],
    parts: list[Predictions],
    writer: LogWriter,
) -> None:
    """Write calls as parts of `PART` of them, also those that were made before an error or an interrupt."""
    waiting: list[Call] = []

    def write() -> None:
        made = Predictions.join([call for call, _ in waiting]).with_positions(origins)
        part = made if job.options.embeddings else replace(made, embedding=None)
        job.write_part(part, prints)
        parts.append(part)
        statistics = np.concatenate([statistics for _, statistics in waiting])
        waiting.clear()  # only now: what an interrupt kept from being written is written below
        writer.add(made, statistics, bundle=job.identity["bundle"])

    try:
        for call in calls:
            waiting.append(call)
            if len(waiting) == PART:
                write()
    finally:
        if waiting:
            write()


def _counted(
    calls: Iterator[Call],
    outcome: Outcome,
    broken: int,
    total: int,
    progress: Callable[[int, int], None] | None,
) -> Iterator[Call]:
    """Counts what is new, and says how far the work is; the first `broken` failures are no part of it."""
    for call in calls:
        outcome.new += len(call[0])
        if progress:
            progress(outcome.new + len(outcome.failures) - broken, total)
        yield call


def _calls(predictor: Predictor, prepared: Iterator[PreparedField], embeddings: bool) -> Iterator[Call]:
    """Predict batches in a thread, so that an interrupt need not wait until the network has returned."""
    with _threads(1) as pool:
        for batch in batched(prepared, BATCH):
            yield pool.submit(_call, predictor, batch, embeddings).result()


def _call(predictor: Predictor, fields: list[PreparedField], embeddings: bool) -> Call:
    return predictor.run(fields, embeddings=embeddings), np.stack([each.statistics for each in fields])


@contextmanager
def _threads(number: int) -> Iterator[ThreadPoolExecutor]:
    """Open a pool of threads that, after an error or an interrupt, is not waited for."""
    pool = ThreadPoolExecutor(number)
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def load_field(predictor: Predictor, source: FieldSource) -> PreparedField | str:
    """Reads and prepares a field; why it cannot be, where it cannot."""
    try:
        return predictor.prepare(read_field(source))
    except LociscopeError as error:
        return str(error)
    except MemoryError:
        return f"Field '{source.id}' does not fit into memory. Try fewer --workers, or a larger machine."


def _prepared(
    predictor: Predictor, sources: Sequence[FieldSource], workers: int, failures: list[Failure]
) -> Iterator[PreparedField]:
    """Reads and prepares fields in threads, in order, a few ahead of what is asked for."""

    def load(source: FieldSource) -> PreparedField | Failure:
        found = load_field(predictor, source)
        if isinstance(found, str):
            return Failure(source.id, str(next(iter(source.paths), "")), found)
        return found

    with _threads(workers) as pool:
        for result in _ahead(pool, load, sources, 2 * workers):
            if isinstance(result, Failure):
                failures.append(result)
            else:
                yield result


def _ahead(
    pool: ThreadPoolExecutor,
    load: Callable[[FieldSource], PreparedField | Failure],
    sources: Sequence[FieldSource],
    most: int,
) -> Iterator[PreparedField | Failure]:
    """Maps in order with at most `most` waiting, so that memory does not grow with the number of fields."""
    waiting: deque[Future[PreparedField | Failure]] = deque()
    try:
        for source in sources:
            waiting.append(pool.submit(load, source))
            if len(waiting) > most:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def fingerprint(source: FieldSource) -> str:
    """Return what changes when a file of a field is replaced, changed in place, or read otherwise.

    It is a hash of the path, size and time of each file; of a Zarr, of all the files in its folder.
    """
    known: dict[Path, str] = {}
    marks = []
    for path in source.planes if not source.loose else source.loose:
        place = path and parse_plane_ref(path)
        if place and place.file not in known:
            known[place.file] = "|".join(filter(None, map(_mark, list_source_files(place))))
        marks.append(f"{os.path.abspath(path) if path else ''}|{known[place.file] if place else ''}")
    if source.pixel_size or source.plane is not None:
        marks.append(f"{source.pixel_size}|{source.plane}")
    return hashlib.sha256("\n".join(marks).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _mark(file: Path) -> str:
    """Size and time of a file; of a folder, a hash of the names, sizes and times of all that is in it."""
    try:
        stat = file.stat()
        if not S_ISDIR(stat.st_mode):
            return f"{stat.st_size}|{stat.st_mtime_ns}"
        lines = sorted(_lines(os.fspath(file)))
    except OSError:
        return ""
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _lines(folder: str, within: str = "") -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            name = f"{within}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                yield from _lines(entry.path, name)
            else:
                stat = entry.stat()
                yield f"{name}|{stat.st_size}|{stat.st_mtime_ns}"


def merged(earlier: list[Predictions], parts: list[Predictions], stale: set[str], order: list[str]) -> Predictions:
    """Puts rows in the order of the sources; rows of other fields follow as they stood.

    Args:
        earlier: The table as it was.
        parts: What is new.
        stale: Ids whose earlier rows no longer hold.
        order: Ids of the sources.

    Returns:
        The whole table.
    """
    kept = [table.take([row for row, name in enumerate(table.ids) if name not in stale]) for table in earlier]
    whole = Predictions.join([table for table in (*kept, *parts) if len(table)])
    row_of = {name: row for row, name in enumerate(whole.ids)}
    rows = [row_of.pop(name) for name in order if name in row_of]
    return whole.take([*rows, *row_of.values()])
