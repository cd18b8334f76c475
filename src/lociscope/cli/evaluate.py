"""`lociscope evaluate`: a Run, a Bundle or Predictions against the truth become an acceptance report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lociscope.cli import console
from lociscope.errors import Code, Exit, LociscopeError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from lociscope.artifacts.catalog import Catalog
    from lociscope.artifacts.predictions import Predictions
    from lociscope.artifacts.run import Run
    from lociscope.images.discovery.sources import Failure
    from lociscope.report.evaluation import GalleryField

GALLERY = 12
"""Fields shown in a report."""


def evaluate(
    subject: Annotated[Path, typer.Argument(help="A Run, the folder of `train --folds`, a Bundle, or Predictions.")],
    truth: Annotated[
        Path | None, typer.Argument(metavar="[CATALOG]", help="A Catalog or a CSV Id,Target; a Run brings its own.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the report.")] = Path("evaluation"),
    workers: Annotated[int, typer.Option(min=1, help="Threads that read fields.")] = 2,
) -> None:
    """Score predictions with intervals, and write report.html and metrics.json."""
    from lociscope.artifacts.bundle import MANIFEST
    from lociscope.artifacts.folds import open_training
    from lociscope.artifacts.predictions import Predictions

    catalog = _catalog(truth)
    run, curves, thresholds, notes = None, None, None, []
    fields = "the validation fields of the Run"
    failures: Sequence[Failure] = []
    if subject.is_file():
        made = Predictions.read(subject)
    elif (subject / MANIFEST).is_file():
        made, failures = _predict(subject, truth, output, workers)
        thresholds = thresholds_of(subject)
    else:
        run, runs = open_training(subject)
        made = run.read_predictions()
        notes = ["Epoch and threshold were chosen on these same fields, which flatters the scores."]
        if len(runs) == 1:
            curves = run
        else:
            fields = f"all fields, each predicted by the one of {len(runs)} networks that was trained without its fold"
    labels = _labels(truth, catalog, run)
    output.mkdir(parents=True, exist_ok=True)
    what = f"the fields of {truth.name}" if truth else fields
    title = f"Evaluation of {subject.name}"
    report(made, labels, catalog, output, title=title, what=what, thresholds=thresholds, run=curves, notes=notes)
    print(output / "report.html")
    if failures:
        console.tell_failures(failures, output / "predictions.failures.csv")
        raise typer.Exit(Exit.SOME_FAILED)


def report(
    made: Predictions,
    labels: dict[str, tuple[int, ...]],
    catalog: Catalog | None,
    output: Path,
    *,
    title: str,
    what: str,
    thresholds: np.ndarray | None = None,
    run: Run | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Writes `report.html` and `metrics.json` of predictions whose labels are known.

    Args:
        made: The predictions; rows without a label are left out.
        labels: Class numbers by id.
        catalog: Where the pictures of the gallery lie.
        output: Folder to write to.
        title: Title of the page.
        what: The fields, as they follow "Evaluated on …".
        thresholds: (28,), by which places were decided on, where they are known.
        run: The training, for its curves and facts.
        notes: What a reader must know besides.
    """
    import numpy as np

    from lociscope.labels import to_multi_hot
    from lociscope.report.evaluation import measure, write_evaluation
    from lociscope.report.provenance import describe_run

    rows = [row for row, name in enumerate(made.ids) if name in labels]
    if not rows:
        raise LociscopeError(
            f"None of the {len(made)} predicted ids is labelled (the first is '{made.ids[0] if len(made) else ''}'). "
            "Name the truth that belongs to these predictions.",
            code=Code.NOTHING_FOUND,
        )
    made = made.take(rows)
    truth = to_multi_hot([labels[name] for name in made.ids])
    groups = None
    if catalog is not None:
        specimen = {entry.id: entry.specimen or entry.antibody or entry.id for entry in catalog}
        groups = np.array([specimen.get(name, name) for name in made.ids])
    metrics = measure(truth, made.probability, to_multi_hot(made.predicted), what, groups)
    metrics.write(output / "metrics.json")
    shown, unread = _gallery(made, labels, catalog)
    if unread:
        notes = [*notes, f"Not shown, for it could not be read: {', '.join(unread)}."]
    write_evaluation(
        output / "report.html",
        title=title,
        metrics=metrics,
        shown=shown,
        thresholds=thresholds,
        history=run.read_history() if run else None,
        run_facts=describe_run(run) if run else None,
        notes=notes,
    )


def thresholds_of(bundle: Path) -> np.ndarray:
    """The thresholds in a bundle's card."""
    import numpy as np

    from lociscope.artifacts.bundle import read_bundle

    return np.asarray(read_bundle(bundle).card.decide.thresholds)


def _catalog(truth: Path | None) -> Catalog | None:
    from lociscope.artifacts.catalog import Catalog, is_catalog

    return Catalog.read(truth) if truth is not None and is_catalog(truth) else None


def _labels(truth: Path | None, catalog: Catalog | None, run: Run | None) -> dict[str, tuple[int, ...]]:
    from lociscope.artifacts.catalog import read_labels

    if catalog is not None:
        return {entry.id: entry.target for entry in catalog if entry.target is not None}
    if truth is not None:
        return read_labels(truth)
    if run is not None:
        return run.read_truth()
    raise UsageError(
        "Only a Run brings its own truth. Name a Catalog or a CSV Id,Target after the bundle or predictions.",
        code=Code.INVALID_VALUE,
    )


def _predict(bundle: Path, truth: Path | None, output: Path, workers: int) -> tuple[Predictions, Sequence[Failure]]:
    """Predicts a Catalog's fields, or takes what an earlier call predicted of them; and those that failed."""
    from lociscope.artifacts.catalog import is_catalog
    from lociscope.artifacts.predictions import Predictions
    from lociscope.images.discovery.sources import find_fields
    from lociscope.predict.batch import predict_to_file
    from lociscope.predict.output import OutputOptions
    from lociscope.predict.predictor import open_bundle

    if truth is None or not is_catalog(truth):
        raise UsageError(
            "A bundle is evaluated on fields. Name a Catalog, as `lociscope import` makes it.", code=Code.INVALID_VALUE
        )
    found, broken = find_fields([truth])
    path, predictor = output / "predictions.parquet", open_bundle(bundle)
    output.mkdir(parents=True, exist_ok=True)
    with console.progress("predicting") as tell:
        outcome = predict_to_file(
            predictor, found, path, OutputOptions(), broken=broken, workers=workers, progress=tell
        )
    if not outcome.rows:
        raise LociscopeError(
            f"No field of '{truth}' could be predicted. The first: {outcome.failures[0].reason}",
            code=Code.NOTHING_FOUND,
        )
    return Predictions.read(path), outcome.failures


def _gallery(
    made: Predictions, labels: dict[str, tuple[int, ...]], catalog: Catalog | None
) -> tuple[list[GalleryField], list[str]]:
    """A fair choice of fields: every so many of them, whatever was predicted; and those that cannot be read."""
    from lociscope.images.discovery.sources import read_catalog_sources
    from lociscope.images.io.read import read_field
    from lociscope.report.evaluation import GalleryField

    if catalog is None:
        return [], []
    source_of = {source.id: source for source in read_catalog_sources(catalog)}
    rows = [row for row, name in enumerate(made.ids) if name in source_of]
    rows = rows[:: max(len(rows) // GALLERY, 1)][:GALLERY]
    shown, unread = [], []
    for row in rows:
        name = made.ids[row]
        try:
            field = read_field(source_of[name])
        except LociscopeError:
            unread.append(name)
            continue
        said = made.probability[row], made.predicted[row], made.status[row], made.warnings[row]
        shown.append(GalleryField(field, labels[name], *said))
    return shown, unread
