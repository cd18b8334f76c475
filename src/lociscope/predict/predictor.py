"""The predictor that programs, the service and the microscope call."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from lociscope.artifacts.bundle import DEFAULT_BUNDLE, read_bundle
from lociscope.artifacts.predictions import Predictions
from lociscope.channels import CHANNEL_NAMES
from lociscope.decide.locations import decide_locations
from lociscope.errors import Code, LociscopeError, UsageError
from lociscope.images.extent import make_tiles
from lociscope.images.quality import find_warnings, measure_input
from lociscope.images.statistics import compute_statistics
from lociscope.predict.engine import Engine
from lociscope.predict.inputs import FieldInput, read_fields
from lociscope.predict.test_time_augmentation import average_outputs, check_square, rotate_and_flip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from lociscope.artifacts.bundle import Bundle
    from lociscope.images.field import Field
    from lociscope.storage.paths import AnyPath
    from lociscope.warnings import FieldWarning

BATCH_SIZE = 16
"""Number of fields in one call of the network."""

MAX_TILES = 64
"""Maximum number of tiles in one call of the network, which bounds its memory."""


class PreparedField(NamedTuple):
    """A field as the network expects it.

    Attributes:
        id: Its name.
        pixels: (tiles, height, width, 4) of uint8; one tile where the field spans what the network expects.
        warnings: About its files and its pixels.
        statistics: (k,) float32, in the order of `lociscope.images.statistics.STATISTICS`.
    """

    id: str
    pixels: np.ndarray
    warnings: tuple[FieldWarning, ...]
    statistics: np.ndarray


def open_bundle(path: AnyPath | None = None, threads: int = 0, *, tta: bool = False) -> Predictor:
    """Open a bundle for prediction.

    Args:
        path: The folder of the bundle; None is the one that ships with lociscope.
        threads: Number of threads per call; 0 uses every core.
        tta: Test-time augmentation: average over the eight quarter turns and mirror images of each field, in eight
            times the time.

    Returns:
        A predictor that has passed its self-test.

    Raises:
        UsageError: `threads` is not a number of threads, or the bundle's input is not square and `tta` is set.
        LociscopeError: The bundle is altered, incomplete, of a newer schema, or fails its self-test.
    """
    return Predictor(read_bundle(path), threads, tta=tta)


def _reopen(path: Path | None, sha256: str, threads: int, tta: bool) -> Predictor:
    """Open the bundle of a pickled predictor again.

    Raises:
        LociscopeError: The bundle does not exist any more, or has changed.
    """
    predictor = open_bundle(path, threads, tta=tta)
    if predictor.bundle.sha256 != sha256:
        raise LociscopeError(
            f"Bundle '{predictor.bundle.folder}' is not the one that the predictor was pickled with: its hash is "
            f"{predictor.bundle.sha256[:12]}…, expected {sha256[:12]}…. Open it again with `open_bundle`.",
            code=Code.ALTERED,
        )
    return predictor


class Predictor:
    """Predicts the locations of the protein in fields.

    A predictor can be pickled, and so be sent to the processes of joblib or multiprocessing, which open the bundle
    again from its folder and check its hash.

    Args:
        bundle: The bundle to run.
        threads: Number of threads per call; 0 uses every core.
        tta: Whether to use test-time augmentation; see `lociscope.predict.test_time_augmentation`.
    """

    def __init__(self, bundle: Bundle, threads: int = 0, *, tta: bool = False) -> None:
        if tta:
            check_square(bundle.card.input.height, bundle.card.input.width)
        if isinstance(threads, bool) or not isinstance(threads, int) or threads < 0:
            raise UsageError(
                f"`threads` is {threads!r}; expected a number of threads, or 0 for every core.", code=Code.INVALID_VALUE
            )
        self.bundle = bundle
        self.tta = tta
        self.threads = threads
        self.engine = Engine(bundle, threads)
        self._folder = None if bundle.folder == DEFAULT_BUNDLE else bundle.folder.absolute()

    def __reduce__(self) -> tuple[Callable[..., Predictor], tuple[Path | None, str, int, bool]]:
        return _reopen, (self._folder, self.bundle.sha256, self.threads, self.tta)

    def predict(
        self,
        fields: FieldInput,
        *,
        embeddings: bool = False,
        pixel_size: float | None = None,
    ) -> Predictions:
        """Predict fields: arrays, files, folders.

        Args:
            fields: An array (y, x, 4) or (n, y, x, 4), channels RGBY, of numpy or of a library whose arrays numpy can
                read, such as zarr and dask; a path of a folder, an archive, a file or a Catalog; a Field; a FieldSource
                that `find_fields` returned; or an iterable of these, in which neighbouring paths are searched together
                and arrays may differ in size. The fields of arrays are called `0`, `1`, …
            embeddings: Whether to return each field's embedding.
            pixel_size: Side of a pixel in µm, which overrides what the fields declare; None uses what they declare, or
                else the rule of `lociscope.images.extent`.

        Returns:
            The Predictions, in order; those of a path in the order of the fields' names.

        Raises:
            LociscopeError: An array has another number of axes or channels, is empty, or has pixels that are not
                finite numbers; a path contains a field that cannot be read; or the model has no embedding.
        """
        prepared = map(self.prepare, map(_check_field, read_fields(fields, pixel_size)))
        return Predictions.join([self.run(batch, embeddings=embeddings) for batch in batched(prepared, BATCH_SIZE)])

    def prepare(self, field: Field) -> PreparedField:
        """Return a field as the input of the network, with its warnings and its statistics.

        Raises:
            LociscopeError: The pixel size of the field is impossible.
        """
        tiles, warnings, whole = make_tiles(field, self.bundle.card.input)
        measures = measure_input(tiles[0])
        warnings = (*field.warnings, *warnings, *find_warnings(whole, measures, min(tiles.shape[1:3]), field.missing))
        return PreparedField(field.id, tiles, warnings, compute_statistics(whole, measures))

    def run(self, fields: Sequence[PreparedField], *, embeddings: bool = False) -> Predictions:
        """Predict prepared fields in one call of the network, or in a few if they have many tiles.

        Args:
            fields: Results of `prepare`, at least one.
            embeddings: Whether to return each field's embedding.

        Returns:
            The Predictions, in order.
        """
        names = ("probabilities", "embedding") if embeddings else ("probabilities",)
        tiles = np.concatenate([field.pixels for field in fields])
        calls = [self._call(tiles[start : start + MAX_TILES], names) for start in range(0, len(tiles), MAX_TILES)]
        counts = [len(field.pixels) for field in fields]
        outputs = {name: _mean_over_tiles(np.concatenate([call[name] for call in calls]), counts) for name in names}
        probability = outputs["probabilities"]
        predicted, status = decide_locations(probability, np.asarray(self.bundle.card.decide.thresholds))
        warnings = [field.warnings for field in fields]
        return Predictions(
            [field.id for field in fields], probability, predicted, status, warnings, outputs.get("embedding")
        )

    def _call(self, tiles: np.ndarray, names: tuple[str, ...]) -> dict[str, np.ndarray]:
        if not self.tta:
            return self.engine.run(tiles, names)
        return average_outputs([self.engine.run(view, names) for view in rotate_and_flip(tiles)])


def _mean_over_tiles(rows: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    """Return the mean over the tiles of each field, of which there are `counts`."""
    if len(rows) == len(counts):
        return rows
    starts = np.cumsum([0, *counts[:-1]])
    means: np.ndarray = np.add.reduceat(rows, starts) / np.asarray(counts, rows.dtype)[:, None]
    return means


Item = TypeVar("Item")


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield lists of `size` items; the last may be shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _check_field(field: Field) -> Field:
    """Return a field whose pixels can be predicted, or raise a LociscopeError."""
    shape = field.pixels.shape
    if len(shape) != 3 or shape[-1] != len(CHANNEL_NAMES) or 0 in shape:
        raise LociscopeError(
            f"Field '{field.id}' has the shape {shape}; expected (y, x, {len(CHANNEL_NAMES)}), channels RGBY last. "
            "Fill a channel that was not imaged with zeros.",
            code=Code.INVALID_VALUE,
        )
    if field.pixels.dtype.kind not in "uif":
        raise LociscopeError(
            f"Field '{field.id}' holds pixels of the type {field.pixels.dtype}; expected integers or floats. "
            "Convert them with astype.",
            code=Code.INVALID_VALUE,
        )
    if field.pixels.dtype.kind == "f" and not np.isfinite(field.pixels).all():
        raise LociscopeError(
            f"Field '{field.id}' holds pixels that are not finite numbers. Replace them first.", code=Code.INVALID_VALUE
        )
    if field.pixel_size is not None and not 0 < field.pixel_size < np.inf:
        raise LociscopeError(
            f"Field '{field.id}' has pixels of {field.pixel_size} µm; expected a number above 0.", code=Code.PIXEL_SIZE
        )
    return field
