"""Scan a Catalog: read every field once, and keep a thumbnail and image statistics."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lociscope.artifacts.card import InputSpec
from lociscope.data.similarity import SIDE, thumbnail
from lociscope.errors import LociscopeError
from lociscope.images.discovery.sources import Failure, FieldSource, read_catalog_sources
from lociscope.images.io.read import read_field
from lociscope.images.preprocess import preprocess
from lociscope.images.quality import InputMeasures
from lociscope.images.statistics import STATISTICS, compute_statistics
from lociscope.processes.workers import map_in_order

if TYPE_CHECKING:
    from collections.abc import Callable

    from lociscope.artifacts.catalog import Catalog

_INPUT = InputSpec(height=128, width=128, low=0.5, high=99.9)


class ScanResult(NamedTuple):
    """Thumbnails and statistics of the n fields that can be read.

    Attributes:
        rows: (n,) of int: their rows in the Catalog, ascending.
        thumbnails: (n, 48, 48, 4) of uint8.
        statistics: (n, k) of float32, in the order of `STATISTICS`; k is 0 without statistics.
        failures: The fields that cannot be read.
    """

    rows: np.ndarray
    thumbnails: np.ndarray
    statistics: np.ndarray
    failures: list[Failure]


def scan_catalog(
    catalog: Catalog,
    statistics: bool = False,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> ScanResult:
    """Read every field of a Catalog once.

    Args:
        catalog: The fields.
        statistics: Whether to compute image statistics, which takes half as long again.
        workers: Processes that read.
        progress: Called with (done, total).
    """
    thumbnails = np.zeros((len(catalog), SIDE, SIDE, 4), np.uint8)
    figures = np.zeros((len(catalog), len(STATISTICS) if statistics else 0), np.float32)
    rows, failures = [], []
    results = map_in_order(partial(_scan_field, statistics=statistics), read_catalog_sources(catalog), workers)
    for row, found in enumerate(results):
        if isinstance(found, Failure):
            failures.append(found)
        else:
            thumbnails[row], figures[row] = found
            rows.append(row)
        if progress:
            progress(row + 1, len(catalog))
    return ScanResult(np.array(rows, int), thumbnails[rows], figures[rows], failures)


def _scan_field(source: FieldSource, statistics: bool) -> tuple[np.ndarray, np.ndarray] | Failure:
    try:
        pixels = read_field(source).pixels
    except LociscopeError as error:
        return Failure(source.id, source.first_path, str(error), error.code)
    if not statistics:
        return thumbnail(pixels), np.zeros(0, np.float32)
    prepared = preprocess(pixels, _INPUT.height, _INPUT.width, _INPUT)
    return thumbnail(pixels), compute_statistics(prepared, InputMeasures(prepared.pixels))
