"""Predict many fields into a file: resumable, nothing lost, and fields that cannot be read are listed."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from lociscope.artifacts.predictions import Predictions
from lociscope.predict.fingerprint import compute_fingerprint
from lociscope.predict.loading import predict_sources
from lociscope.predict.remote_output import open_output
from lociscope.prediction_log.writer import LogWriter
from lociscope.processes.progress import ProgressCallback, ignore_progress
from lociscope.storage.paths import as_paths

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from lociscope.images.discovery.sources import Failure, FieldSource
    from lociscope.predict.cell_batch import CellResult
    from lociscope.predict.loading import BatchEngine, Call
    from lociscope.predict.output import OutputOptions, PredictionOutput
    from lociscope.predict.predictor import Predictor
    from lociscope.prediction_log.log import PredictionLog
    from lociscope.storage.paths import AnyPath

CALLS_PER_PART = 32
"""Calls of the network per part, so 256 fields: the most that a kill loses; an interrupt loses the current calls."""

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
        cells: What the prediction of their cells did; None where cells were not asked for.
        matched: The table with matched label rates; None where it was not asked for.
    """

    rows: int = 0
    new: int = 0
    failures: list[Failure] = field(default_factory=list)
    unlogged: int = 0
    log_error: str = ""
    excluded: int = 0
    ids: list[str] = field(default_factory=list)
    cells: CellResult | None = None
    matched: Path | None = None


def predict_to_file(
    predictor: Predictor,
    sources: Sequence[FieldSource],
    out: AnyPath,
    options: OutputOptions,
    *,
    broken: Sequence[Failure] = (),
    workers: int | None = 2,
    progress: ProgressCallback = ignore_progress,
    log: PredictionLog | None = None,
    engine: BatchEngine = predict_sources,
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
        out: `.csv` or `.parquet`; a `RemotePath` for one behind a URL.
        options: What to write.
        broken: Fields known to be unreadable; they are listed with the others.
        workers: Number of threads that read and predict fields; on a cluster, the maximum number of tasks that read
            at a time.
        progress: Called with (done, total).
        log: Also receives the predictions.
        engine: What reads and predicts the fields: `predict_sources`, in threads, or a
            `lociscope.predict.ray_engine.RayCluster`.

    Returns:
        What was done.

    Raises:
        LociscopeError: The file was made by another bundle or with other options, or is being or cannot be written.
    """
    if options.embeddings:
        predictor.engine.require_outputs("embedding")
    (path,) = as_paths(out)
    with open_output(predictor.bundle, path, options, tta=predictor.tta) as output:
        work = _RemainingWork.find(output, sources)
        logger.info("fields found: %d, to predict: %d", len(sources), len(work.todo))
        result = BatchResult(failures=list(broken))
        if work.todo:
            output.prepare()
        with LogWriter(log, "predict") as writer:
            embeddings = options.embeddings or writer.wants_embeddings(predictor.engine.outputs)
            made = engine(predictor, work.todo, workers, embeddings=embeddings, statistics=log is not None)
            _write_parts(_count_calls(made, result, len(broken), len(work.todo), progress), output, work, writer)
            result.ids = _write_table(output, work, sources, broken)
        result.rows = len(result.ids)
        result.unlogged, result.log_error = writer.unlogged, writer.trouble
        output.close(result.failures)
    return result


@dataclass(frozen=True, slots=True)
class _RemainingWork:
    """What earlier calls predicted, and what remains.

    Attributes:
        fingerprints: The present fingerprints of the fields, by id.
        finished: The fingerprints of the fields in the finished table, by id.
        parts: Valid rows that are not in the finished table; new ones are added.
        todo: The fields that are not predicted, or have changed since.
    """

    fingerprints: dict[str, str]
    finished: dict[str, str]
    parts: list[Predictions]
    todo: list[FieldSource]

    @classmethod
    def find(cls, output: PredictionOutput, sources: Sequence[FieldSource]) -> Self:
        fingerprints = {source.id: compute_fingerprint(source) for source in sources}
        finished = output.read_fingerprints()
        parts = output.read_valid_parts(fingerprints)
        done = {name for part in parts for name in part.ids}
        done |= {name for name, mark in finished.items() if fingerprints.get(name, mark) == mark}
        return cls(fingerprints, finished, parts, [source for source in sources if source.id not in done])


def _write_table(
    output: PredictionOutput, work: _RemainingWork, sources: Sequence[FieldSource], broken: Sequence[Failure]
) -> list[str]:
    """Merge the parts into the finished table, unless nothing has changed; return its ids."""
    stale = {source.id for source in work.todo} | {failure.id for failure in broken}
    if not any(map(len, work.parts)) and not stale & work.finished.keys():
        return list(work.finished)
    earlier = [output.read_table()] if work.finished else []
    table = merge_tables(earlier, work.parts, stale, [source.id for source in sources])
    output.write_table(table, work.finished | work.fingerprints)
    return table.ids


def _write_parts(calls: Iterator[Call], output: PredictionOutput, work: _RemainingWork, writer: LogWriter) -> None:
    """Write calls as parts of `CALLS_PER_PART`, also the calls that were made before an error or an interrupt."""
    waiting: list[tuple[Predictions, np.ndarray | None]] = []
    origins = {source.id: source.origin for source in work.todo}

    def write() -> None:
        predictions = Predictions.join([predictions for predictions, _ in waiting]).with_positions(origins)
        part = predictions if output.options.embeddings else replace(predictions, embedding=None)
        output.write_part(part, work.fingerprints)
        work.parts.append(part)
        statistics = [statistics for _, statistics in waiting if statistics is not None]
        waiting.clear()  # only now: if an interrupt prevents the write, it is repeated below
        if statistics:
            writer.add(predictions, np.concatenate(statistics), bundle=output.identity["bundle"])

    try:
        for call in calls:
            if call.predictions is not None:
                waiting.append((call.predictions, call.statistics))
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
        result.failures += call.failures
        result.new += len(call.predictions or ())
        progress(result.new + len(result.failures) - broken, total)
        yield call


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
