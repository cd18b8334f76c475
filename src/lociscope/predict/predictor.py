"""The predictor: what a program, a service or a microscope calls."""

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
from lociscope.predict.inputs import Given, fields_of
from lociscope.predict.test_time_augmentation import averaged, check_views, views_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from lociscope.artifacts.bundle import Bundle
    from lociscope.images.field import Field
    from lociscope.storage.atomic import AnyPath
    from lociscope.warnings import FieldWarning

BATCH = 16
"""Fields in one call of the network."""

MOST = 64
"""Most tiles in one call of the network: what bounds its memory."""


class PreparedField(NamedTuple):
    """A field as the network wants it.

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


def open_bundle(path: AnyPath | None = None, threads: int = 0, views: int = 1) -> Predictor:
    """Open a bundle for prediction.

    Args:
        path: The bundle; None is the one that ships with lociscope.
        threads: Threads of one call; 0 takes every core.
        views: Test-time augmentation: 1 for none, or 8 to average over each field's quarter turns and mirror images.

    Returns:
        A predictor that has passed its self-test.

    Raises:
        UsageError: There is no such number of views or threads.
        LociscopeError: The bundle is altered, incomplete, of a newer schema, or fails its self-test.
    """
    return Predictor(read_bundle(path), threads, views)


def _reopen(path: Path | None, sha256: str, threads: int, views: int) -> Predictor:
    """Open the bundle of a pickled predictor again.

    Raises:
        LociscopeError: The bundle is not there any more, or is another one now.
    """
    predictor = open_bundle(path, threads, views)
    if predictor.bundle.sha256 != sha256:
        raise LociscopeError(
            f"Bundle '{predictor.bundle.folder}' is not the one that the predictor was pickled with: its hash is "
            f"{predictor.bundle.sha256[:12]}…, expected {sha256[:12]}…. Open it anew with open_bundle.",
            code=Code.ALTERED,
        )
    return predictor


class Predictor:
    """Says where the protein is.

    It can be pickled, and so be sent to the processes of joblib or multiprocessing, which open the bundle again from
    its folder and check its hash.

    Args:
        bundle: The bundle that it runs.
        threads: Threads of one call; 0 takes every core.
        views: Of each field, 1 or 8; see `lociscope.predict.test_time_augmentation`.
    """

    def __init__(self, bundle: Bundle, threads: int = 0, views: int = 1) -> None:
        check_views(views, bundle.card.input.height, bundle.card.input.width)
        if isinstance(threads, bool) or not isinstance(threads, int) or threads < 0:
            raise UsageError(
                f"threads is {threads!r}; expected a number of threads, or 0 for every core.", code=Code.INVALID_VALUE
            )
        self.bundle = bundle
        self.views = views
        self.threads = threads
        self.engine = Engine(bundle, threads)
        self._folder = None if bundle.folder == DEFAULT_BUNDLE else bundle.folder.absolute()

    def __reduce__(self) -> tuple[Callable[..., Predictor], tuple[Path | None, str, int, int]]:
        return _reopen, (self._folder, self.bundle.sha256, self.threads, self.views)

    def predict(
        self,
        fields: Given,
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
            embeddings: Whether to keep each field's embedding.
            pixel_size: Side of a pixel in µm, whatever the fields declare; None takes what they declare, or else as in
                `lociscope.images.extent`.

        Returns:
            The Predictions, in order; those of a path in the order of the fields' names.

        Raises:
            LociscopeError: An array has another number of axes or channels, no pixel, or pixels that are no
                finite numbers; a path holds a field that cannot be read; or the model gives no embedding.
        """
        prepared = map(self.prepare, map(_checked, fields_of(fields, pixel_size)))
        return Predictions.join([self.run(batch, embeddings=embeddings) for batch in batched(prepared, BATCH)])

    def prepare(self, field: Field) -> PreparedField:
        """Makes the network's input of a field, notices what is wrong with it, and measures it.

        Raises:
            LociscopeError: Its pixel size cannot be.
        """
        tiles, warnings, whole = make_tiles(field, self.bundle.card.input)
        measures = measure_input(tiles[0])
        warnings = (*field.warnings, *warnings, *find_warnings(whole, measures, min(tiles.shape[1:3]), field.missing))
        return PreparedField(field.id, tiles, warnings, compute_statistics(whole, measures))

    def run(self, fields: Sequence[PreparedField], *, embeddings: bool = False) -> Predictions:
        """Predicts prepared fields in one call of the network, or a few where they are of many tiles.

        Args:
            fields: What `prepare` made, at least one.
            embeddings: Whether to keep each field's embedding.

        Returns:
            The Predictions, in order.
        """
        wanted = ("probabilities", "embedding") if embeddings else ("probabilities",)
        tiles = np.concatenate([field.pixels for field in fields])
        calls = [self._call(tiles[start : start + MOST], wanted) for start in range(0, len(tiles), MOST)]
        numbers = [len(field.pixels) for field in fields]
        outputs = {name: _means(np.concatenate([call[name] for call in calls]), numbers) for name in wanted}
        probability = outputs["probabilities"]
        places, status = decide_locations(probability, np.asarray(self.bundle.card.decide.thresholds))
        warnings = [field.warnings for field in fields]
        return Predictions(
            [field.id for field in fields], probability, places, status, warnings, outputs.get("embedding")
        )

    def _call(self, tiles: np.ndarray, wanted: tuple[str, ...]) -> dict[str, np.ndarray]:
        if self.views == 1:
            return self.engine.run(tiles, wanted)
        return averaged([self.engine.run(view, wanted) for view in views_of(tiles)])


def _means(rows: np.ndarray, numbers: Sequence[int]) -> np.ndarray:
    """The mean over each field's tiles."""
    if len(rows) == len(numbers):
        return rows
    starts = np.cumsum([0, *numbers[:-1]])
    means: np.ndarray = np.add.reduceat(rows, starts) / np.asarray(numbers, rows.dtype)[:, None]
    return means


Item = TypeVar("Item")


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Groups items into lists of `size`; the last may be shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _checked(field: Field) -> Field:
    shape = field.pixels.shape
    if len(shape) != 3 or shape[-1] != len(CHANNEL_NAMES) or 0 in shape:
        raise LociscopeError(
            f"Field '{field.id}' has the shape {shape}; expected (y, x, {len(CHANNEL_NAMES)}), channels RGBY last. "
            "Fill a channel that was not imaged with zeros.",
            code=Code.UNKNOWN_CHANNEL,
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
