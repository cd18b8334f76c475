"""Fields as NumPy arrays, for a training loop of one's own."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lociscope.artifacts.recipe import Data
from lociscope.data.cache.fields import no_fields_error
from lociscope.data.cache.packing import prepare_catalog
from lociscope.data.datasets import read_labelled_catalog
from lociscope.images.discovery.sources import Failure
from lociscope.images.preprocess import prepare
from lociscope.labels import to_multi_hot
from lociscope.processes.workers import map_in_order
from lociscope.simulate.field import FIELDS_PER_SPECIMEN, simulate_field
from lociscope.simulate.patterns import location_number
from lociscope.storage.paths import as_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lociscope.artifacts.card import InputSpec
    from lociscope.storage.paths import AnyPath


class FieldArrays(NamedTuple):
    """Labelled fields in memory.

    Attributes:
        x: (n, size, size, 4) of uint8, channels RGBY, preprocessed as for every network of lociscope.
        y: (n, 28) of uint8, 1 where the field is labelled with the location.
        ids: The fields' names.
        groups: The group of each: fields of one group belong on the same side of a split.
        failures: The fields that could not be read.
    """

    x: np.ndarray
    y: np.ndarray
    ids: list[str]
    groups: list[str]
    failures: list[Failure]


def load_arrays(catalog: AnyPath, size: int = 128, *, workers: int = 1) -> FieldArrays:
    """Load the labelled fields of a Catalog, such as that of the competition's download.

    Args:
        catalog: A Catalog; rows of the split `test` are left out.
        size: Side of the arrays in px.
        workers: Processes that read.

    Raises:
        LociscopeError: The Catalog has fewer than two labelled fields, or none can be read.
    """
    table = read_labelled_catalog(as_path(catalog))
    read = list(prepare_catalog(table, Data(size=size).input, workers))
    failures = [each for each in read if isinstance(each, Failure)]
    fields = [each for each in read if not isinstance(each, Failure)]
    if not fields:
        raise no_fields_error(failures)
    return FieldArrays(
        np.stack([each.pixels for each in fields]),
        to_multi_hot([each.target for each in fields]),
        [each.id for each in fields],
        [each.group for each in fields],
        failures,
    )


def simulate_arrays(
    fields: int,
    size: int = 128,
    *,
    locations: Sequence[str] | None = None,
    pixel_size: float | None = None,
    seed: int = 0,
    workers: int = 1,
) -> FieldArrays:
    """Simulate fields without writing files.

    Args:
        fields: Number of fields.
        size: Side of the fields in px, 64 or more.
        locations: Names of locations, of which each field shows one, in turn; None samples label sets, nearly evenly.
        pixel_size: Side of a pixel in µm; None samples one such that a field shows 138–246 µm.
        seed: The same seed gives the same pixels.
        workers: Processes that simulate.

    Raises:
        UsageError: A location is not known, or a number is out of range.
    """
    numbers = None if locations is None else tuple(location_number(name) for name in locations)
    simulate = partial(_simulate, size=size, numbers=numbers, pixel_size=pixel_size, seed=seed)
    x, targets, ids, groups = zip(*map_in_order(simulate, range(fields), workers), strict=True)
    return FieldArrays(np.stack(x), to_multi_hot(targets), [*ids], [*groups], [])


def _simulate(
    index: int, *, size: int, numbers: tuple[int, ...] | None, pixel_size: float | None, seed: int
) -> tuple[np.ndarray, tuple[int, ...], str, str]:
    """Simulate one field; a pure function of its arguments."""
    shown = None if numbers is None else (numbers[index // FIELDS_PER_SPECIMEN % len(numbers)],)
    field = simulate_field(
        index, seed=seed, size=size, locations=shown, pixel_size=pixel_size, balance=0.5 if shown is None else 0.0
    )
    spec: InputSpec = Data(size=size).input
    return prepare(field.pixels, spec), field.target, field.id, field.specimen
