"""Prediction of a watched folder: open the bundle and the log, and predict fields as they arrive."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from lociscope.images.discovery.naming import DEFAULT_RULES, Rules
from lociscope.predict.output import OutputOptions
from lociscope.predict.predictor import open_bundle
from lociscope.prediction_log.log import open_log
from lociscope.storage.paths import as_path
from lociscope.watch.watcher import WatchCallback, WatchTiming, watch
from lociscope.workflows.submission import check_table

if TYPE_CHECKING:
    from threading import Event

    from lociscope.predict.batch import BatchResult
    from lociscope.storage.paths import AnyPath


def watch_folder(
    folder: AnyPath,
    output: AnyPath,
    *,
    callback: WatchCallback,
    stop: Event,
    bundle: AnyPath | None = None,
    rules: Rules = DEFAULT_RULES,
    embeddings: bool = False,
    timing: WatchTiming | None = None,
    log: str | None = None,
    workers: int = 2,
) -> BatchResult:
    """Predict fields as a microscope writes them. A second call resumes.

    Args:
        folder: The folder that the microscope writes to.
        output: The table, `.csv` or `.parquet`.
        callback: Receives the events.
        stop: Ends the watch when it is set.
        bundle: The folder of the bundle; None is the one that ships with lociscope.
        rules: How file names are parsed, and which channels are optional.
        embeddings: Also write the embeddings (`.parquet` only).
        timing: Intervals and waiting times.
        log: The prediction log: a path (SQLite) or an SQLAlchemy URL; None for no log.
        workers: Number of threads that read fields.

    Returns:
        What was done; its failures are the fields that still lack a file or cannot be read.

    Raises:
        UsageError: `output` has the wrong suffix.
        LociscopeError: The folder, the bundle or the log cannot be opened, or `output` was made by another bundle or
            with other options, or is being written.
    """
    folder = as_path(folder)
    output = as_path(output)
    bundle = as_path(bundle)
    check_table(output, embeddings=embeddings)
    predictor = open_bundle(bundle)
    options = OutputOptions(embeddings=embeddings)
    with nullcontext() if log is None else open_log(log) as open_:
        return watch(
            predictor, folder, output, rules, options, timing or WatchTiming(),
            callback=callback, stop=stop, log=open_, workers=workers,
        )  # fmt: skip
