"""Fields read from their pictures as they are asked for, for files that shall not be packed on a disk."""

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
from lociscope.data.cache.packing import PackedFields, group_of, no_fields_error
from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.sources import Failure, FieldSource, read_catalog_sources
from lociscope.images.extent import make_middle_tile
from lociscope.images.io.container import parse_plane_ref
from lociscope.images.io.read import read_field
from lociscope.labels import to_multi_hot
from lociscope.processes.workers import initialize_worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import ProcessPoolExecutor

    from lociscope.artifacts.card import InputSpec
    from lociscope.artifacts.catalog import Catalog

_CHUNK = 4
"""Fields that a process reads at a time."""

MEMORY_BYTES = 1 << 30
"""Bytes of prepared fields that are kept in memory: 4,096 fields of 256 px; further ones are read in every epoch."""


@dataclass(frozen=True, slots=True)
class LazyImageArray:
    """Pictures as an array: what is asked for is read, decoded and scaled, and kept as far as `MEMORY_BYTES` goes.

    Attributes:
        sources: Where the n fields lie.
        spec: What the network wants.
        workers: Processes that read.
        kept: Pixels by the fields' names, shared with what is taken of them.
    """

    sources: list[FieldSource]
    spec: InputSpec
    workers: int = 1
    kept: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array."""
        return (len(self.sources), self.spec.height, self.spec.width, len(CHANNEL_NAMES))

    def take(self, numbers: np.ndarray) -> LazyImageArray:
        """The fields of these numbers, unread."""
        return LazyImageArray([self.sources[number] for number in numbers.tolist()], self.spec, self.workers, self.kept)

    def __getitem__(self, numbers: np.ndarray | slice) -> np.ndarray:
        """Reads the fields of these numbers.

        Raises:
            LociscopeError: One cannot be read.
        """
        wanted = [self.sources[number] for number in np.arange(len(self))[numbers].tolist()]
        found = np.empty((len(wanted), *self.shape[1:]), np.uint8)
        new = [number for number, source in enumerate(wanted) if source.id not in self.kept]
        made = self._made([wanted[number] for number in new])
        for number, source in enumerate(wanted):
            found[number] = next(made) if number in new else self.kept[source.id]
        for number in new:
            if found[number].nbytes * (len(self.kept) + 1) <= MEMORY_BYTES:
                self.kept[wanted[number].id] = found[number].copy()
        return found

    def _made(self, sources: list[FieldSource]) -> Iterator[np.ndarray]:
        read = partial(_read, spec=self.spec)
        if self.workers < 2 or not sources:
            return map(read, sources)
        return _pool(self.workers).map(read, sources, chunksize=_CHUNK)


def _read(source: FieldSource, spec: InputSpec) -> np.ndarray:
    try:
        return make_middle_tile(read_field(source), spec)
    except LociscopeError as error:
        raise LociscopeError(
            f"Field '{source.id}' cannot be read: {error} Or set data.pack = true, which passes over such fields.",
            code=Code.UNREADABLE,
        ) from error


@cache
def _pool(workers: int) -> ProcessPoolExecutor:
    """Processes that read for every batch, and end with this one."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=initialize_worker)


atexit.register(_pool.cache_clear)  # later, when modules are gone, a pool ends with a complaint


def open_lazily(catalog: Catalog, spec: InputSpec, failures: list[Failure], workers: int = 1) -> PackedFields:
    """A Catalog's labelled fields, unread.

    Args:
        catalog: Fields with labels.
        spec: What the network wants.
        failures: Filled with the fields that lack a file; whether the others can be read shows when they are.
        workers: Processes that will read.

    Raises:
        LociscopeError: No field has its files.
    """
    kept, sources = [], []
    for entry, source in zip(catalog, read_catalog_sources(catalog), strict=True):
        gone = next((path for path in source.paths if not parse_plane_ref(path).file.exists()), None)
        if gone is not None or not source.paths:
            reason = f"'{gone}' does not exist" if gone else "it has no file"
            failures.append(Failure(entry.id, str(gone or ""), f"Field '{entry.id}': {reason}. Mend the Catalog."))
        else:
            kept.append(entry)
            sources.append(source)
    if not kept:
        raise no_fields_error(failures)
    known = [
        [entry.id, group_of(entry), entry.target, [str(path) for path in source.paths]]
        for entry, source in zip(kept, sources, strict=True)
    ]
    digest = hashlib.sha256(json.dumps([known, msgspec.to_builtins(spec)]).encode())
    y = to_multi_hot([entry.target or () for entry in kept])
    return PackedFields(
        [entry.id for entry in kept],
        [group_of(entry) for entry in kept],
        LazyImageArray(sources, spec, workers),
        y,
        digest.hexdigest(),
    )
