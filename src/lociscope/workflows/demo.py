"""Run a whole project in miniature: simulate, train, export, predict new fields, report."""

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
from lociscope.workflows.train import fit_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lociscope.processes.progress import ProgressDisplay
    from lociscope.report.metrics import Metrics

TEST_SHARE = 0.2
"""Share of the fields that are held out for the report."""
VALIDATION_SHARE = 0.15
"""Share of the other fields on which epoch and threshold are chosen."""
BATCH = 16
"""Small, so that few fields give many steps."""
LIMITS = "A demonstration: trained for minutes on few fields. Not for use."
NOTE = "A miniature: minutes of training on few fields. It shows the steps, not what the method can do."


@dataclass(frozen=True, slots=True)
class DemoResult:
    """The report of a demonstration and its scores on the test fields."""

    page: Path
    metrics: Metrics


def run_demo(
    folder: Path,
    *,
    data: Path | None = None,
    labels: Path | None = None,
    fields: int = 500,
    epochs: int = 15,
    seed: int = 0,
    workers: int = 1,
    progress: ProgressDisplay = show_nothing,
    on_step: Callable[[str, float], None] | None = None,
) -> DemoResult:
    """Simulate or import fields, train LeNet-5, export it, predict test fields and write a report.

    Steps that an earlier call has finished are skipped.

    Args:
        folder: Folder for all files.
        data: Fields to use instead of simulated ones.
        labels: Their labels, a CSV `Id,Target`; None if `data` has a `train.csv`.
        fields: Number of simulated fields.
        epochs: Passes over the training fields.
        seed: Seed of fields, split and training.
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
        path = _split(catalog, folder, seed)
    run, bundle, out = folder / "run", folder / "bundle", folder / "predictions.parquet"
    with step("train LeNet-5"):
        recipe = Recipe.read("lenet5", {"train.epochs": epochs, "train.seed": seed, "train.batch": BATCH})
        fit_run(recipe, path, run, workers=workers, progress=progress)
    if not (bundle / MANIFEST).is_file():
        with step("export the bundle"):
            export_bundle(Run.open(run), bundle, "demo", "Apache-2.0", LIMITS)
    test = Catalog.read(path).filter("split", "test")
    with step(f"predict {len(test)} test fields"):
        predictor = open_bundle(bundle)
        predict_to_file(predictor, read_catalog_sources(test), out, OutputOptions(), workers=workers)
    with step("write the report"):
        thresholds = np.asarray(predictor.bundle.card.decide.thresholds)
        metrics = _report(Predictions.read(out), test, folder, thresholds, Run.open(run))
    return DemoResult(folder / "report.html", metrics)


@contextmanager
def _time_step(on_step: Callable[[str, float], None] | None, what: str) -> Iterator[None]:
    """Report how long a step takes."""
    start = time.monotonic()
    yield
    if on_step is not None:
        on_step(what, time.monotonic() - start)


def _report(predictions: Predictions, test: Catalog, folder: Path, thresholds: np.ndarray, run: Run) -> Metrics:
    """Write `report.html` and `metrics.json` of the test fields."""
    return write_report(
        predictions,
        {entry.id: entry.target for entry in test if entry.target is not None},
        test,
        folder,
        title="lociscope in miniature",
        what=f"{len(predictions)} fields that were not used in training",
        thresholds=thresholds,
        run=run,
        notes=[NOTE],
    )


def _check_data(data: Path | None, labels: Path | None) -> None:
    if labels is not None and data is None:
        raise UsageError(
            "`labels` belongs to `data`. Name the folder of the fields with `data`.", code=Code.INVALID_VALUE
        )
    if data is not None and labels is None and not (data / "train.csv").is_file():
        raise UsageError(
            f"'{data}' has no train.csv. Name a CSV with the labels of its fields with `labels`.", code=Code.NOT_FOUND
        )


def _split(catalog: Catalog, folder: Path, seed: int) -> Path:
    """Split the fields by specimen into train, valid and test, and write the Catalog."""
    entries = list(catalog)
    groups = [entry.specimen or entry.id for entry in entries]
    split = np.where(hold_out(groups, TEST_SHARE, seed), "test", "train")
    rest = np.flatnonzero(split == "train")
    split[rest[hold_out([groups[row] for row in rest], VALIDATION_SHARE, seed + 1)]] = "valid"
    path = folder / "catalog.parquet"
    Catalog.from_entries(
        (replace(entry, split=str(side)) for entry, side in zip(entries, split, strict=True)), folder
    ).write(path)
    return path
