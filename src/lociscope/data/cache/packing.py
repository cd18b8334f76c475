"""Pack fields: decode, preprocess and store each field once, for training to read."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from typing import TYPE_CHECKING, Any

from lociscope.channels import CHANNEL_NAMES
from lociscope.data.cache.disk import (
    PIXELS,
    CacheWriter,
    PreparedField,
    corrupt_cache_error,
    open_cache_writer,
    open_disk_array,
)
from lociscope.data.cache.fields import FieldArray, PackedFields, no_fields_error
from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.sources import Failure, FieldSource, read_catalog_sources
from lociscope.images.extent import make_middle_tile
from lociscope.images.io.read import read_field
from lociscope.labels import to_multi_hot
from lociscope.processes.workers import map_in_order
from lociscope.splits.groups import group_ids
from lociscope.storage.file_errors import unwritable_error
from lociscope.storage.schema import CORRUPT_FILE_ERRORS, check_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import numpy as np

    from lociscope.artifacts.card import InputSpec
    from lociscope.artifacts.catalog import Catalog, Entry

SCHEMA = 2
_FEW = 100
"""Number of fields that one process reads before others have started."""


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
    """Pack fields into a folder, resume where an earlier call was interrupted, or open what was packed there.

    Args:
        folder: The folder of the cache; it exists when the cache is complete.
        key: What the cache depends on; a folder with another key is refused.
        total: The largest number of fields.
        fields: Called with the number of fields that are done already; gives the others, always in the same order.
        spec: Height and width of each field.
        failures: Extended by the fields that cannot be read, now or when they were packed.
        progress: Called with (done, total).
        wait: Whether to wait while another process packs there, in a store that several trainings share.

    Returns:
        The packed fields.

    Raises:
        LociscopeError: The folder contains fields of another key or a corrupt cache, another process packs there, no
            field can be read, or the folder cannot be written.
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
                        writer.finish(_about(writer, key))
        except OSError as error:
            raise unwritable_error(folder, error, "store" if wait else "output") from error
    if not (folder / "pack.json").is_file():
        raise no_fields_error()
    return _open(folder, key, failures)


def _about(writer: CacheWriter, key: dict[str, Any]) -> dict[str, Any]:
    """Return the contents of `pack.json`."""
    entries = writer.packed
    ids, y = [item.id for item in entries], to_multi_hot([item.target for item in entries])
    return {
        "schema": SCHEMA,
        "key": key,
        "ids": ids,
        "groups": [item.group for item in entries],
        "targets": [item.target for item in entries],
        "failures": [item for item in writer.items if isinstance(item, Failure)],
        "sha256": _hash(ids, writer.read_back(), y),
    }


def _open(folder: Path, key: dict[str, Any], failures: list[Failure] | None) -> PackedFields:
    try:
        about = json.loads((folder / "pack.json").read_text(encoding="utf-8"))
        check_schema(about["schema"], SCHEMA, f"'{folder}'")
        if about["schema"] != SCHEMA or about["key"] != json.loads(json.dumps(key)):
            raise LociscopeError(
                f"'{folder}' contains fields packed for another recipe or Catalog. Pass another folder.",
                code=Code.CONFLICT,
            )
        y = to_multi_hot(about["targets"])
        unread = [Failure(*words) for words in about["failures"]]
        made = PackedFields(about["ids"], about["groups"], open_disk_array(folder / PIXELS, len(y)), y, about["sha256"])
    except CORRUPT_FILE_ERRORS as error:
        raise corrupt_cache_error(folder) from error
    if failures is not None:
        failures += unread
    return made


def _hash(ids: list[str], x: FieldArray, y: np.ndarray) -> str:
    digest = hashlib.sha256("\n".join(ids).encode())
    for row in range(len(ids)):
        digest.update(x[row : row + 1].data)
    digest.update(y.tobytes())
    return digest.hexdigest()


def prepare_catalog(
    catalog: Catalog, spec: InputSpec, workers: int = 1, start: int = 0
) -> Iterator[PreparedField | Failure]:
    """Read and preprocess a Catalog's labelled fields.

    Args:
        catalog: Fields with labels.
        spec: The network's input.
        workers: Processes that read.
        start: Number of fields to skip.

    Yields:
        The fields, in the Catalog's order, and those that cannot be read.
    """
    groups = group_ids(catalog)
    fields = [*zip(catalog, read_catalog_sources(catalog), groups, strict=True)][start:]
    yield from map_in_order(partial(_prepare, spec=spec), fields, workers if len(fields) > _FEW else 1)


def _prepare(field: tuple[Entry, FieldSource, str], spec: InputSpec) -> PreparedField | Failure:
    entry, source, group = field
    try:
        pixels = make_middle_tile(read_field(source), spec)
    except LociscopeError as error:
        return Failure(entry.id, source.first_path, str(error), error.code)
    return PreparedField(entry.id, group, pixels, entry.target or ())
