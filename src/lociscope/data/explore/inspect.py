"""Inspect fields: read each once, and keep what findings and summaries need of its pixels."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from msgspec import structs

from lociscope.artifacts.card import InputSpec
from lociscope.channels import CHANNEL_NAMES
from lociscope.data.explore.channels import ChannelFeatures, measure_channels
from lociscope.data.similarity import SIDE, thumbnail
from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.sources import Failure, FieldSource
from lociscope.images.extent import make_tiles
from lociscope.images.io.read import read_field
from lociscope.images.quality import InputMeasures, find_warnings
from lociscope.images.scale import percentiles_of_sorted
from lociscope.images.statistics import compute_statistics
from lociscope.processes.progress import ProgressCallback, ignore_progress
from lociscope.processes.workers import map_in_order

if TYPE_CHECKING:
    from collections.abc import Callable

    from lociscope.data.explore.sources import FieldSet
    from lociscope.images.field import Field
    from lociscope.warnings import FieldWarning

MEASURED = InputSpec(height=256, width=256, low=0.5, high=99.9)
"""The scale at which fields are measured, 0.64 µm a pixel for a field of the Human Protein Atlas, whatever the model
expects."""


class InspectedField(NamedTuple):
    """What is kept of a field.

    Attributes:
        thumbnail: (48, 48, 4) of uint8, to search for duplicates.
        statistics: (k,) of float32, in the order of `lociscope.images.statistics.STATISTICS`.
        channels: Texture of each channel, and similarity of each pair.
        clipped: (4,) of float: percentage of the pixels at the channel's maximum, where values pile up there.
        shape: Height and width in px, as in the file.
        kind: Type of the pixels, such as `uint8`.
        warnings: Of quality control.
    """

    thumbnail: np.ndarray
    statistics: np.ndarray
    channels: ChannelFeatures
    clipped: np.ndarray
    shape: tuple[int, int]
    kind: str
    warnings: tuple[FieldWarning, ...]


class Inspection(NamedTuple):
    """The fields that can be read, and those that cannot.

    Attributes:
        rows: The numbers of the fields that can be read, ascending.
        fields: What is kept of them.
        failures: The others.
    """

    rows: list[int]
    fields: list[InspectedField]
    failures: list[Failure]


def inspect_fields(
    fields: FieldSet,
    model_input: InputSpec | None = None,
    use: Callable[[int, np.ndarray], None] | None = None,
    workers: int = 1,
    progress: ProgressCallback = ignore_progress,
) -> Inspection:
    """Read every field once.

    A channel that the files lack is taken as missing, not as an error.

    Args:
        fields: The fields; those of which none names a file are skipped.
        model_input: The input of a network; None if no network is used.
        use: Called with the number of a field and its (tiles, height, width, 4) of uint8, the network's inputs.
        workers: Processes that read.
        progress: Called with (done, total).
    """
    made = Inspection([], [], [])
    sources = fields.sources if fields.has_images else []
    results = map_in_order(partial(inspect_source, model_input=model_input), sources, workers)
    for row, found in enumerate(results):
        if isinstance(found, Failure):
            made.failures.append(found)
        else:
            made.rows.append(row)
            made.fields.append(found[0])
            if use is not None and found[1] is not None:
                use(row, found[1])
        progress(row + 1, len(sources))
    return made


def inspect_source(
    source: FieldSource, model_input: InputSpec | None
) -> tuple[InspectedField, np.ndarray | None] | Failure:
    """Read and inspect one field; return the network's inputs, too, or why it cannot be read."""
    if not source.refs:
        return Failure(source.id, "", f"Field '{source.id}' names no file.", Code.MISSING_CHANNEL)
    try:
        return inspect_field(read_field(replace(source, allow_missing=CHANNEL_NAMES)), model_input)
    except LociscopeError as error:
        return Failure(source.id, source.first_path, str(error), error.code)
    except MemoryError:
        return Failure(source.id, source.first_path, "It does not fit into memory.", Code.OUT_OF_MEMORY)


def inspect_field(field: Field, model_input: InputSpec | None) -> tuple[InspectedField, np.ndarray | None]:
    """Inspect one field.

    Args:
        field: Its pixels, (y, x, 4).
        model_input: The input of a network, or None.

    Returns:
        What is kept of it, and the network's inputs, (tiles, height, width, 4) of uint8, or None.

    Raises:
        LociscopeError: Its pixel size is impossible.
    """
    made = make_tiles(field, MEASURED)
    tiles, warnings, whole = made.pixels, made.warnings, made.whole
    measures = InputMeasures(tiles[0])
    height, width = field.pixels.shape[:2]
    inspected = InspectedField(
        thumbnail(field.pixels),
        compute_statistics(whole, measures),
        measure_channels(tiles[0]),
        np.array([measure_clipped(values) for values in whole.sample]),
        (height, width),
        str(field.pixels.dtype),
        (*field.warnings, *warnings, *find_warnings(whole, measures, MEASURED.height, field.missing)),
    )
    if model_input is None:
        return inspected, None
    same = _without_version(model_input) == MEASURED
    return inspected, tiles if same else make_tiles(field, model_input).pixels


def _without_version(spec: InputSpec) -> InputSpec:
    """Return an input without the version of its preprocessing, which changes no pixel made by this version."""
    return structs.replace(spec, preprocessing=MEASURED.preprocessing)


def measure_clipped(values: np.ndarray) -> float:
    """Return the percentage of pixels at the bright end of a plane, if they pile up there.

    A camera's limit collects all brighter values: far more pixels than in any band of the same width below it.

    Args:
        values: (n,) of any type, sorted; hot pixels, up to 2 in 1,000, do not matter.

    Returns:
        0–100; 0 for a constant plane, and where values fade out instead.
    """
    low, top = (float(value) for value in percentiles_of_sorted(values, (1, 99.8)))
    if not top > low:
        return 0.0
    band = (top - low) / 100
    first = int(np.searchsorted(values, top - band))
    if first == 0:
        return 0.0
    next_level = float(values[first - 1])
    width = max(_WINDOW * band, top - next_level + band)
    level, window = (first - int(np.searchsorted(values, next_level - below)) for below in (band, width))
    at_top = len(values) - first
    piled = at_top > max(_PILE * window * band / width, level)
    return 100 * at_top / len(values) if piled else 0.0


_WINDOW = 10
"""Width of the range below the brightest hundredth that it is compared with, in hundredths."""

_PILE = 3
"""How many times as many pixels the brightest hundredth must have as such a hundredth below it."""


def stack_thumbnails(inspection: Inspection) -> np.ndarray:
    """Return (n, 48, 48, 4) of uint8."""
    none = np.zeros((0, SIDE, SIDE, len(CHANNEL_NAMES)), np.uint8)
    return np.stack([field.thumbnail for field in inspection.fields]) if inspection.fields else none


def stack_features(inspection: Inspection) -> np.ndarray | None:
    """Return (n, k) features of all channels; None where there are no fields."""
    rows = [np.concatenate([each.ravel() for each in field.channels]) for field in inspection.fields]
    return np.stack(rows) if rows else None
