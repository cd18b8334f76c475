"""Fields that are read from their image files when they are needed, without a cache on disk."""

from __future__ import annotations

import atexit
import hashlib
import json
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from lociscope.channels import CHANNEL_NAMES
from lociscope.data.cache.fields import PackedFields, no_fields_error
from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.sources import Failure, FieldSource, read_catalog_sources
from lociscope.images.extent import make_middle_tile
from lociscope.images.io.read import read_field
from lociscope.labels import to_multi_hot
from lociscope.processes.workers import initialize_worker
from lociscope.splits.groups import group_ids

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import ProcessPoolExecutor

    from lociscope.artifacts.card import InputSpec
    from lociscope.artifacts.catalog import Catalog

_CHUNK = 4
"""Number of fields that a process reads at a time."""

MEMORY_BYTES = 1 << 30
"""Memory for prepared fields: 4,096 fields of 256 px; further fields are read again in every epoch."""


@dataclass(frozen=True, slots=True)
class LazyImageArray:
    """Image files as an array: fields are read and preprocessed when indexed, and kept in memory up to `MEMORY_BYTES`.

    Attributes:
        sources: The files of the n fields.
        spec: The network's input.
        workers: Processes that read.
        memory: Pixels by the fields' ids, shared with the arrays that `take` returns.
    """

    sources: list[FieldSource]
    spec: InputSpec
    workers: int = 1
    memory: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, h, w, 4)."""
        return (len(self.sources), self.spec.height, self.spec.width, len(CHANNEL_NAMES))

    def take(self, numbers: np.ndarray) -> LazyImageArray:
        """Return some fields without reading them."""
        return LazyImageArray(
            [self.sources[number] for number in numbers.tolist()], self.spec, self.workers, self.memory
        )

    def __getitem__(self, numbers: np.ndarray | slice) -> np.ndarray:
        """Read some fields.

        Raises:
            LociscopeError: A field cannot be read.
        """
        wanted = [self.sources[number] for number in np.arange(len(self))[numbers].tolist()]
        found = np.empty((len(wanted), *self.shape[1:]), np.uint8)
        new = [number for number, source in enumerate(wanted) if source.id not in self.memory]
        read = self._read([wanted[number] for number in new])
        for number, source in enumerate(wanted):
            found[number] = next(read) if number in new else self.memory[source.id]
        for number in new:
            if found[number].nbytes * (len(self.memory) + 1) <= MEMORY_BYTES:
                self.memory[wanted[number].id] = found[number].copy()
        return found

    def _read(self, sources: list[FieldSource]) -> Iterator[np.ndarray]:
        read = partial(_read_field, spec=self.spec)
        if self.workers < 2 or not sources:
            return map(read, sources)
        return _pool(self.workers).map(read, sources, chunksize=_CHUNK)


def _read_field(source: FieldSource, spec: InputSpec) -> np.ndarray:
    try:
        return make_middle_tile(read_field(source), spec)
    except LociscopeError as error:
        raise LociscopeError(
            f"Field '{source.id}' cannot be read: {error} Or set data.pack = true, which skips such fields.",
            code=error.code,
        ) from error


@cache
def _pool(workers: int) -> ProcessPoolExecutor:
    """Start the processes that read every batch; they end with this process."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=initialize_worker)


atexit.register(_pool.cache_clear)  # at interpreter shutdown a pool that still exists prints an error


def open_lazily(catalog: Catalog, spec: InputSpec, failures: list[Failure], workers: int = 1) -> PackedFields:
    """Open a Catalog's labelled fields without reading them.

    Args:
        catalog: Fields with labels.
        spec: The network's input.
        failures: Extended by the fields that lack a file; other faults of files show only when they are read.
        workers: Processes that will read.

    Raises:
        LociscopeError: No field has its files.
    """
    kept, sources, groups = [], [], []
    for entry, source, group in zip(catalog, read_catalog_sources(catalog), group_ids(catalog), strict=True):
        missing = next((ref for ref in source.refs if not ref.file.exists()), None)
        if missing is not None or not source.refs:
            reason = f"'{missing}' does not exist" if missing else "it has no file"
            text = f"Field '{entry.id}': {reason}. Fix the Catalog."
            failures.append(Failure(entry.id, str(missing or ""), text, Code.NOT_FOUND))
        else:
            kept.append(entry)
            sources.append(source)
            groups.append(group)
    if not kept:
        raise no_fields_error(failures)
    rows = [
        [entry.id, group, entry.target, [str(ref) for ref in source.refs]]
        for entry, source, group in zip(kept, sources, groups, strict=True)
    ]
    digest = hashlib.sha256(json.dumps([rows, msgspec.to_builtins(spec)]).encode())
    y = to_multi_hot([entry.target or () for entry in kept])
    return PackedFields(
        [entry.id for entry in kept],
        groups,
        LazyImageArray(sources, spec, workers),
        y,
        digest.hexdigest(),
    )
