"""Fit compartment features: the trainer of `network.kind = "features"` (see `lociscope.training.trainer`)."""

from __future__ import annotations

import hashlib
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lociscope.artifacts.card import PREPROCESSING
from lociscope.artifacts.catalog import hash_catalog
from lociscope.artifacts.provenance import Provenance
from lociscope.data.cache.disk import cache_folder
from lociscope.data.cache.fields import PackedFields, no_fields_error
from lociscope.data.datasets import (
    LabelledFields,
    TrainingData,
    read_labelled_catalog,
    read_split_columns,
    train_val_split,
)
from lociscope.data.simulated import simulation_key
from lociscope.decide.metrics import log_loss
from lociscope.errors import Code, LociscopeError, MissingExtraError
from lociscope.images.discovery.sources import Failure, read_catalog_sources
from lociscope.images.segmentation.features import FEATURES
from lociscope.labels import N_LABELS, to_multi_hot
from lociscope.models.features import fit_model, read_options
from lociscope.processes.progress import ignore_progress
from lociscope.splits.groups import group_ids
from lociscope.training.feature_cache import FieldFeatures, measure_cached, measure_entry, measure_simulated
from lociscope.training.feature_export import export_features
from lociscope.training.record import describe_environment, open_run, write_history, write_validation
from lociscope.training.scores import score_macro_f1
from lociscope.training.tuning.space import Range

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from lociscope.artifacts.recipe import Recipe
    from lociscope.artifacts.run import Run
    from lociscope.processes.progress import ProgressCallback
    from lociscope.training.trainer import Device, EpochCallback
    from lociscope.training.tuning.space import Space

LIBRARY = "scikit-learn"
export = export_features
RECORDED_PACKAGES = ("lociscope", "numpy", "scipy", "scikit-learn", "scikit-image")
"""Packages whose versions are stored in the Run."""


def check(recipe: Recipe, device: Device = "auto") -> None:
    """Raise an error for a wrong option or a missing library; every `device` computes on the CPU."""
    if recipe.data.online:
        raise _online_error()
    read_options(recipe.network.options)
    _import_libraries()


def count_epochs(recipe: Recipe) -> int:
    """Return 1: the heads are fitted once."""
    return 1


def get_options(recipe: Recipe) -> dict[str, Any]:
    """Return the options of the heads, with defaults for those that the recipe leaves out."""
    return read_options(recipe.network.options).model_dump()


def get_default_space(recipe: Recipe) -> Space:
    """Return the hyperparameters of the heads to search, around the recipe's values."""
    options = get_options(recipe)
    return {
        "network.strength": Range.around(options["strength"], 0.002, 2.0, log=True),
        "network.rate": Range.around(options["rate"], 0.02, 0.3, log=True),
        "network.leaves": Range.around(options["leaves"], 3, 16),
    }


def prepare_datasets(
    recipe: Recipe,
    catalog: Path | None,
    folder: Path,
    failures: list[Failure],
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    store: Path | None = None,
) -> TrainingData:
    """Measure a recipe's fields as `prepare` does, and split them into training and validation."""
    return train_val_split(prepare(recipe, catalog, folder, failures, workers, progress, store), recipe)


def prepare(
    recipe: Recipe,
    catalog: Path | None,
    folder: Path,
    failures: list[Failure],
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    store: Path | None = None,
) -> LabelledFields:
    """Measure the features of a recipe's fields once; an interruption loses at most `FIELDS_PER_FILE` fields.

    Args:
        recipe: Its `[data]` table describes the simulated fields.
        catalog: Labelled fields, split as `lociscope.data.datasets.load_training_data` does; None to simulate.
        folder: Where the features are stored if `store` is None.
        failures: Extended by the fields that cannot be read.
        workers: Number of processes that simulate and measure.
        progress: Called with (done, total).
        store: Where the features are stored for all trainings that use the same.

    Returns:
        The fields; `x` is (n, len(FEATURES)) float32.

    Raises:
        LociscopeError: The folder contains other features, or fewer than two fields can be read.
    """
    _import_libraries()
    numbers: Iterable[Any]
    split: dict[str, str | None] = {}
    fold: dict[str, int | None] = {}
    if catalog is None:
        settings = recipe.data
        measure: Any = partial(measure_simulated, settings)
        numbers = range(settings.fields)
        key: dict[str, Any] = {"simulated": simulation_key(settings, "fields", "simulated_size", "seed", "balance")}
        source = Provenance("simulated", fields=settings.fields, seed=settings.seed)
    else:
        table = read_labelled_catalog(catalog)
        measure, numbers = measure_entry, zip(table, read_catalog_sources(table), group_ids(table), strict=True)
        split, fold = read_split_columns(table)
        key = {"catalog": hash_catalog(catalog)}
        source = Provenance("catalog", catalog.name)
    key |= {"features": list(FEATURES), "preprocessing": PREPROCESSING}
    cache = cache_folder(store, key) if store else folder
    rows = measure_cached(cache, key, list(numbers), measure, workers, progress)
    failures += [Failure(row.id, row.group, row.failure) for row in rows if row.failure]
    return LabelledFields(_pack([row for row in rows if not row.failure]), split, fold, source)


def _online_error() -> LociscopeError:
    return LociscopeError(
        "The features recipe measures each field once. Set data.online to false.", code=Code.INVALID_VALUE
    )


def _import_libraries() -> None:
    try:
        import scipy
        import skimage
        import sklearn
    except ImportError:
        raise MissingExtraError("The features recipe", "fit") from None
    del scipy, skimage, sklearn


def _pack(rows: list[FieldFeatures]) -> PackedFields:
    if not rows:
        raise no_fields_error()
    x = np.stack([row.features for row in rows]).astype(np.float32)
    y = to_multi_hot([row.target for row in rows])
    ids = [row.id for row in rows]
    digest = hashlib.sha256("\n".join(ids).encode() + x.tobytes() + y.tobytes()).hexdigest()
    return PackedFields(ids, [row.group for row in rows], x, y, digest)


def fit(
    recipe: Recipe,
    datasets: TrainingData,
    folder: Path,
    progress: ProgressCallback = ignore_progress,
    on_epoch: EpochCallback | None = None,
) -> Run:
    """Fit the linear and the boosted head, and return the finished Run.

    Args:
        recipe: Its `[network]` table holds the options of the heads (`lociscope.models.features.Options`).
        datasets: Fields of `prepare_datasets`, or a fold of those of `prepare`.
        folder: The Run's folder.
        progress: Called with (classes fitted, classes in all, head): 28 for each head.
        on_epoch: Called with the only row of the history; an error that it raises leaves the Run unfinished.

    Raises:
        LociscopeError: The folder holds a Run of another recipe or other fields, or `data.online` is true.
    """
    start = time.perf_counter()
    train, valid, source = datasets
    if not isinstance(train, PackedFields):
        raise _online_error()
    run = open_run(folder, recipe, describe_environment(recipe, train, valid, source, 0, RECORDED_PACKAGES))
    options = read_options(recipe.network.options)
    total = N_LABELS * (2 if options.head == "both" else 1)
    done = iter(range(1, total + 1))
    model = fit_model(
        np.asarray(train.x), train.y, options, recipe.train.seed, lambda _, head: progress(next(done), total, head)
    )
    model.write(run.best_features)
    fitted, predicted = (model.predict(np.asarray(part.x)).astype(np.float32) for part in (train, valid))
    row = {
        "epoch": 1.0,
        "loss": float(log_loss(train.y, fitted)),
        "val_loss": float(log_loss(valid.y, predicted)),
        "macro_f1": score_macro_f1(valid.y, predicted),
        "learning_rate": 0.0,
        "seconds": round(time.perf_counter() - start, 1),
    }
    write_history(run, [row])
    if on_epoch:
        on_epoch(row)
    write_validation(run, valid, predicted)
    run.mark_done()
    return run
