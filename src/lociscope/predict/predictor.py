"""The predictor that programs, the service and the microscope call."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from lociscope.artifacts.bundle import DEFAULT_BUNDLE, read_bundle
from lociscope.artifacts.bundle_files import REQUIRED_KEYS
from lociscope.artifacts.predictions import Predictions
from lociscope.channels import CHANNEL_NAMES
from lociscope.errors import Code, LociscopeError, UsageError
from lociscope.images.appearance import measure_tiles
from lociscope.images.extent import make_tiles
from lociscope.images.quality import InputMeasures, find_warnings
from lociscope.images.statistics import compute_statistics
from lociscope.predict.inputs import FieldInput, read_fields
from lociscope.predict.kinds import load_model
from lociscope.predict.out_of_distribution import mark_unlike, read_detector
from lociscope.predict.runtimes import DEFAULT_RUNTIME, RuntimeOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from lociscope.artifacts.bundle import Bundle
    from lociscope.images.extent import Tiles
    from lociscope.images.field import Field
    from lociscope.images.preprocess import Preprocessed
    from lociscope.predict.engine import Engine
    from lociscope.storage.paths import AnyPath
    from lociscope.warnings import FieldWarning

BATCH_SIZE = 16
"""Number of fields that are prepared before they are predicted."""


@dataclass(frozen=True)
class PreparedField:
    """A field as the network expects it.

    Attributes:
        id: Its name.
        pixels: (tiles, height, width, 4) of uint8; one tile where the field spans what the network expects.
        warnings: About its files and its pixels.
        whole: The field at the network's scale; None for a field without statistics.
        measures: The measures of its first tile; None for a field without statistics.
        appearance: (m,) float32, in the order of `lociscope.images.appearance.APPEARANCE`; None where the bundle has no
            out-of-distribution detector, or the field is not to be checked.
        inputs: What the model receives, where that is not `pixels`; see `lociscope.predict.kinds`.
    """

    id: str
    pixels: np.ndarray
    warnings: tuple[FieldWarning, ...] = ()
    whole: Preprocessed | None = None
    measures: InputMeasures | None = None
    appearance: np.ndarray | None = None
    inputs: Any = None

    @property
    def model_inputs(self) -> Any:  # noqa: ANN401 - each kind of model has its own
        """What the model receives."""
        return self.pixels if self.inputs is None else self.inputs

    @cached_property
    def statistics(self) -> np.ndarray:
        """(k,) float32, in the order of `lociscope.images.statistics.STATISTICS`; of an unmeasured field, none."""
        if self.whole is None or self.measures is None:
            return np.empty(0, np.float32)
        return compute_statistics(self.whole, self.measures)


def open_bundle(
    path: AnyPath | None = None,
    threads: int = 0,
    *,
    tta: bool = False,
    runtime: str = DEFAULT_RUNTIME,
    calls: int = 1,
) -> Predictor:
    """Open a bundle for prediction.

    Args:
        path: The folder of the bundle; None is the one that ships with lociscope.
        threads: Number of threads per call; 0 uses every core.
        tta: Test-time augmentation: average over the eight quarter turns and mirror images of each field, in eight
            times the time.
        runtime: What computes the network: `onnxruntime`, `openvino` (in float32) or `cuda`, as installed.
        calls: Number of threads that will call the predictor at the same time.

    Returns:
        A predictor that has passed its self-test.

    Raises:
        UsageError: `threads` is not a number of threads, the runtime is unknown, or the bundle's input is not square
            and `tta` is set.
        LociscopeError: The bundle is altered, incomplete, of a newer schema, or fails its self-test; it has no trusted
            signature, where `LOCISCOPE_REQUIRE_SIGNED` requires one; or the runtime is not installed.
    """
    bundle = read_bundle(path)
    if os.environ.get(REQUIRED_KEYS) and bundle.folder != DEFAULT_BUNDLE:  # that one is part of the package
        from lociscope.artifacts.signature import check_required_signature

        check_required_signature(bundle)
    return Predictor(bundle, threads, tta=tta, runtime=runtime, calls=calls)


def _reopen(path: Path | None, sha256: str, threads: int, tta: bool, runtime: str, calls: int) -> Predictor:
    """Open the bundle of a pickled predictor again.

    Raises:
        LociscopeError: The bundle does not exist any more, or has changed.
    """
    predictor = open_bundle(path, threads, tta=tta, runtime=runtime, calls=calls)
    if predictor.bundle.sha256 != sha256:
        raise LociscopeError(
            f"Bundle '{predictor.bundle.folder}' is not the one that the predictor was pickled with: its hash is "
            f"{predictor.bundle.sha256[:12]}…, expected {sha256[:12]}…. Open it again with `open_bundle`.",
            code=Code.ALTERED,
        )
    return predictor


def prepare_tiles(field: Field, made: Tiles, *, checked: bool, with_warnings: bool = True) -> PreparedField:
    """Return a field as the input of a network, with its warnings and its statistics.

    Args:
        field: The field.
        made: Its tiles.
        checked: Whether a detector will judge it.
        with_warnings: Whether to look for warnings about its pixels, and to measure what the detector needs.
    """
    whole, scaled = made.whole, made.scaled
    measures = InputMeasures(scaled[0])
    warnings = (*field.warnings, *made.warnings)
    if with_warnings:
        warnings += find_warnings(whole, measures, min(scaled.shape[1:3]), field.missing)
    appearance = measure_tiles(scaled) if with_warnings and checked else None
    return PreparedField(field.id, made.pixels, warnings, whole, measures, appearance)


class Predictor:
    """Predicts the locations of the protein in fields.

    A predictor can be pickled, and so be sent to the processes of joblib or multiprocessing, which open the bundle
    again from its folder and check its hash.

    Args:
        bundle: The bundle to run.
        threads: Number of threads per call; 0 uses every core.
        tta: Whether to use test-time augmentation; see `lociscope.predict.test_time_augmentation`.
        runtime: A key of `lociscope.predict.runtimes.RUNTIMES`.
        calls: Number of threads that will call the predictor at the same time.
    """

    def __init__(
        self,
        bundle: Bundle,
        threads: int = 0,
        *,
        tta: bool = False,
        runtime: str = DEFAULT_RUNTIME,
        calls: int = 1,
    ) -> None:
        if isinstance(threads, bool) or not isinstance(threads, int) or threads < 0:
            raise UsageError(
                f"`threads` is {threads!r}; expected a number of threads, or 0 for every core.", code=Code.INVALID_VALUE
            )
        self.bundle = bundle
        self.tta = tta
        self.threads = threads
        self.model = load_model(bundle, RuntimeOptions(threads, runtime, calls), tta=tta)
        self.detector = read_detector(bundle)
        self._reopen_with = threads, tta, runtime, calls
        self._folder = None if bundle.folder == DEFAULT_BUNDLE else bundle.folder.absolute()

    def __reduce__(self) -> tuple[Callable[..., Predictor], tuple[Path | None, str, int, bool, str, int]]:
        return _reopen, (self._folder, self.bundle.sha256, *self._reopen_with)

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
        prepared = map(self.prepare, map(check_field, read_fields(fields, pixel_size)))
        return Predictions.join([self.run(batch, embeddings=embeddings) for batch in batched(prepared, BATCH_SIZE)])

    def prepare(self, field: Field, *, with_warnings: bool = True) -> PreparedField:
        """Return a field as the input of the network, with its warnings and its statistics.

        Args:
            field: The field.
            with_warnings: Whether to look for warnings about its pixels, which takes time and no part in the
                prediction.

        Raises:
            LociscopeError: The pixel size of the field is impossible.
        """
        made = make_tiles(field, self.bundle.card.input, self.threads)
        prepared = prepare_tiles(field, made, checked=self.detector is not None, with_warnings=with_warnings)
        return replace(prepared, inputs=self.model.prepare(field, made))

    def run(self, fields: Sequence[PreparedField], *, embeddings: bool = False) -> Predictions:
        """Predict prepared fields.

        Args:
            fields: Results of `prepare`, at least one.
            embeddings: Whether to return each field's embedding.

        Returns:
            The Predictions, in order.
        """
        appearances = [field.appearance for field in fields]
        judged = self.detector is not None and any(each is not None for each in appearances)
        checked = judged and "embedding" in self.engine.outputs
        names = ("probabilities", "embedding") if embeddings or checked else ("probabilities",)
        outputs = self.model.predict([field.model_inputs for field in fields], names)
        probability = outputs["probabilities"]
        predicted, status = self.model.decide(probability)
        probability = np.asarray(probability, np.float32)
        embedding = outputs.get("embedding")
        if self.detector is not None and judged:
            status = mark_unlike(self.detector, status, appearances, embedding)
        warnings = [field.warnings for field in fields]
        return Predictions(
            [field.id for field in fields], probability, predicted, status, warnings, embedding if embeddings else None
        )

    @property
    def shows_evidence(self) -> bool:
        """Whether the model has a network, which cells and evidence need."""
        return bool(self.model.networks)

    @property
    def engine(self) -> Engine:
        """The network; of an ensemble the first, which gives embeddings."""
        return self.model.engine


Item = TypeVar("Item")


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield lists of `size` items; the last may be shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def check_field(field: Field) -> Field:
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
