"""Packing: every field decoded, scaled and stored once, for training to read."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lociscope.channels import CHANNEL_NAMES
from lociscope.data.cache.disk import (
    PIXELS,
    CacheEntry,
    DiskArray,
    PreparedField,
    corrupt_cache_error,
    open_cache_writer,
    open_disk_array,
)
from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.sources import Failure, FieldSource, read_catalog_sources
from lociscope.images.extent import make_middle_tile
from lociscope.images.io.read import read_field
from lociscope.labels import to_multi_hot
from lociscope.processes.workers import map_in_order
from lociscope.storage.file_errors import unwritable_error
from lociscope.storage.schema import CORRUPT_FILE_ERRORS, check_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from lociscope.artifacts.card import InputSpec
    from lociscope.artifacts.catalog import Catalog, Entry
    from lociscope.data.cache.lazy_images import LazyImageArray

SCHEMA = 2
_FEW = 100
"""Fields that are read before other processes have started."""


@dataclass(frozen=True, slots=True)
class PackedFields:
    """n prepared fields.

    Attributes:
        ids: Their names.
        groups: What they must not be parted by: specimen, antibody, or the field itself.
        x: (n, h, w, 4) of uint8; where they lie on disk, they are read as they are asked for.
        y: (n, 28) of uint8.
        sha256: Hash over names, pixels and labels.
    """

    ids: list[str]
    groups: list[str]
    x: np.ndarray | DiskArray | LazyImageArray
    y: np.ndarray
    sha256: str

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: np.ndarray) -> PackedFields:
        """The fields of the given row numbers; pixels that lie on disk stay there."""
        x = self.x[rows] if isinstance(self.x, np.ndarray) else self.x.take(rows)
        return PackedFields(
            [self.ids[row] for row in rows], [self.groups[row] for row in rows], x, self.y[rows], self.sha256
        )


def pack(
    folder: Path,
    key: dict[str, Any],
    total: int,
    fields: Callable[[int], Iterable[PreparedField | Failure]],
    spec: InputSpec,
    failures: list[Failure] | None = None,
    progress: Callable[[int, int], None] | None = None,
    wait: bool = False,
) -> PackedFields:
    """Packs fields into a folder, goes on where an earlier call was cut off, or opens what was packed there.

    Args:
        folder: Where to keep them; there whole or not at all.
        key: What the result depends on; another key in the folder is refused.
        total: The most fields that will come.
        fields: Called with how many have come already, to give the others, in the same order every time.
        spec: Height and width of each.
        failures: Filled with those that cannot be read, now or when they were packed.
        progress: Called with (done, total).
        wait: Whether to wait while another process packs there, in a store that many share.

    Returns:
        The packed fields.

    Raises:
        LociscopeError: The folder holds fields of another key or a damaged store, another process packs there, no
            field came, or the place cannot be written.
    """
    each = (spec.height, spec.width, len(CHANNEL_NAMES))
    if not (folder / "pack.json").is_file():
        try:
            with open_cache_writer(folder, key, each, wait) as writer:
                if writer is not None:
                    for item in fields(len(writer.items)):
                        writer.add(item)
                        if progress:
                            progress(len(writer.items), total)
                    if writer.packed:
                        writer.finish(_about(writer.folder, writer.items, each, key))
        except OSError as error:
            raise unwritable_error(folder, error, "store" if wait else "output") from error
    if not (folder / "pack.json").is_file():
        raise no_fields_error()
    return _open(folder, key, failures)


def no_fields_error(failures: Sequence[Failure] = ()) -> LociscopeError:
    """The sentence where there is nothing to train on."""
    why = f"The first: {failures[0].reason}" if failures else "Check the Catalog's paths."
    return LociscopeError(f"No field could be read, so there is nothing to train on. {why}", code=Code.NOTHING_FOUND)


def _about(
    folder: Path, items: list[CacheEntry | Failure], each: tuple[int, ...], key: dict[str, Any]
) -> dict[str, Any]:
    """What `pack.json` says."""
    kept = [item for item in items if isinstance(item, CacheEntry)]
    ids, y = [item.id for item in kept], to_multi_hot([item.target for item in kept])
    return {
        "schema": SCHEMA,
        "key": key,
        "ids": ids,
        "groups": [item.group for item in kept],
        "targets": [item.target for item in kept],
        "failures": [item for item in items if isinstance(item, Failure)],
        "sha256": _hash(ids, DiskArray(folder / PIXELS, each, np.arange(len(kept))), y),
    }


def _open(folder: Path, key: dict[str, Any], failures: list[Failure] | None) -> PackedFields:
    try:
        about = json.loads((folder / "pack.json").read_text(encoding="utf-8"))
        check_schema(about["schema"], SCHEMA, f"'{folder}'")
        if about["schema"] != SCHEMA or about["key"] != json.loads(json.dumps(key)):
            raise LociscopeError(
                f"'{folder}' holds fields packed for another recipe or Catalog. Name another folder.",
                code=Code.CONFLICT,
            )
        y = to_multi_hot(about["targets"])
        known = [Failure(*words) for words in about["failures"]]
        made = PackedFields(about["ids"], about["groups"], open_disk_array(folder / PIXELS, len(y)), y, about["sha256"])
    except CORRUPT_FILE_ERRORS as error:
        raise corrupt_cache_error(folder) from error
    if failures is not None:
        failures += known
    return made


def _hash(ids: list[str], x: DiskArray, y: np.ndarray) -> str:
    digest = hashlib.sha256("\n".join(ids).encode())
    for row in range(len(ids)):
        digest.update(x[row : row + 1].data)
    digest.update(y.tobytes())
    return digest.hexdigest()


def prepare_catalog(
    catalog: Catalog, spec: InputSpec, workers: int = 1, start: int = 0
) -> Iterator[PreparedField | Failure]:
    """Reads and prepares a Catalog's labelled fields.

    Args:
        catalog: Fields with labels.
        spec: What the network wants.
        workers: Processes that read.
        start: How many fields to pass over.

    Yields:
        The fields, in the Catalog's order, and those that cannot be read.
    """
    pairs = [*zip(catalog, read_catalog_sources(catalog), strict=True)][start:]
    yield from map_in_order(partial(_prepared, spec=spec), pairs, workers if len(pairs) > _FEW else 1)


def _prepared(pair: tuple[Entry, FieldSource], spec: InputSpec) -> PreparedField | Failure:
    entry, source = pair
    try:
        pixels = make_middle_tile(read_field(source), spec)
    except LociscopeError as error:
        return Failure(entry.id, str(source.planes[0]), str(error), error.code)
    return PreparedField(entry.id, group_of(entry), pixels, entry.target or ())


def group_of(entry: Entry) -> str:
    """What a field must not be parted by."""
    return entry.specimen or entry.antibody or entry.id
