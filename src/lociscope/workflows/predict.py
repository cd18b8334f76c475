"""Batch prediction: find fields, open the bundle and the log, and write a table that a second call resumes."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from lociscope.artifacts.submission import read_sample
from lociscope.images.discovery.naming import DEFAULT_RULES, Rules
from lociscope.images.discovery.sources import find_fields
from lociscope.predict.batch import BatchResult, predict_to_file
from lociscope.predict.output import OutputOptions, PredictionOutput
from lociscope.predict.predictor import open_bundle
from lociscope.prediction_log.log import open_log
from lociscope.processes.progress import ProgressCallback, ignore_progress
from lociscope.storage.paths import as_path, as_paths
from lociscope.workflows.submission import count_excluded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lociscope.storage.paths import AnyPath


def predict_files(
    sources: AnyPath | Sequence[AnyPath],
    output: AnyPath,
    *,
    bundle: AnyPath | None = None,
    rules: Rules = DEFAULT_RULES,
    kaggle: bool = False,
    sample_submission: AnyPath | None = None,
    embeddings: bool = False,
    tta: bool = False,
    log: str | None = None,
    workers: int = 2,
    progress: ProgressCallback = ignore_progress,
) -> BatchResult:
    """Predict fields into a table. A second call predicts only what is new, changed, or failed before.

    Args:
        sources: Folders, zip archives, picture files, Catalogs, tables of paths.
        output: The table, `.csv` or `.parquet`.
        bundle: The folder of the bundle; None is the one that ships with lociscope.
        rules: How file names are parsed, and which channels are optional.
        kaggle: Write the competition's `Id,Predicted`.
        sample_submission: The competition's list of test ids, which gives the rows and their order.
        embeddings: Also write the embeddings (`.parquet` only).
        tta: Use test-time augmentation.
        log: The prediction log: a path (SQLite) or an SQLAlchemy URL; None for no log.
        workers: Number of threads that read fields.
        progress: Called with (done, total).

    Returns:
        What was done.

    Raises:
        LociscopeError: A source, the bundle or the log cannot be opened; the sample submission lists none of the
            fields; or `output` was made by another bundle or with other options, or is being written.
    """
    output = as_path(output)
    bundle = as_path(bundle)
    sample_submission = as_path(sample_submission)
    sources = as_paths(sources)
    sample = None if sample_submission is None else read_sample(sample_submission)
    found, broken = find_fields(sources, rules)
    excluded = 0
    if sample is not None:
        excluded = count_excluded([source.id for source in found], sample, sample_submission)
        found = [source for source in found if source.id in sample]
        broken = [failure for failure in broken if failure.id in sample]
    predictor = open_bundle(bundle, tta=tta)
    options = OutputOptions(kaggle, embeddings, sample)
    lock = PredictionOutput.create(predictor.bundle, output, options).lock()
    with lock, nullcontext() if log is None else open_log(log) as open_:
        result = predict_to_file(
            predictor, found, output, options, broken=broken, workers=workers, progress=progress, log=open_
        )
    result.excluded = excluded
    return result
