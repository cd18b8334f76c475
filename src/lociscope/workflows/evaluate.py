"""Evaluate a Run, a Bundle or Predictions against the truth: `report.html` and `metrics.json`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lociscope.artifacts.bundle import MANIFEST
from lociscope.artifacts.catalog import Catalog, is_catalog, read_labels
from lociscope.artifacts.folds import open_training
from lociscope.artifacts.predictions import Predictions
from lociscope.errors import Code, LociscopeError, UsageError
from lociscope.images.discovery.sources import find_fields, read_catalog_sources
from lociscope.images.io.read import read_field
from lociscope.labels import to_multi_hot
from lociscope.predict.batch import predict_to_file
from lociscope.predict.output import OutputOptions
from lociscope.predict.predictor import open_bundle
from lociscope.processes.progress import ignore_progress
from lociscope.report.evaluation import write_evaluation
from lociscope.report.gallery import GalleryField
from lociscope.report.metrics import measure
from lociscope.report.provenance import describe_run
from lociscope.splits.groups import group_ids
from lociscope.storage.paths import as_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lociscope.artifacts.run import Run
    from lociscope.images.discovery.sources import Failure
    from lociscope.predict.predictor import Predictor
    from lociscope.processes.progress import ProgressCallback
    from lociscope.report.metrics import Metrics
    from lociscope.storage.paths import AnyPath

GALLERY = 12
"""Fields shown in a report."""

Labels = dict[str, tuple[int, ...]]
"""Class numbers by field id."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of an evaluation.

    Attributes:
        metrics: All scores with their intervals, as in `metrics.json`.
        page: `report.html`.
        failures: Fields that could not be predicted.
        failures_file: Where they are listed.
    """

    metrics: Metrics
    page: Path
    failures: Sequence[Failure]
    failures_file: Path


def evaluate(
    subject: AnyPath,
    truth: AnyPath | None,
    output: AnyPath,
    *,
    workers: int = 2,
    progress: ProgressCallback = ignore_progress,
) -> Evaluation:
    """Score predictions against the truth and write `report.html` and `metrics.json`.

    Args:
        subject: A Run, the folder of `train --folds`, a Bundle, or Predictions.
        truth: A Catalog or a CSV `Id,Target`; None for a Run, which has recorded the truth of its validation fields.
        output: Folder to write to.
        workers: Threads that read fields where a Bundle has to predict them.
        progress: Called with (fields predicted, number of fields).

    Returns:
        The scores, and the fields that could not be predicted.

    Raises:
        UsageError: The truth is missing, or a Bundle is evaluated without a Catalog.
        LociscopeError: No predicted field has a label, no field can be predicted, or a file cannot be read or written.
        MissingExtraError: jinja2, or for learning curves matplotlib, is not installed.
    """
    subject = as_path(subject)
    output = as_path(output)
    truth = as_path(truth)
    catalog = Catalog.read(truth) if truth is not None and is_catalog(truth) else None
    run, single_run, thresholds = None, None, None
    notes: list[str] = []
    failures: Sequence[Failure] = ()
    what = f"the fields of {truth.name}" if truth else "the validation fields of the Run"
    if subject.is_file():
        predictions = Predictions.read(subject)
    elif (subject / MANIFEST).is_file():
        predictor = open_bundle(subject)
        thresholds = np.asarray(predictor.bundle.card.decide.thresholds)
        predictions, failures = _predict(predictor, truth, output, workers, progress)
    else:
        run, runs = open_training(subject)
        predictions = run.read_predictions()
        notes = ["The epoch and the threshold were chosen on these fields, so the scores are optimistic."]
        if len(runs) == 1:
            single_run = run
        elif truth is None:
            what = f"all fields, each predicted by the one of {len(runs)} networks that was trained without its fold"
    labels = _read_labels(truth, catalog, run)
    output.mkdir(parents=True, exist_ok=True)
    metrics = write_report(
        predictions,
        labels,
        catalog,
        output,
        title=f"Evaluation of {subject.name}",
        what=what,
        thresholds=thresholds,
        run=single_run,
        notes=notes,
    )
    return Evaluation(metrics, output / "report.html", failures, output / "predictions.failures.csv")


def write_report(
    predictions: Predictions,
    labels: Labels,
    catalog: Catalog | None,
    output: AnyPath,
    *,
    title: str,
    what: str,
    thresholds: np.ndarray | None = None,
    run: Run | None = None,
    notes: Sequence[str] = (),
) -> Metrics:
    """Write `report.html` and `metrics.json` for predictions whose labels are known.

    Args:
        predictions: The predictions; rows without a label are ignored.
        labels: Class numbers by id.
        catalog: The images of the gallery; None for no gallery.
        output: Folder to write to.
        title: Title of the page.
        what: The fields, as they follow "Evaluated on …".
        thresholds: (28,), by which locations were decided, where they are known.
        run: The training whose learning curves and facts are shown.
        notes: Further notes for the reader.

    Returns:
        The scores.

    Raises:
        LociscopeError: No predicted field has a label.
    """
    output = as_path(output)
    rows = [row for row, name in enumerate(predictions.ids) if name in labels]
    if not rows:
        first = f" (the first is '{predictions.ids[0]}')" if len(predictions) else ""
        raise LociscopeError(
            f"None of the {len(predictions)} predicted ids has a label{first}. Pass the truth of these predictions.",
            code=Code.NOTHING_FOUND,
        )
    predictions = predictions.take(rows)
    truth = to_multi_hot([labels[name] for name in predictions.ids])
    groups = None
    if catalog is not None:
        group_of = dict(zip(catalog.ids, group_ids(catalog), strict=True))
        groups = np.array([group_of.get(name, name) for name in predictions.ids])
    metrics = measure(truth, predictions.probability, to_multi_hot(predictions.predicted), what, groups)
    metrics.write(output / "metrics.json")
    gallery, unreadable = _read_gallery(predictions, labels, catalog)
    if unreadable:
        notes = [*notes, f"Not shown, since the images cannot be read: {', '.join(unreadable)}."]
    write_evaluation(
        output / "report.html",
        title=title,
        metrics=metrics,
        gallery=gallery,
        thresholds=thresholds,
        history=run.read_history() if run else None,
        run_facts=describe_run(run) if run else None,
        notes=notes,
    )
    return metrics


def _read_labels(truth: Path | None, catalog: Catalog | None, run: Run | None) -> Labels:
    if catalog is not None:
        return {entry.id: entry.target for entry in catalog if entry.target is not None}
    if truth is not None:
        return read_labels(truth)
    if run is not None:
        return run.read_truth()
    raise UsageError(
        "Only a Run records its own truth. Pass a Catalog or a CSV Id,Target after the bundle or the predictions.",
        code=Code.INVALID_VALUE,
    )


def _predict(
    predictor: Predictor, truth: Path | None, output: Path, workers: int, progress: ProgressCallback
) -> tuple[Predictions, Sequence[Failure]]:
    """Predict the fields of a Catalog, reusing what an earlier call has predicted; return the failures, too."""
    if truth is None or not is_catalog(truth):
        raise UsageError(
            "A bundle is evaluated on fields. Pass a Catalog, as `lociscope import` writes it.", code=Code.INVALID_VALUE
        )
    sources, broken = find_fields([truth])
    path, options = output / "predictions.parquet", OutputOptions()
    output.mkdir(parents=True, exist_ok=True)
    outcome = predict_to_file(predictor, sources, path, options, broken=broken, workers=workers, progress=progress)
    if not outcome.rows:
        raise LociscopeError(
            f"No field of '{truth}' could be predicted. The first: {outcome.failures[0].reason}",
            code=Code.NOTHING_FOUND,
        )
    return Predictions.read(path), outcome.failures


def _read_gallery(
    predictions: Predictions, labels: Labels, catalog: Catalog | None
) -> tuple[list[GalleryField], list[str]]:
    """Read evenly spaced fields, whatever was predicted for them; return the ids that cannot be read, too."""
    if catalog is None:
        return [], []
    source_of = {source.id: source for source in read_catalog_sources(catalog)}
    rows = [row for row, name in enumerate(predictions.ids) if name in source_of]
    rows = rows[:: max(len(rows) // GALLERY, 1)][:GALLERY]
    gallery, unreadable = [], []
    for row in rows:
        name = predictions.ids[row]
        try:
            field = read_field(source_of[name])
        except LociscopeError:
            unreadable.append(name)
            continue
        gallery.append(
            GalleryField(
                field,
                labels[name],
                predictions.probability[row],
                predictions.predicted[row],
                predictions.status[row],
                predictions.warnings[row],
            )
        )
    return gallery, unreadable
