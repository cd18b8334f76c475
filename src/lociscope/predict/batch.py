"""Predict many fields into a file: resumable, nothing lost, and fields that cannot be read are listed."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lociscope.artifacts.predictions import Predictions
from lociscope.predict.fingerprint import compute_fingerprint
from lociscope.predict.loading import load_fields, thread_pool
from lociscope.predict.output import OutputOptions, PredictionOutput
from lociscope.predict.predictor import BATCH_SIZE, Predictor, PreparedField, batched
from lociscope.prediction_log.writer import LogWriter
from lociscope.processes.progress import ProgressCallback, ignore_progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lociscope.images.discovery.sources import Failure, FieldSource
    from lociscope.prediction_log.log import PredictionLog
    from lociscope.storage.paths import AnyPath

CALLS_PER_PART = 16
"""Calls of the network per part, so 256 fields: the most that a kill loses; an interrupt loses the current call."""

Call = tuple[Predictions, np.ndarray]
"""The predictions of one call of the network, and the statistics of its fields."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class BatchResult:
    """What a prediction into a file did.

    Attributes:
        rows: Number of fields in the file.
        new: Number of fields predicted now.
        failures: Fields that could not be read.
        unlogged: Number of predicted fields that could not be written to the log.
        log_error: Why the last of them could not be written.
        excluded: Number of fields left out because the sample submission does not list them.
        ids: The fields in the file.
    """

    rows: int = 0
    new: int = 0
    failures: list[Failure] = field(default_factory=list)
    unlogged: int = 0
    log_error: str = ""
    excluded: int = 0
    ids: list[str] = field(default_factory=list)


def predict_to_file(
    predictor: Predictor,
    sources: Sequence[FieldSource],
    out: AnyPath,
    options: OutputOptions,
    *,
    broken: Sequence[Failure] = (),
    workers: int = 2,
    progress: ProgressCallback = ignore_progress,
    log: PredictionLog | None = None,
) -> BatchResult:
    """Predict fields into a file, or resume an earlier call.

    Fields that the file already contains are kept if their planes have not changed since. The others, and those that
    failed before, are predicted. The rows follow the order of `sources`; rows of other fields in the file come last.

    New predictions are also written to the log, in a separate thread, each part after its rows are safe on disk. A
    log that cannot be written costs no prediction; `BatchResult.unlogged` counts what it lacks. After a kill, the log
    lacks the parts that it had not received: at most one where it keeps up.

    Args:
        predictor: The open bundle.
        sources: The fields.
        out: `.csv` or `.parquet`.
        options: What to write.
        broken: Fields known to be unreadable; they are listed with the others.
        workers: Number of threads that read fields.
        progress: Called with (done, total).
        log: Also receives the predictions.

    Returns:
        What was done.

    Raises:
        LociscopeError: The file was made by another bundle or with other options, or cannot be written.
    """
    output = PredictionOutput.create(predictor.bundle, Path(out), options, tta=predictor.tta)
    if options.embeddings:
        predictor.engine.require_outputs("embedding")
    fingerprints = {source.id: compute_fingerprint(source) for source in sources}
    finished = output.read_fingerprints()
    parts = output.read_valid_parts(fingerprints)
    done = {name for part in parts for name in part.ids}
    done |= {name for name, mark in finished.items() if fingerprints.get(name, mark) == mark}
    todo = [source for source in sources if source.id not in done]
    stale = {source.id for source in todo} | {failure.id for failure in broken}
    logger.info("fields found: %d, to predict: %d", len(sources), len(todo))
    result = BatchResult(failures=list(broken))
    if todo:
        output.prepare()
    fields = load_fields(predictor, todo, workers, result.failures)
    with LogWriter(log, "predict") as writer:
        embeddings = options.embeddings or writer.wants_embeddings(predictor.engine.outputs)
        calls = _count_calls(_predict_batches(predictor, fields, embeddings), result, len(broken), len(todo), progress)
        origins = {source.id: source.origin for source in todo}
        _write_parts(calls, output, fingerprints, origins, parts, writer)
        if any(map(len, parts)) or stale & finished.keys():
            earlier = [output.read_table()] if finished else []
            table = merge_tables(earlier, parts, stale, [source.id for source in sources])
            output.write_table(table, finished | fingerprints)
            result.ids = table.ids
        else:
            result.ids = list(finished)
    result.rows = len(result.ids)
    result.unlogged, result.log_error = writer.unlogged, writer.trouble
    output.close(result.failures)
    return result


def _write_parts(
    calls: Iterator[Call],
    output: PredictionOutput,
    fingerprints: Mapping[str, str],
    origins: Mapping[str, Mapping[str, str]],
    parts: list[Predictions],
    writer: LogWriter,
) -> None:
    """Write calls as parts of `CALLS_PER_PART`, also the calls that were made before an error or an interrupt."""
    waiting: list[Call] = []

    def write() -> None:
        predictions = Predictions.join([call for call, _ in waiting]).with_positions(origins)
        part = predictions if output.options.embeddings else replace(predictions, embedding=None)
        output.write_part(part, fingerprints)
        parts.append(part)
        statistics = np.concatenate([statistics for _, statistics in waiting])
        waiting.clear()  # only now: if an interrupt prevents the write, it is repeated below
        writer.add(predictions, statistics, bundle=output.identity["bundle"])

    try:
        for call in calls:
            waiting.append(call)
            if len(waiting) == CALLS_PER_PART:
                write()
    finally:
        if waiting:
            write()


def _count_calls(
    calls: Iterator[Call], result: BatchResult, broken: int, total: int, progress: ProgressCallback
) -> Iterator[Call]:
    """Count the new fields and report progress; the first `broken` failures are not part of the work."""
    for call in calls:
        result.new += len(call[0])
        progress(result.new + len(result.failures) - broken, total)
        yield call


def _predict_batches(predictor: Predictor, fields: Iterator[PreparedField], embeddings: bool) -> Iterator[Call]:
    """Predict batches in a thread, so that an interrupt need not wait until the network has returned."""
    with thread_pool(1) as pool:
        for batch in batched(fields, BATCH_SIZE):
            yield pool.submit(_predict_batch, predictor, batch, embeddings).result()


def _predict_batch(predictor: Predictor, fields: list[PreparedField], embeddings: bool) -> Call:
    return predictor.run(fields, embeddings=embeddings), np.stack([each.statistics for each in fields])


def merge_tables(
    earlier: list[Predictions], parts: list[Predictions], stale: set[str], order: list[str]
) -> Predictions:
    """Return all rows in the order of the sources, then the rows of other fields in their earlier order.

    Args:
        earlier: The finished table, or nothing.
        parts: The new rows.
        stale: Ids whose earlier rows are no longer valid.
        order: Ids of the sources.
    """
    valid = [table.take([row for row, name in enumerate(table.ids) if name not in stale]) for table in earlier]
    whole = Predictions.join([table for table in (*valid, *parts) if len(table)])
    row_of = {name: row for row, name in enumerate(whole.ids)}
    rows = [row_of.pop(name) for name in order if name in row_of]
    return whole.take([*rows, *row_of.values()])
