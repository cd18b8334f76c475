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
from lociscope.images.discovery.sources import read_catalog_sources
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

OPTIMISTIC = "The epoch and the threshold were chosen on these fields, so the scores are optimistic."
"""The note on the validation fields of a Run."""

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
    scored = _open_subject(subject, catalog, output, workers, progress)
    labels = _read_labels(truth, catalog, scored.run)
    output.mkdir(parents=True, exist_ok=True)
    metrics = write_report(
        scored.predictions,
        labels,
        catalog,
        output,
        title=f"Evaluation of {subject.name}",
        what=_describe_fields(truth, scored.networks),
        thresholds=scored.thresholds,
        run=scored.run if scored.networks == 1 else None,
        notes=[OPTIMISTIC] if scored.run else [],
    )
    return Evaluation(metrics, output / "report.html", scored.failures, output / "predictions.failures.csv")


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
    predictions = _take_labelled(predictions, labels)
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


def _take_labelled(predictions: Predictions, labels: Labels) -> Predictions:
    rows = [row for row, name in enumerate(predictions.ids) if name in labels]
    if not rows:
        first = f" (the first is '{predictions.ids[0]}')" if len(predictions) else ""
        raise LociscopeError(
            f"None of the {len(predictions)} predicted ids has a label{first}. Pass the truth of these predictions.",
            code=Code.NOTHING_FOUND,
        )
    return predictions.take(rows)


@dataclass(frozen=True, slots=True)
class _Subject:
    """What is evaluated.

    Attributes:
        predictions: Its predictions.
        failures: Fields that a Bundle could not predict.
        thresholds: (28,), by which a Bundle decides.
        run: The Run, or the Runs of all folds as one.
        networks: The number of these Runs.
    """

    predictions: Predictions
    failures: Sequence[Failure] = ()
    thresholds: np.ndarray | None = None
    run: Run | None = None
    networks: int = 0


def _open_subject(
    subject: Path, catalog: Catalog | None, output: Path, workers: int, progress: ProgressCallback
) -> _Subject:
    """Read the predictions of a Run or a file, or predict the Catalog with a Bundle."""
    if subject.is_file():
        return _Subject(Predictions.read(subject))
    if (subject / MANIFEST).is_file():
        predictor = open_bundle(subject)
        predictions, failures = _predict(predictor, catalog, output, workers, progress)
        return _Subject(predictions, failures, np.asarray(predictor.bundle.card.decide.thresholds))
    run, runs = open_training(subject)
    return _Subject(run.read_predictions(), run=run, networks=len(runs))


def _describe_fields(truth: Path | None, networks: int) -> str:
    """Return the evaluated fields as they follow "Evaluated on"."""
    if truth is not None:
        return f"the fields of {truth.name}"
    if networks == 1:
        return "the validation fields of the Run"
    return f"all fields, each predicted by the one of {networks} networks that was trained without its fold"


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
    predictor: Predictor, catalog: Catalog | None, output: Path, workers: int, progress: ProgressCallback
) -> tuple[Predictions, Sequence[Failure]]:
    """Predict the fields of a Catalog, reusing what an earlier call has predicted; return the failures, too."""
    if catalog is None:
        raise UsageError(
            "A bundle is evaluated on fields. Pass a Catalog, as `lociscope import` writes it.", code=Code.INVALID_VALUE
        )
    sources = sorted(read_catalog_sources(catalog), key=lambda source: source.id)
    path = output / "predictions.parquet"
    output.mkdir(parents=True, exist_ok=True)
    outcome = predict_to_file(predictor, sources, path, OutputOptions(), workers=workers, progress=progress)
    if not outcome.rows:
        reason = f"The first: {outcome.failures[0].reason}" if outcome.failures else "It has no rows."
        raise LociscopeError(f"No field of the Catalog could be predicted. {reason}", code=Code.NOTHING_FOUND)
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
