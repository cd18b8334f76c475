"""The fit of the features recipe: compartment features of every field, then one linear and one boosted head."""

from __future__ import annotations

import hashlib
import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lociscope.artifacts.card import PREPROCESSING
from lociscope.artifacts.catalog import Entry, hash_catalog
from lociscope.artifacts.provenance import Provenance
from lociscope.data.cache.disk import cache_folder, corrupt_cache_error
from lociscope.data.cache.fields import PackedFields, no_fields_error
from lociscope.data.datasets import (
    LabelledFields,
    TrainingData,
    read_labelled_catalog,
    read_split_columns,
    train_val_split,
)
from lociscope.data.simulated import simulate_one, simulation_key
from lociscope.decide.locations import find_constant_threshold
from lociscope.decide.metrics import log_loss, macro_f1
from lociscope.errors import Code, LociscopeError, MissingExtraError
from lociscope.images.discovery.sources import Failure, FieldSource, read_catalog_sources
from lociscope.images.io.read import read_field
from lociscope.images.segmentation.features import FEATURES, compute_features
from lociscope.labels import N_LABELS, to_multi_hot
from lociscope.models.features import fit_model, read_options
from lociscope.processes.workers import map_in_order
from lociscope.splits.groups import group_ids
from lociscope.storage.atomic import atomic_write
from lociscope.storage.schema import CORRUPT_FILE_ERRORS
from lociscope.training.record import describe_environment, open_run, write_history, write_validation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from lociscope.artifacts.recipe import Data, Recipe
    from lociscope.artifacts.run import Run

RECORDED = ("lociscope", "numpy", "scipy", "scikit-learn", "scikit-image")
"""Packages whose versions a features Run keeps."""
CHUNK = 100
"""Fields that are stored together; what an interruption costs at most."""


class FieldFeatures(NamedTuple):
    """A field's name, group, features (len(FEATURES),) and class numbers; or why it could not be read."""

    id: str
    group: str
    features: np.ndarray
    target: tuple[int, ...]
    failure: str = ""


def measured_sets(
    recipe: Recipe,
    catalog: Path | None,
    folder: Path,
    failures: list[Failure],
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    store: Path | None = None,
) -> TrainingData:
    """Measures a recipe's fields, as `measure_fields` does, and parts them."""
    return train_val_split(measure_fields(recipe, catalog, folder, failures, workers, progress, store), recipe)


def measure_fields(
    recipe: Recipe,
    catalog: Path | None,
    folder: Path,
    failures: list[Failure],
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    store: Path | None = None,
) -> LabelledFields:
    """Measures a recipe's fields, once; an interruption costs the last `CHUNK` fields.

    Args:
        recipe: Its `[data]` table says what is drawn where there is no Catalog.
        catalog: Labelled fields, parted as for networks (`lociscope.data.datasets.load_training_data`).
        folder: Where to keep the features.
        failures: Filled with the fields that cannot be read.
        workers: Processes that draw and measure.
        progress: Called with (done, total).
        store: Keeps the features in place of `folder`, for all trainings that want the same.

    Returns:
        The fields; `x` holds (n, len(FEATURES)) float32.

    Raises:
        LociscopeError: The folder holds other features, or fewer than two fields can be read.
    """
    _need_libraries()
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
        measure, numbers = _measure_entry, zip(table, read_catalog_sources(table), group_ids(table), strict=True)
        split, fold = read_split_columns(table)
        key = {"catalog": hash_catalog(catalog)}
        source = Provenance("catalog", catalog.name)
    key |= {"features": list(FEATURES), "preprocessing": PREPROCESSING}
    place = cache_folder(store, key) if store else folder
    rows = _cached(place, key, list(numbers), measure, workers, progress)
    failures += [Failure(row.id, row.group, row.failure) for row in rows if row.failure]
    return LabelledFields(_packed([row for row in rows if not row.failure]), split, fold, source)


def _need_libraries() -> None:
    try:
        import scipy
        import skimage
        import sklearn
    except ImportError:
        raise MissingExtraError("The features recipe", "fit") from None
    del scipy, skimage, sklearn


def measure_simulated(settings: Data, index: int) -> FieldFeatures:
    """Draws and measures the field of one number; its pixel size is taken as undeclared, as the competition's is."""
    field = simulate_one(settings, index)
    return FieldFeatures(field.id, field.specimen, compute_features(field.pixels), field.target)


def _measure_entry(job: tuple[Entry, FieldSource, str]) -> FieldFeatures:
    entry, source, group = job
    target = tuple(entry.target or ())
    try:
        field = read_field(source)
        return FieldFeatures(entry.id, group, compute_features(field.pixels, field.pixel_size), target)
    except LociscopeError as error:
        return FieldFeatures(entry.id, str(entry.red), np.full(len(FEATURES), np.nan), target, str(error))


def _cached(
    folder: Path,
    key: dict[str, Any],
    jobs: list[Any],
    measure: Callable[[Any], FieldFeatures],
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> list[FieldFeatures]:
    """Measures what is not measured yet, chunk by chunk."""
    about = folder / "pack.json"
    folder.mkdir(parents=True, exist_ok=True)
    if not about.is_file():
        with atomic_write(about) as part:
            part.write_text(json.dumps(key), encoding="utf-8")
    elif _read_key(about) != json.loads(json.dumps(key)):
        raise LociscopeError(
            f"'{folder}' holds features of another recipe or Catalog. Name another folder.", code=Code.CONFLICT
        )
    chunks = [jobs[start : start + CHUNK] for start in range(0, len(jobs), CHUNK)]
    missing = [i for i in range(len(chunks)) if not _chunk_file(folder, i).is_file()]
    fresh = map_in_order(measure, [job for i in missing for job in chunks[i]], workers)
    done = len(jobs) - sum(len(chunks[i]) for i in missing)
    for i in missing:
        rows = []
        for _ in chunks[i]:
            rows.append(next(fresh))
            done += 1
            if progress:
                progress(done, len(jobs))
        _write_chunk(_chunk_file(folder, i), rows)
    return [row for i in range(len(chunks)) for row in _read_chunk(_chunk_file(folder, i))]


def _read_key(about: Path) -> Any:  # noqa: ANN401 - JSON
    try:
        return json.loads(about.read_text(encoding="utf-8"))
    except CORRUPT_FILE_ERRORS as error:
        raise corrupt_cache_error(about.parent) from error


def _chunk_file(folder: Path, number: int) -> Path:
    return folder / f"features-{number:05d}.npz"


def _write_chunk(path: Path, rows: list[FieldFeatures]) -> None:
    words = {name: np.array([getattr(row, name) for row in rows], str) for name in ("id", "group", "failure")}
    truth = to_multi_hot([row.target for row in rows])
    with atomic_write(path) as part, part.open("wb") as file:
        arrays: dict[str, Any] = {"features": np.stack([row.features for row in rows]), "truth": truth, **words}
        np.savez(file, **arrays)


def _read_chunk(path: Path) -> list[FieldFeatures]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            columns = [stored[name] for name in ("id", "group", "features", "truth", "failure")]
    except CORRUPT_FILE_ERRORS as error:
        raise corrupt_cache_error(path.parent) from error
    return [
        FieldFeatures(str(name), str(group), features, tuple(np.flatnonzero(truth).tolist()), str(failure))
        for name, group, features, truth, failure in zip(*columns, strict=True)
    ]


def _packed(rows: list[FieldFeatures]) -> PackedFields:
    if not rows:
        raise no_fields_error()
    x = np.stack([row.features for row in rows]).astype(np.float32)
    y = to_multi_hot([row.target for row in rows])
    ids = [row.id for row in rows]
    digest = hashlib.sha256("\n".join(ids).encode() + x.tobytes() + y.tobytes()).hexdigest()
    return PackedFields(ids, [row.group for row in rows], x, y, digest)


def fit_features(
    recipe: Recipe,
    sets: TrainingData,
    folder: Path,
    progress: Callable[[int, str], None] | None = None,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
) -> Run:
    """Fits the heads and leaves a finished Run.

    Args:
        recipe: Its `[network]` table holds the heads' options (`lociscope.models.features.Options`).
        sets: What `measured_sets` gave.
        folder: The Run to make.
        progress: Called with (steps done, text); there are `steps(recipe)`.
        on_epoch: Called with the history's one row; what it raises leaves the Run unfinished.

    Raises:
        LociscopeError: The folder holds a Run of another recipe or other fields.
    """
    began = time.perf_counter()
    train, valid, source = sets
    if not isinstance(train, PackedFields):
        raise LociscopeError(
            "The features recipe measures each field once. Set data.online to false.", code=Code.INVALID_VALUE
        )
    run = open_run(folder, recipe, describe_environment(recipe, train, valid, source, 0, RECORDED))
    done = iter(range(1, 2 * N_LABELS + 1))

    def tell(_: int, head: str) -> None:
        if progress:
            progress(next(done), head)

    model = fit_model(np.asarray(train.x), train.y, read_options(recipe.network.options), recipe.train.seed, tell)
    model.write(run.best_features)
    probability = [model.predict(np.asarray(part.x)).astype(np.float32) for part in (train, valid)]
    losses = [float(log_loss(part.y, p)) for part, p in zip((train, valid), probability, strict=True)]
    score = float(macro_f1(valid.y, probability[1] >= find_constant_threshold(valid.y, probability[1])))
    values = [1.0, *losses, score, 0.0, round(time.perf_counter() - began, 1)]
    row = dict(zip(("epoch", "loss", "val_loss", "macro_f1", "learning_rate", "seconds"), values, strict=True))
    write_history(run, [row])
    if on_epoch:
        on_epoch(row)
    write_validation(run, valid, probability[1])
    run.mark_done()
    return run


def steps(recipe: Recipe) -> int:
    """How often `fit_features` tells its progress."""
    return N_LABELS * (2 if read_options(recipe.network.options).head == "both" else 1)
