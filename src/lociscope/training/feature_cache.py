"""Measure compartment features of fields once, and keep them on disk."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lociscope.data.cache.disk import corrupt_cache_error
from lociscope.data.simulated import simulate_one
from lociscope.errors import Code, LociscopeError
from lociscope.images.io.read import read_field
from lociscope.images.segmentation.features import FEATURES, compute_features
from lociscope.labels import to_multi_hot
from lociscope.processes.workers import map_in_order
from lociscope.storage.atomic import atomic_write
from lociscope.storage.schema import CORRUPT_FILE_ERRORS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lociscope.artifacts.catalog import Entry
    from lociscope.artifacts.recipe import Data
    from lociscope.images.discovery.sources import FieldSource

FIELDS_PER_FILE = 100
"""Fields that are stored together: the most that an interruption loses."""


class FieldFeatures(NamedTuple):
    """A field's id, group, features (len(FEATURES),) and class numbers.

    Of a field that cannot be read: its id, one of its files in place of the group, and the reason in `failure`.
    """

    id: str
    group: str
    features: np.ndarray
    target: tuple[int, ...]
    failure: str = ""


def measure_simulated(settings: Data, index: int) -> FieldFeatures:
    """Simulate and measure one field, without a pixel size, as the competition's fields have none."""
    field = simulate_one(settings, index)
    return FieldFeatures(field.id, field.specimen, compute_features(field.pixels), field.target)


def measure_entry(job: tuple[Entry, FieldSource, str]) -> FieldFeatures:
    """Read and measure a field of a Catalog, given with its group; where it cannot be read, return the reason."""
    entry, source, group = job
    target = tuple(entry.target or ())
    try:
        field = read_field(source)
        return FieldFeatures(entry.id, group, compute_features(field.pixels, field.pixel_size), target)
    except LociscopeError as error:
        return FieldFeatures(entry.id, source.first_path, np.full(len(FEATURES), np.nan), target, str(error))


def measure_cached(
    folder: Path,
    key: dict[str, Any],
    jobs: list[Any],
    measure: Callable[[Any], FieldFeatures],
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> list[FieldFeatures]:
    """Return the features of all fields; measure those that the folder does not contain yet.

    Args:
        folder: Where the features are stored, `FIELDS_PER_FILE` fields to a file.
        key: Identifies the fields and the features.
        jobs: One argument of `measure` for each field.
        measure: `measure_simulated` or `measure_entry`; pure, so that other processes can call it.
        workers: Number of processes.
        progress: Called with (done, total).

    Raises:
        LociscopeError: The folder contains features under another key, or a damaged file.
    """
    about = folder / "pack.json"
    folder.mkdir(parents=True, exist_ok=True)
    if not about.is_file():
        with atomic_write(about) as part:
            part.write_text(json.dumps(key), encoding="utf-8")
    elif _read_key(about) != json.loads(json.dumps(key)):
        raise LociscopeError(
            f"'{folder}' contains features of another recipe or Catalog. Name another folder.", code=Code.CONFLICT
        )
    chunks = [jobs[start : start + FIELDS_PER_FILE] for start in range(0, len(jobs), FIELDS_PER_FILE)]
    missing = [i for i in range(len(chunks)) if not _chunk_file(folder, i).is_file()]
    measured = map_in_order(measure, [job for i in missing for job in chunks[i]], workers)
    done = len(jobs) - sum(len(chunks[i]) for i in missing)
    for i in missing:
        rows = []
        for _ in chunks[i]:
            rows.append(next(measured))
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
    texts = {name: np.array([getattr(row, name) for row in rows], str) for name in ("id", "group", "failure")}
    truth = to_multi_hot([row.target for row in rows])
    with atomic_write(path) as part, part.open("wb") as file:
        arrays: dict[str, Any] = {"features": np.stack([row.features for row in rows]), "truth": truth, **texts}
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
