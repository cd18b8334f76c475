"""Fields to learn from and fields held out, packed: of a Catalog, or drawn."""

import hashlib
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from lociscope.catalog import Catalog
from lociscope.data.files import open_files
from lociscope.data.fresh import Fresh
from lociscope.data.pack import Packed, pack, prepare_catalog
from lociscope.data.simulated import prepare_simulated
from lociscope.data.split import hold_out
from lociscope.errors import LociscopeError
from lociscope.simulate import VERSION
from lociscope.simulate.field import FIELDS_PER_SPECIMEN

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lociscope.images.sources import Failure
    from lociscope.recipe import Recipe


class TrainingSets(NamedTuple):
    """What `lociscope.training.fit` takes.

    Attributes:
        train: Fields to learn from.
        valid: Fields held out.
        source: Where they came from, for the record.
    """

    train: Packed | Fresh
    valid: Packed
    source: str


def training_sets(
    recipe: "Recipe",
    catalog: "Path | None",
    folder: "Path",
    failures: "list[Failure]",
    workers: int = 1,
    progress: "Callable[[int, int], None] | None" = None,
) -> TrainingSets:
    """Packs a recipe's fields into a folder, once, and parts them.

    Args:
        recipe: Its `[data]` table says what the network sees, and what is drawn where there is no Catalog.
        catalog: Labelled fields; their `split` column is followed where it says `valid`, otherwise whole
            specimens (or antibodies, or fields) are held out at random. Rows of the split `test` are left out.
        folder: Where to keep the packed fields.
        failures: Filled with the fields that cannot be read.
        workers: Processes that draw.
        progress: Called with (done, total).

    Raises:
        LociscopeError: The Catalog holds no label, or fewer than two fields can be read.
    """
    if catalog is None:
        return _simulated_sets(recipe, folder, workers, progress)
    table, spec = labelled_fields(catalog), recipe.data.input
    if recipe.data.pack:
        key = {"catalog": hashlib.sha256(catalog.read_bytes()).hexdigest(), "input": msgspec.to_builtins(spec)}
        read = partial(prepare_catalog, table, spec, workers)
        packed = pack(folder, key, len(table), read, spec, failures, progress)
    else:
        packed = open_files(table, spec, failures, workers)
    split = {entry.id: entry.split for entry in table}
    return parted(packed, split, recipe, f"Catalog '{catalog.name}'")


def _simulated_sets(
    recipe: "Recipe", folder: "Path", workers: int, progress: "Callable[[int, int], None] | None"
) -> TrainingSets:
    """Fields that are drawn and packed; or, where fresh ones are wanted, only those that are held out."""
    settings = recipe.data
    held = settings.fields
    if settings.fresh:  # whole specimens, at least one
        held = max(1, round(settings.fields * settings.valid / FIELDS_PER_SPECIMEN)) * FIELDS_PER_SPECIMEN
        if held >= settings.fields:
            raise LociscopeError(f"data.fields is {settings.fields}, of which {held} are held out. Ask for more.")
    drawn = settings.model_copy(update={"fields": held})
    key: dict[str, Any] = {"simulated": drawn.model_dump(exclude={"valid", "pack", "fresh"}), "simulator": VERSION}
    draw = partial(prepare_simulated, drawn, workers)
    packed = pack(folder, key, held, draw, settings.input, progress=progress)
    if not settings.fresh:
        return parted(packed, None, recipe, f"{settings.fields} simulated fields of seed {settings.seed}")
    fresh = Fresh(settings, held, settings.fields - held, workers)
    return TrainingSets(fresh, packed, f"simulated fields of seed {settings.seed}, others in every epoch")


def labelled_fields(path: "Path") -> Catalog:
    """The rows of a Catalog that training may see: labelled, and not of the split `test`.

    Raises:
        LociscopeError: They are fewer than two.
    """
    table = Catalog.read(path).labelled().without("split", "test")
    if len(table) < 2:
        raise LociscopeError(
            f"Catalog '{path}' has {len(table)} labelled fields outside the test split; training needs 2 or more. "
            "Import it with labels."
        )
    return table


def parted(packed: Packed, split: dict[str, str | None] | None, recipe: "Recipe", source: str) -> TrainingSets:
    """Parts fields into those to learn from and those held out.

    Args:
        packed: All fields.
        split: Their Catalog's column, by id; followed where it says `valid`, otherwise whole groups are drawn.
        recipe: Says what share is held out, and the seed.
        source: Where they came from, for the record.

    Raises:
        LociscopeError: One side would be empty.
    """
    if split and "valid" in split.values():
        held = np.array([split[name] == "valid" for name in packed.ids])
    else:
        held = hold_out(packed.groups, recipe.data.valid, recipe.data.seed)
    if held.all() or not held.any():
        raise LociscopeError(
            f"Of {len(packed)} fields {held.sum()} are held out; both sides need one. "
            "Give more fields, or more specimens."
        )
    return TrainingSets(packed.take(np.flatnonzero(~held)), packed.take(np.flatnonzero(held)), source)
