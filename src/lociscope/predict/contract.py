"""The contract of the Human Protein Atlas' special prize of 2018: one array in, a set of classes out, timed per call.

HPA's program made one `Model`, and measured the time of `predict` for each field of the test set.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from lociscope.channels import CHANNEL_NAMES
from lociscope.errors import Code, LociscopeError
from lociscope.images.field import Field
from lociscope.predict.predictor import check_field, open_bundle
from lociscope.predict.runtimes import DEFAULT_RUNTIME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lociscope.storage.paths import AnyPath


class Model:
    """A model as the special prize calls it.

    Args:
        bundle: The folder of a bundle; None is the one that ships with lociscope.
        threads: Number of threads; 0 uses every core.
        runtime: What computes the network; see `lociscope.predict.predictor.open_bundle`.

    Raises:
        LociscopeError: The bundle cannot be opened, or the runtime is not installed.
    """

    def __init__(self, bundle: AnyPath | None = None, threads: int = 0, runtime: str = DEFAULT_RUNTIME) -> None:
        self._predictor = open_bundle(bundle, threads, runtime=runtime)

    def predict(self, image_data: np.ndarray) -> set[int]:
        """Predict one field.

        Args:
            image_data: (y, x, 1, 4), channels RGBY, of uint8 or uint16; HPA's fields are 2048 × 2048. (y, x, 4) and
                other types are accepted, too.

        Returns:
            The classes, 0–27, whose probabilities reach their thresholds; the most probable one if none does.

        Raises:
            LociscopeError: The array has other axes, is empty, or has pixels that are not finite numbers.
        """
        shape = np.shape(image_data)
        if len(shape) == 4 and shape[2] == 1:
            image_data = image_data[:, :, 0]
        elif len(shape) != 3:
            raise LociscopeError(
                f"The special prize's array is (y, x, 1, {len(CHANNEL_NAMES)}), channels RGBY; received {shape}. Stack "
                "the four planes along the last axis.",
                code=Code.INVALID_VALUE,
            )
        prepared = self._predictor.prepare(check_field(Field("0", np.asarray(image_data))), with_warnings=False)
        row = self._predictor.run([prepared])
        return set(row.predicted[0]) or {int(np.nanargmax(row.probability[0]))}


def time_calls(model: Model, images: Iterable[np.ndarray]) -> Iterator[tuple[set[int], float]]:
    """Yield what a model predicts for each image, and the seconds of the call, as HPA measured them."""
    for image in images:
        start = perf_counter()
        classes = model.predict(image)
        yield classes, perf_counter() - start
