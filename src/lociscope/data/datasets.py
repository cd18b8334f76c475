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
        train: Fields to learn from.
        valid: Fields held out.
        source: Where they came from, for the record.
    """

    train: PackedFields | OnlineSimulation
    valid: PackedFields
    source: Provenance


class LabelledFields(NamedTuple):
    """All fields that training may use, before the train/validation split.

    Attributes:
        fields: The fields.
        split: Their Catalog's column, by id; empty where they are drawn.
        fold: Likewise.
        source: Where they came from, for the record.
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
        recipe: Its `[data]` table says what the network sees, and what is drawn where there is no Catalog.
        catalog: Labelled fields; their `split` column is followed where it says `valid`, otherwise whole
            specimens (or antibodies, or fields) are held out at random. Rows of the split `test` are left out.
        folder: Where to keep the packed fields.
        failures: Filled with the fields that cannot be read.
        workers: Processes that draw.
        progress: Called with (done, total).
        store: Keeps them in place of `folder`, for all trainings that want the same pixels.

    Raises:
        LociscopeError: The Catalog holds no label, or fewer than two fields can be read.
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
        LociscopeError: The Catalog holds no label, no field can be read, or the recipe draws others in every epoch.
    """
    settings = recipe.data
    if catalog is None:
        if settings.online:
            raise LociscopeError(
                "data.online simulates other fields in every epoch, which cannot be folded. Set it false.",
                code=Code.CONFLICT,
            )
        packed = _simulated(settings, folder, workers, progress, store)
        return LabelledFields(packed, {}, {}, Provenance("simulated", fields=settings.fields, seed=settings.seed))
    table, spec = read_labelled_catalog(catalog), settings.input
    if settings.pack:
        key = {"catalog": hash_catalog(catalog), "input": msgspec.to_builtins(spec)}
        read, place = partial(prepare_catalog, table, spec, workers), cache_folder(store, key) if store else folder
        packed = pack(place, key, len(table), read, spec, failures, progress, wait=store is not None)
    else:
        packed = open_lazily(table, spec, failures, workers)
    return LabelledFields(packed, *read_split_columns(table), Provenance("catalog", catalog.name))


def read_split_columns(table: Catalog) -> tuple[dict[str, str | None], dict[str, int | None]]:
    """Return the columns `split` and `fold` of a Catalog, by id."""
    return {entry.id: entry.split for entry in table}, {entry.id: entry.fold for entry in table}


def _simulated(
    drawn: Data,
    folder: Path,
    workers: int,
    progress: Callable[[int, int], None] | None,
    store: Path | None,
) -> PackedFields:
    """Simulate and cache fields."""
    settings = simulation_key(drawn, "size", "low", "high", "fields", "simulated_size", "seed", "balance")
    key: dict[str, Any] = {"simulated": settings, "simulator": VERSION, "preprocessing": PREPROCESSING}
    draw, place = partial(prepare_simulated, drawn, workers), cache_folder(store, key) if store else folder
    return pack(place, key, drawn.fields, draw, drawn.input, progress=progress, wait=store is not None)


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
    packed = _simulated(settings.model_copy(update={"fields": held}), folder, workers, progress, store)
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
            code=Code.INVALID_LABELS,
        )
    return table


def train_val_split(known: LabelledFields, recipe: Recipe) -> TrainingData:
    """Split fields into training and validation fields.

    Args:
        known: All fields; their column `split` is followed where it says `valid`, otherwise whole groups are drawn.
        recipe: Says what share is held out, and the seed.

    Raises:
        LociscopeError: One side would be empty.
    """
    packed, split = known.fields, known.split
    if "valid" in split.values():
        held = np.array([split[name] == "valid" for name in packed.ids])
    else:
        held = hold_out(packed.groups, recipe.data.valid, recipe.data.seed)
    if held.all() or not held.any():
        remedy = "Mend the column split" if "valid" in split.values() else "Give more fields, or more specimens"
        raise LociscopeError(
            f"Of {len(packed)} fields {held.sum()} are held out; both sides need one. {remedy}.",
            code=Code.NOT_ENOUGH_DATA,
        )
    return TrainingData(packed.take(np.flatnonzero(~held)), packed.take(np.flatnonzero(held)), known.source)


class KFoldSplit(NamedTuple):
    """Fields split into folds.

    Attributes:
        sets: For each fold, what is learned from and what is held out.
        dealt: Whether the folds were dealt here, because no column of the Catalog numbers so many.
        notes: What its user should know, a sentence each.
    """

    datasets: list[TrainingData]
    newly_assigned: bool
    notes: list[str]


def kfold_split(known: LabelledFields, folds: int, seed: int) -> KFoldSplit:
    """Split fields into folds, each held out once.

    Args:
        known: All fields; their column `fold` is followed where it numbers as many folds, and fields without a number
            are then left out. Otherwise whole groups are dealt, each class in its proportion.
        folds: How many, 2 or more.
        seed: Decides between what is equally good.

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
                f"{folds} folds need {folds} groups of fields or more, received {found}. Ask for fewer.",
                code=Code.NOT_ENOUGH_DATA,
            )
        number = assign_groups(packed.y, packed.groups, [1 / folds] * folds, seed)
    datasets = []
    for fold in range(folds):
        held, rest = np.flatnonzero(number == fold), np.flatnonzero((number >= 0) & (number != fold))
        if not len(held):
            raise LociscopeError(
                f"Fold {fold} of {known.source.describe()} has no labelled field that can be read. "
                f"Part it anew with `lociscope split --folds {folds}`.",
                code=Code.INVALID_LABELS,
            )
        digest = hashlib.sha256(packed.sha256.encode() + number.astype("<i8").tobytes() + bytes([fold])).hexdigest()
        train, valid = (replace(packed.take(rows), sha256=digest) for rows in (rest, held))
        datasets.append(TrainingData(train, valid, replace(known.source, fold=fold, folds=folds)))
    return KFoldSplit(datasets, newly_assigned, _absent([each.valid.y.sum(axis=0) for each in datasets]))


def _absent(counts: list[np.ndarray]) -> list[str]:
    """A sentence for each fold that lacks classes which others have."""
    total = np.sum(counts, axis=0)
    notes = []
    for fold, count in enumerate(counts):
        if total.any() and not count.any():
            notes.append(f"Fold {fold} has no field that shows a place: its own scores are not defined.")
            continue
        names = [LABELS[number] for number in np.flatnonzero((count == 0) & (total > 0))]
        if names:
            notes.append(
                f"Fold {fold} has no field of {', '.join(names)}, which others have: its own scores leave it out."
            )
    return notes
