"""Evaluate a Run, a Bundle or Predictions against the truth: an acceptance report, `metrics.json`, figures."""

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
from lociscope.labels import to_multi_hot
from lociscope.predict.batch import predict_to_file
from lociscope.predict.output import OutputOptions
from lociscope.predict.predictor import open_bundle
from lociscope.processes.progress import ignore_progress
from lociscope.report.evaluation import write_evaluation
from lociscope.report.metrics import measure
from lociscope.report.page import link_files
from lociscope.report.paper import write_figures
from lociscope.report.provenance import describe_run
from lociscope.storage.paths import as_path
from lociscope.workflows.field_context import read_context
from lociscope.workflows.gallery import find_model, read_galleries

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lociscope.artifacts.run import Run
    from lociscope.images.discovery.sources import Failure
    from lociscope.predict.predictor import Predictor
    from lociscope.processes.progress import ProgressCallback
    from lociscope.report.metrics import Metrics
    from lociscope.storage.paths import AnyPath

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
    bundle: AnyPath | None = None,
    figures: AnyPath | None = None,
    workers: int = 2,
    progress: ProgressCallback = ignore_progress,
) -> Evaluation:
    """Score predictions against the truth and write `report.html` and `metrics.json`.

    Args:
        subject: A Run, the folder of `train --folds`, a Bundle, or Predictions.
        truth: A Catalog or a CSV `Id,Target`; None for a Run, which has recorded the truth of its validation fields.
        output: Folder to write to.
        bundle: The model behind Predictions or a Run, which shows where its evidence is; the model itself for a Bundle,
            and the shipped one where the Predictions record that it made them.
        figures: A folder for the figures of a paper, as SVG and PDF.
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
        model=scored.predictor or find_model(as_path(bundle), subject),
        figures=as_path(figures),
        subject=subject,
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
    model: Predictor | None = None,
    figures: Path | None = None,
    subject: Path | None = None,
    related: Sequence[tuple[Path, str]] = (),
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
        model: Shows where the evidence is; None for galleries without.
        figures: A folder for the figures of a paper.
        subject: What was evaluated, to link to.
        related: Further files and pages to link to, and what each has.

    Returns:
        The scores.

    Raises:
        LociscopeError: No predicted field has a label.
    """
    output = as_path(output)
    predictions = _take_labelled(predictions, labels)
    truth = to_multi_hot([labels[name] for name in predictions.ids])
    context = None if catalog is None else read_context(catalog, predictions.ids)
    metrics = measure(
        truth,
        predictions.probability,
        to_multi_hot(predictions.predicted),
        what,
        None if context is None else context.groups,
        cell_lines=None if context is None else context.cell_lines,
        varied=None if context is None else context.varied,
    )
    metrics.write(output / "metrics.json")
    galleries, unreadable = read_galleries(predictions, labels, catalog, model)
    if unreadable:
        notes = [*notes, f"Not shown, since the images cannot be read: {', '.join(unreadable)}."]
    if figures is not None:
        write_figures(figures, metrics, galleries)
    page = output / "report.html"
    write_evaluation(
        page,
        title=title,
        metrics=metrics,
        galleries=galleries,
        thresholds=thresholds,
        history=run.read_history() if run else None,
        run_facts=describe_run(run) if run else None,
        notes=notes,
        files=link_files(page, [*related, *_list_files(output, subject, run, figures)]),
    )
    return metrics


def _list_files(output: Path, subject: Path | None, run: Run | None, figures: Path | None) -> list[tuple[Path, str]]:
    """Return the files that belong to an evaluation, and what each has."""
    files = [(output / "metrics.json", "all figures of this page"), (output / "predictions.parquet", "the predictions")]
    if subject is not None:
        files.append((subject, "what was evaluated"))
    if run is not None:
        files += [(run.recipe_file, "the recipe"), (run.history_file, "losses by epoch")]
    if figures is not None:
        files.append((figures, "figures as SVG and PDF"))
    return files


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
        predictor: The open Bundle.
    """

    predictions: Predictions
    failures: Sequence[Failure] = ()
    thresholds: np.ndarray | None = None
    run: Run | None = None
    networks: int = 0
    predictor: Predictor | None = None


def _open_subject(
    subject: Path, catalog: Catalog | None, output: Path, workers: int, progress: ProgressCallback
) -> _Subject:
    """Read the predictions of a Run or a file, or predict the Catalog with a Bundle."""
    if subject.is_file():
        return _Subject(Predictions.read(subject))
    if (subject / MANIFEST).is_file():
        predictor = open_bundle(subject)
        predictions, failures = _predict(predictor, catalog, output, workers, progress)
        thresholds = np.asarray(predictor.bundle.card.decide.thresholds)
        return _Subject(predictions, failures, thresholds, predictor=predictor)
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
