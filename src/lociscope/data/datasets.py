"""Load the fields of a recipe, from a Catalog or simulated, and split them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from lociscope.artifacts.card import PREPROCESSING
from lociscope.artifacts.catalog import Catalog, hash_catalog
from lociscope.artifacts.provenance import Provenance
from lociscope.data.cache.disk import cache_folder
from lociscope.data.cache.lazy_images import open_lazily
from lociscope.data.cache.packing import pack, prepare_catalog
from lociscope.data.pipeline.online import OnlineSimulation
from lociscope.data.simulated import prepare_simulated, simulation_key
from lociscope.errors import Code, LociscopeError
from lociscope.labels import LABELS
from lociscope.simulate import VERSION
from lociscope.simulate.field import FIELDS_PER_SPECIMEN
from lociscope.splits.folds import assign_groups, hold_out

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lociscope.artifacts.recipe import Data, Recipe
    from lociscope.data.cache.fields import PackedFields
    from lociscope.images.discovery.sources import Failure


class TrainingData(NamedTuple):
    """Training and validation fields.

    Attributes:
        train: Training fields.
        valid: Validation fields.
        source: Their origin, for the record.
    """

    train: PackedFields | OnlineSimulation
    valid: PackedFields
    source: Provenance


class LabelledFields(NamedTuple):
    """All fields that training may use, before the train/validation split.

    Attributes:
        fields: The fields.
        split: The Catalog's column `split`, by id; empty for simulated fields.
        fold: The column `fold`, likewise.
        source: Their origin, for the record.
    """

    fields: PackedFields
    split: dict[str, str | None]
    fold: dict[str, int | None]
    source: Provenance


def load_training_data(
    recipe: Recipe,
    catalog: Path | None,
    folder: Path,
    failures: list[Failure],
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    store: Path | None = None,
) -> TrainingData:
    """Prepare a recipe's fields and split them into training and validation fields.

    Args:
        recipe: Its `[data]` table sets the network's input, and the simulation where there is no Catalog.
        catalog: Labelled fields. Its column `split` is used where it says `valid`; otherwise whole groups
            (`lociscope.splits.groups`) are held out at random. Rows of the split `test` are left out.
        folder: The folder of the cache.
        failures: Extended by the fields that cannot be read.
        workers: Processes that simulate or read.
        progress: Called with (done, total).
        store: Contains the cache instead of `folder`, for all trainings with the same pixels.

    Raises:
        LociscopeError: The Catalog has no label, or fewer than two fields can be read.
    """
    if catalog is None and recipe.data.online:
        return _load_online(recipe, folder, workers, progress, store)
    return train_val_split(load_labelled_fields(recipe, catalog, folder, failures, workers, progress, store), recipe)


def load_labelled_fields(
    recipe: Recipe,
    catalog: Path | None,
    folder: Path,
    failures: list[Failure],
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    store: Path | None = None,
) -> LabelledFields:
    """Prepare a recipe's fields without splitting them.

    Raises:
        LociscopeError: The Catalog has no label, no field can be read, or the recipe simulates online.
    """
    settings = recipe.data
    if catalog is None:
        if settings.online:
            raise LociscopeError(
                "data.online simulates new fields in every epoch, which cannot be split into folds. Set it to false.",
                code=Code.CONFLICT,
            )
        packed = _cache_simulated(settings, folder, workers, progress, store)
        return LabelledFields(packed, {}, {}, Provenance("simulated", fields=settings.fields, seed=settings.seed))
    table, spec = read_labelled_catalog(catalog), settings.input
    if settings.pack:
        key = {"catalog": hash_catalog(catalog), "input": msgspec.to_builtins(spec)}
        read, where = partial(prepare_catalog, table, spec, workers), cache_folder(store, key) if store else folder
        packed = pack(where, key, len(table), read, spec, failures, progress, wait=store is not None)
    else:
        packed = open_lazily(table, spec, failures, workers)
    return LabelledFields(packed, *read_split_columns(table), Provenance("catalog", catalog.name))


def read_split_columns(table: Catalog) -> tuple[dict[str, str | None], dict[str, int | None]]:
    """Return the columns `split` and `fold` of a Catalog, by id."""
    return {entry.id: entry.split for entry in table}, {entry.id: entry.fold for entry in table}


def _cache_simulated(
    settings: Data,
    folder: Path,
    workers: int,
    progress: Callable[[int, int], None] | None,
    store: Path | None,
) -> PackedFields:
    """Simulate and cache fields."""
    names = simulation_key(settings, "size", "low", "high", "fields", "simulated_size", "seed", "balance")
    key: dict[str, Any] = {"simulated": names, "simulator": VERSION, "preprocessing": PREPROCESSING}
    simulate, where = partial(prepare_simulated, settings, workers), cache_folder(store, key) if store else folder
    return pack(where, key, settings.fields, simulate, settings.input, progress=progress, wait=store is not None)


def _load_online(
    recipe: Recipe,
    folder: Path,
    workers: int,
    progress: Callable[[int, int], None] | None,
    store: Path | None,
) -> TrainingData:
    """Return online simulation for training, and cached fields of other specimens for validation."""
    settings = recipe.data
    held = max(1, round(settings.fields * settings.valid / FIELDS_PER_SPECIMEN)) * FIELDS_PER_SPECIMEN
    if held >= settings.fields:
        raise LociscopeError(
            f"data.fields is {settings.fields}, of which {held} are held out. Ask for more.", code=Code.NOT_ENOUGH_DATA
        )
    packed = _cache_simulated(settings.model_copy(update={"fields": held}), folder, workers, progress, store)
    online = OnlineSimulation(settings, held, settings.fields - held, workers)
    return TrainingData(online, packed, Provenance("simulated", seed=settings.seed))


def read_labelled_catalog(path: Path) -> Catalog:
    """Read the rows of a Catalog that training may use: labelled, and not in the split `test`.

    Raises:
        LociscopeError: They are fewer than two.
    """
    table = Catalog.read(path).select_labelled().exclude("split", "test")
    if len(table) < 2:
        raise LociscopeError(
            f"Catalog '{path}' has {len(table)} labelled fields outside the test split; training needs 2 or more. "
            "Import it with labels.",
            code=Code.NOT_ENOUGH_DATA,
        )
    return table


def train_val_split(known: LabelledFields, recipe: Recipe) -> TrainingData:
    """Split fields into training and validation fields.

    Args:
        known: All fields; their column `split` is used where it says `valid`, otherwise whole groups are sampled.
        recipe: Sets the share of validation fields, and the seed.

    Raises:
        LociscopeError: One side would be empty.
    """
    packed, split = known.fields, known.split
    if "valid" in split.values():
        held = np.array([split[name] == "valid" for name in packed.ids])
    else:
        held = hold_out(packed.groups, recipe.data.valid, recipe.data.seed)
    if held.all() or not held.any():
        remedy = "Fix the column split" if "valid" in split.values() else "Pass more fields, or more specimens"
        raise LociscopeError(
            f"Of {len(packed)} fields {held.sum()} are held out; training and validation need one each. {remedy}.",
            code=Code.NOT_ENOUGH_DATA,
        )
    return TrainingData(packed.take(np.flatnonzero(~held)), packed.take(np.flatnonzero(held)), known.source)


class KFoldSplit(NamedTuple):
    """Fields split into folds.

    Attributes:
        datasets: For each fold, its training and validation fields.
        newly_assigned: Whether the folds were assigned here, because the Catalog's column does not number as many.
        absent: For each fold that lacks classes of other folds, their numbers.
    """

    datasets: list[TrainingData]
    newly_assigned: bool
    absent: dict[int, tuple[int, ...]]


def kfold_split(known: LabelledFields, folds: int, seed: int) -> KFoldSplit:
    """Split fields into folds, each held out once.

    Args:
        known: All fields. Their column `fold` is used where it numbers as many folds, and fields without a number
            are then left out. Otherwise whole groups are assigned, with each class in its proportion.
        folds: Number of folds, 2 or more.
        seed: Decides between equally good splits.

    Raises:
        LociscopeError: A fold would have no field.
    """
    packed = known.fields
    given = [known.fold.get(name) for name in packed.ids]
    number = np.array([-1 if fold is None else fold for fold in given])
    newly_assigned = number.max() + 1 != folds
    if newly_assigned:
        if (found := len({*packed.groups})) < folds:
            raise LociscopeError(
                f"{folds} folds need {folds} groups of fields or more, received {found}. Pass fewer `folds`.",
                code=Code.NOT_ENOUGH_DATA,
            )
        number = assign_groups(packed.y, packed.groups, [1 / folds] * folds, seed)
    datasets = []
    for fold in range(folds):
        held, rest = np.flatnonzero(number == fold), np.flatnonzero((number >= 0) & (number != fold))
        if not len(held):
            raise LociscopeError(
                f"Fold {fold} of {known.source.describe()} has no labelled field that can be read. "
                f"Split it again with `lociscope split --folds {folds}`.",
                code=Code.NOT_ENOUGH_DATA,
            )
        digest = hashlib.sha256(packed.sha256.encode() + number.astype("<i8").tobytes() + bytes([fold])).hexdigest()
        train, valid = (replace(packed.take(rows), sha256=digest) for rows in (rest, held))
        datasets.append(TrainingData(train, valid, replace(known.source, fold=fold, folds=folds)))
    return KFoldSplit(datasets, newly_assigned, _find_absent([each.valid.y.sum(axis=0) for each in datasets]))


def _find_absent(counts: list[np.ndarray]) -> dict[int, tuple[int, ...]]:
    """Return the classes that a fold lacks and other folds have."""
    present = np.sum(counts, axis=0) > 0
    found = {fold: tuple(np.flatnonzero((count == 0) & present).tolist()) for fold, count in enumerate(counts)}
    return {fold: absent for fold, absent in found.items() if absent}


def describe_absent(split: KFoldSplit) -> list[str]:
    """Return a text for each fold that lacks classes of other folds."""
    notes = []
    for fold, absent in split.absent.items():
        if not split.datasets[fold].valid.y.any():
            notes.append(f"Fold {fold} has no field with a location: its own scores are not defined.")
        else:
            names = ", ".join(LABELS[number] for number in absent)
            notes.append(f"Fold {fold} has no field of {names}, which other folds have: its own scores leave it out.")
    return notes
