"""Run a whole project in miniature: predict with the shipped bundle, then train, export and evaluate a network."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lociscope.artifacts.bundle import MANIFEST
from lociscope.artifacts.catalog import Catalog
from lociscope.artifacts.predictions import Predictions
from lociscope.artifacts.recipe import Recipe
from lociscope.artifacts.run import Run
from lociscope.data.importing import import_folder, import_kaggle
from lociscope.errors import Code, UsageError
from lociscope.images.discovery.sources import read_catalog_sources
from lociscope.predict.batch import predict_to_file
from lociscope.predict.output import OutputOptions
from lociscope.predict.predictor import open_bundle
from lociscope.processes.progress import show_nothing
from lociscope.simulate.atlas import write_atlas
from lociscope.splits.folds import hold_out
from lociscope.training.export import export_bundle
from lociscope.workflows.evaluate import write_report
from lociscope.workflows.predict import predict_files
from lociscope.workflows.report import report_predictions
from lociscope.workflows.train import fit_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from lociscope.predict.predictor import Predictor
    from lociscope.processes.progress import ProgressDisplay
    from lociscope.report.metrics import Metrics

TEST_SHARE = 0.2
"""Share of the fields that are held out for the reports."""
VALIDATION_SHARE = 0.15
"""Share of the other fields on which epoch and threshold are chosen."""
BATCH = 16
"""Small, so that few fields give many steps."""
CELL_FIELDS = 12
"""Test fields of which each cell is predicted, too."""
LIMITS = "A demonstration: trained for minutes on few fields. Not for use."
SHIPPED_TITLE, TRAINING_TITLE = "lociscope on fields that it never saw", "LeNet-5 after a minute of training"
SHIPPED_NOTE = "The model is the bundle that ships with lociscope. It was trained on other simulated fields."
TRAINING_NOTE = (
    "A few epochs on a few hundred fields show how a network is trained, exported and evaluated, not what LeNet-5 can "
    "do. More fields help most: the shipped bundle is a larger network after 14 epochs on 12,000 fields "
    "(`lociscope train small`)."
)


@dataclass(frozen=True, slots=True)
class DemoResult:
    """The pages of a demonstration, and the scores on its test fields.

    Attributes:
        page: What the shipped bundle says of the test fields; it links to the other pages.
        shipped: Scores of the shipped bundle.
        trained: Scores of the network that was trained here.
    """

    page: Path
    shipped: Metrics
    trained: Metrics


@dataclass(frozen=True, slots=True)
class _Test:
    """The test fields: their Catalog, and where it is."""

    table: Catalog
    path: Path

    def predict(self, predictor: Predictor, out: Path, workers: int) -> Predictions:
        """Predict the fields, or what is missing in the file."""
        predict_to_file(predictor, read_catalog_sources(self.table), out, OutputOptions(), workers=workers)
        return Predictions.read(out)

    def report(self, predictions: Predictions, predictor: Predictor, folder: Path, **options: object) -> Metrics:
        """Write `report.html` and `metrics.json`."""
        labels = {entry.id: entry.target for entry in self.table if entry.target is not None}
        what = f"{len(predictions)} fields that were not used in training"
        thresholds = np.asarray(predictor.bundle.card.decide.thresholds)
        return write_report(
            predictions, labels, self.table, folder,
            what=what, thresholds=thresholds, model=predictor, **options,  # type: ignore[arg-type]
        )  # fmt: skip


def run_demo(
    folder: Path,
    *,
    data: Path | None = None,
    labels: Path | None = None,
    fields: int = 500,
    epochs: int = 15,
    seed: int = 1,
    workers: int = 1,
    progress: ProgressDisplay = show_nothing,
    on_step: Callable[[str, float], None] | None = None,
) -> DemoResult:
    """Predict test fields with the shipped bundle, train LeNet-5 on the others, and write reports.

    Steps that an earlier call has finished are skipped.

    Args:
        folder: Folder for all files.
        data: Fields to use instead of simulated ones.
        labels: Their labels, a CSV `Id,Target`; None if `data` has a `train.csv`.
        fields: Number of simulated fields.
        epochs: Passes over the training fields.
        seed: Seed of fields, split and training. The shipped bundle was trained on simulated fields of seed 0.
        workers: Processes that simulate and threads that read.
        progress: Shows the progress of each step.
        on_step: Called after each step with (description, seconds).

    Raises:
        UsageError: `labels` without `data`, or `data` without labels.
        LociscopeError: A step fails.
    """
    step = partial(_time_step, on_step)
    _check_data(data, labels)
    folder.mkdir(parents=True, exist_ok=True)
    if data is None:
        data = folder / "atlas"
        with step(f"simulate {fields} fields"), progress("simulating fields") as report:
            write_atlas(data, fields=fields, size=256, seed=seed, workers=workers, progress=report)
    with step(f"import '{data}'"):
        catalog = import_kaggle(data, folder)[0] if labels is None else import_folder(data, labels, folder)[0]
        path, test = _split(catalog, folder, seed)
    shipped = open_bundle()
    with step(f"predict {len(test.table)} test fields with the shipped bundle"):
        predictions = test.predict(shipped, folder / "predictions.parquet", workers)
    with step(f"predict the cells of {min(CELL_FIELDS, len(test.table))} fields"):
        _report_cells(test, folder, workers)
    trained = _train(path, test, folder / "training", epochs, seed, workers, progress, step)
    with step("write the report"):
        pages = [
            (folder / "cells" / "fields.html", "fields by location, with the variation between cells"),
            (folder / "training" / "report.html", "the network that was trained here"),
        ]
        metrics = test.report(predictions, shipped, folder, title=SHIPPED_TITLE, notes=[SHIPPED_NOTE], related=pages)
    return DemoResult(folder / "report.html", metrics, trained)


def _report_cells(test: _Test, folder: Path, workers: int) -> None:
    """Predict each cell of the first test fields, and report on these fields."""
    path, out = folder / "first.parquet", folder / "cells" / "predictions.parquet"
    Catalog.from_entries(list(test.table)[:CELL_FIELDS], folder).write(path)
    out.parent.mkdir(exist_ok=True)
    predict_files(path, out, cells=True, workers=workers)
    report_predictions(out, folder / "cells" / "fields.html", fields=path)


def _train(
    catalog: Path,
    test: _Test,
    folder: Path,
    epochs: int,
    seed: int,
    workers: int,
    progress: ProgressDisplay,
    step: Callable[[str], AbstractContextManager[None]],
) -> Metrics:
    """Train LeNet-5, export it as a bundle, predict the test fields with it, and report."""
    run, bundle = folder / "run", folder / "bundle"
    with step("train LeNet-5"):
        recipe = Recipe.read("lenet5", {"train.epochs": epochs, "train.seed": seed, "train.batch": BATCH})
        fit_run(recipe, catalog, run, workers=workers, progress=progress)
    if not (bundle / MANIFEST).is_file():
        with step("export the bundle"):
            export_bundle(Run.open(run), bundle, "demo", "Apache-2.0", LIMITS)
    with step("predict the test fields with it, and report"):
        predictor = open_bundle(bundle)
        predictions = test.predict(predictor, folder / "predictions.parquet", workers)
        return test.report(
            predictions, predictor, folder, title=TRAINING_TITLE, notes=[TRAINING_NOTE], run=Run.open(run)
        )


@contextmanager
def _time_step(on_step: Callable[[str, float], None] | None, what: str) -> Iterator[None]:
    """Report how long a step takes."""
    start = time.monotonic()
    yield
    if on_step is not None:
        on_step(what, time.monotonic() - start)


def _check_data(data: Path | None, labels: Path | None) -> None:
    if labels is not None and data is None:
        raise UsageError(
            "`labels` belongs to `data`. Name the folder of the fields with `data`.", code=Code.INVALID_VALUE
        )
    if data is not None and labels is None and not (data / "train.csv").is_file():
        raise UsageError(
            f"'{data}' has no train.csv. Name a CSV with the labels of its fields with `labels`.", code=Code.NOT_FOUND
        )


def _split(catalog: Catalog, folder: Path, seed: int) -> tuple[Path, _Test]:
    """Split the fields by specimen into train, valid and test; write the Catalog, and one of the test fields."""
    entries = list(catalog)
    groups = [entry.specimen or entry.id for entry in entries]
    split = np.where(hold_out(groups, TEST_SHARE, seed), "test", "train")
    rest = np.flatnonzero(split == "train")
    split[rest[hold_out([groups[row] for row in rest], VALIDATION_SHARE, seed + 1)]] = "valid"
    path = folder / "catalog.parquet"
    Catalog.from_entries(
        (replace(entry, split=str(side)) for entry, side in zip(entries, split, strict=True)), folder
    ).write(path)
    test, tested = Catalog.read(path).filter("split", "test"), folder / "test.parquet"
    test.write(tested)
    return path, _Test(test, tested)
