"""Batch prediction: find fields, open the bundle and the log, and write a table that a second call resumes."""

from __future__ import annotations

from contextlib import nullcontext
from importlib.util import find_spec
from typing import TYPE_CHECKING

from lociscope.artifacts.predictions import Predictions
from lociscope.artifacts.submission import read_sample
from lociscope.errors import Code, MissingExtraError, UsageError
from lociscope.images.discovery.naming import DEFAULT_RULES, Rules
from lociscope.images.discovery.remote import open_urls
from lociscope.images.discovery.sources import find_fields
from lociscope.images.segmentation.label_images import LabelPattern
from lociscope.predict.batch import BatchResult, predict_to_file
from lociscope.predict.cell_batch import CellOptions, predict_cells_to_file
from lociscope.predict.cell_masks import check_formats
from lociscope.predict.loading import MAX_WORKERS
from lociscope.predict.output import OutputOptions, PredictionOutput
from lociscope.predict.predictor import open_bundle
from lociscope.predict.runtimes import DEFAULT_RUNTIME
from lociscope.prediction_log.log import open_log
from lociscope.processes.progress import ProgressCallback, ignore_progress
from lociscope.processes.threads import count_cores
from lociscope.processes.workers import keep_freed_memory
from lociscope.storage.paths import as_path, as_paths
from lociscope.storage.remote import RemotePath, as_remote
from lociscope.workflows.engines import LOCAL, check_local, choose_engine
from lociscope.workflows.explain import create_folder, explain_files
from lociscope.workflows.submission import check_table, count_excluded

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np

    from lociscope.predict.cell_masks import MaskFormat
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
    cells: bool = False,
    cell_labels: str | None = None,
    masks: Sequence[MaskFormat] = (),
    tta: bool = False,
    log: str | None = None,
    workers: int | None = None,
    runtime: str = DEFAULT_RUNTIME,
    explain: AnyPath | None = None,
    engine: str = LOCAL,
    ray_address: str | None = None,
    match_rates: AnyPath | None = None,
    progress: ProgressCallback = ignore_progress,
) -> BatchResult:
    """Predict fields into a table. A second call predicts only what is new, changed, or failed before.

    Args:
        sources: Folders, zip archives, picture files, Catalogs, tables of paths; also URLs (`s3://`, `https://`) of
            picture files, of tables, and of folders in an object store. Tables may contain URLs.
        output: The table, `.csv` or `.parquet`, also by URL.
        bundle: The folder of the bundle; None is the one that ships with lociscope.
        rules: How file names are parsed, and which channels are optional.
        kaggle: Write the competition's `Id,Predicted`.
        sample_submission: The competition's list of test ids, which gives the rows and their order.
        embeddings: Also write the embeddings (`.parquet` only).
        cells: Also predict each cell; the files are beside `output` (`lociscope.predict.cell_output`).
        cell_labels: Where the label images of the cells are, such as `masks/{id}_cp_masks.png`, which implies `cells`;
            None finds the cells in the reference channels.
        masks: Formats of label images and outlines to write, which implies `cells`.
        tta: Use test-time augmentation.
        log: The prediction log: a path (SQLite) or an SQLAlchemy URL; None for no log.
        workers: Number of threads that read and predict fields; None uses every core, `MAX_WORKERS` at most.
        runtime: What computes the network: `onnxruntime`, `openvino` (in float32) or `cuda`, as installed.
        explain: A folder for a picture of each field, with the evidence for its locations; None for none.
        engine: What shares the work: `local`, threads of this process, or `ray`, a cluster.
        ray_address: The address of a running Ray cluster, such as `auto` or `ray://head:10001`; None starts one on
            this machine.
        match_rates: Also write `OUT.matched`, in which the label rates of the fields are those of the competition
            (`hpa2018`), or of a labelled Catalog or label table; see `lociscope.workflows.match.match_table`.
        progress: Called with (done, total).

    Returns:
        What was done.

    Raises:
        UsageError: `output` has the wrong suffix, or `sample_submission` is passed without `kaggle`.
        LociscopeError: A source, the bundle or the log cannot be opened; the sample submission lists none of the
            fields; or `output` was made by another bundle or with other options, or is being written.
        UsageError: An option of cells is not valid, or cells of a submission are asked for.
        UsageError: The engine is unknown, or cells or explanations of a cluster or a remote output are asked for.
        MissingExtraError: A library that finds cells, writes masks, opens URLs or runs a cluster is not installed.
    """
    cell_options = _parse_cell_options(cells, cell_labels, masks, kaggle=kaggle)
    output, bundle = as_remote(as_path(output)), as_path(bundle)
    run = choose_engine(engine, ray_address)
    check_local(output, engine, cells=cell_options is not None, explain=explain is not None)
    rates = None if match_rates is None else _read_rates(match_rates, output, kaggle=kaggle)
    sample_submission, explain = as_path(sample_submission), as_path(explain)
    check_table(output, embeddings=embeddings, kaggle=kaggle, sample_submission=sample_submission)
    sample = None if sample_submission is None else read_sample(sample_submission)
    found, broken = find_fields([as_remote(source) for source in as_paths(sources)], rules)
    found, refused = open_urls(found)
    broken += refused
    excluded = 0
    if sample is not None:
        excluded = count_excluded([source.id for source in found], sample, sample_submission)
        found = [source for source in found if source.id in sample]
        broken = [failure for failure in broken if failure.id in sample]
    keep_freed_memory()
    cores = count_cores()
    if engine == LOCAL:
        workers = max(1, min(workers or min(cores, MAX_WORKERS), len(found)))
    predictor = open_bundle(bundle, max(1, cores // (workers or cores)), tta=tta, runtime=runtime, calls=workers or 1)
    if explain is not None:
        create_folder(explain)
    options = OutputOptions(kaggle, embeddings, sample)
    with nullcontext() if log is None else open_log(log) as open_:
        result = predict_to_file(
            predictor, found, output, options, broken=broken, workers=workers, progress=progress, log=open_, engine=run
        )
        if cell_options and result.rows:
            with PredictionOutput.create(predictor.bundle, output, options, tta=tta).lock():
                fields = Predictions.read(output)
                result.cells = predict_cells_to_file(
                    predictor, found, output, fields, cell_options, workers=workers or 1, progress=progress
                )
    if explain is not None:
        predicted = set(result.ids)
        explain_files(predictor, [source for source in found if source.id in predicted], explain, progress)
    result.excluded = excluded
    if rates is not None:
        from lociscope.workflows.match import match_table

        result.matched = match_table(predictor, output, rates)
    return result


def _read_rates(rates: AnyPath, output: Path, *, kaggle: bool) -> np.ndarray:
    """Return the rates to match, before any work."""
    from lociscope.workflows.match import read_rates

    if kaggle or isinstance(output, RemotePath):
        raise UsageError(
            "`match_rates` needs a local table with probabilities: neither a submission nor a URL. Predict into such a "
            "table.",
            code=Code.INVALID_VALUE,
        )
    return read_rates(rates)


def _parse_cell_options(
    cells: bool, labels: str | None, masks: Sequence[MaskFormat], *, kaggle: bool
) -> CellOptions | None:
    """Check the options of cells before any work; return None where no cells are asked for."""
    if not cells and labels is None and not masks:
        return None
    if kaggle:
        raise UsageError(
            "`kaggle` and `cells` exclude each other: a submission has no probabilities. Omit one of them.",
            code=Code.INVALID_VALUE,
        )
    if find_spec("skimage") is None or find_spec("scipy") is None:
        raise MissingExtraError("Predicting cells", "cells")
    check_formats(masks)
    return CellOptions(None if labels is None else LabelPattern(labels), tuple(masks))
