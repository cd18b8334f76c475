"""Predict each cell of a field.

The preprocessed field, whose channels are scaled by the percentiles of the whole field, is cropped around each cell and
masked by its outline. The network expects a field full of cells, so the crop is padded with its mirror images until it
fills the input, as a small field is; the cell keeps its size in µm. That is one input of the network per cell, and
needs no output besides the probabilities. Of an ensemble, each network predicts the crops at its own scale, and
features, which need a whole field, count with their probabilities for it. The evidence map, pooled over each cell,
needs one input per field, but is only there for fields of one tile and networks with that output (`benchmarks/cells.py`
compares them).

One cell shows less than a field, and all cells of a field show the same protein. So the log odds of a cell are
shrunk towards those of the field (`shrink`), as an empirical Bayes estimate does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lociscope.channels import GREEN
from lociscope.decide.locations import decide_locations
from lociscope.decide.logistic import logit, sigmoid
from lociscope.images.extent import make_tiles, pad_with_mirror

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from lociscope.artifacts.card import InputSpec
    from lociscope.images.segmentation.geometry import CellGeometry
    from lociscope.predict.cell_source import SegmentedField
    from lociscope.predict.predictor import Predictor

FIELD_WEIGHT = 0.25
"""Weight of the field's log odds in the estimate for all cells of a field; the mean over the cells has the rest."""
CELL_WEIGHT = 0.25
"""Share of a cell's deviation from the mean cell that is believed."""


class CellPredictions(NamedTuple):
    """Predictions of n cells.

    Attributes:
        probability: (n, 28) float32.
        predicted: Class numbers of each cell.
        status: `ok`, or `unsure` where no class reaches its threshold.
        intensity: (n,) float32, mean of the preprocessed protein channel, 0–1.
        distance: (n,) float32, sum over the locations of the differences to the field's probabilities.
    """

    probability: NDArray[np.float32]
    predicted: list[tuple[int, ...]]
    status: list[str]
    intensity: NDArray[np.float32]
    distance: NDArray[np.float32]


def predict_cells(predictor: Predictor, segmented: SegmentedField, answer: np.ndarray) -> CellPredictions:
    """Predict the cells of a field.

    Args:
        predictor: The open bundle.
        segmented: The field and its n cells, of `lociscope.predict.cell_source.segment_field`.
        answer: (28,) the field's probabilities.

    Returns:
        The predictions, in the order of the cells' numbers.
    """

    def make_inputs(spec: InputSpec) -> Iterator[np.ndarray]:
        same = spec == predictor.bundle.card.input
        uncut = segmented.uncut if same else make_tiles(segmented.field, spec).uncut
        for crop, _ in crop_cells(uncut, segmented.labels, segmented.geometry):
            yield fill_input(crop, spec.height, spec.width)

    crops = list(crop_cells(segmented.scaled, segmented.labels, segmented.geometry))
    own = predictor.model.predict_cells(segmented.field, make_inputs) if crops else np.empty((0, len(answer)))
    probability = shrink(answer, own)
    predicted, status = decide_locations(probability, np.asarray(predictor.bundle.card.decide.thresholds))
    intensity = [crop[..., GREEN][mask].mean() / 255 for crop, mask in crops]
    distance = np.nansum(np.abs(probability - answer), axis=1)
    return CellPredictions(
        probability, predicted, status, np.asarray(intensity, np.float32), distance.astype(np.float32)
    )


def crop_cells(
    pixels: np.ndarray, labels: NDArray[np.integer], cells: CellGeometry
) -> Iterator[tuple[np.ndarray, NDArray[np.bool_]]]:
    """Yield the box of each cell, black outside the cell, and the cell's mask in it.

    Args:
        pixels: (height, width, c), the field at the scale of the network.
        labels: (y, x), the cells of the field at its own scale.
        cells: Their geometry.
    """
    shape, full = pixels.shape[:2], np.asarray(labels.shape)
    nearest = [
        ((np.arange(side) + 0.5) * whole / side).astype(np.intp) for side, whole in zip(shape, full, strict=True)
    ]
    small = labels[np.ix_(*nearest)]
    ratio = np.asarray(shape) / full
    first = np.floor(cells.box[:, :2] * ratio).astype(int)
    last = np.maximum(np.ceil(cells.box[:, 2:] * ratio).astype(int), first + 1)
    for number, (top, left), (bottom, right) in zip(cells.number, first, last, strict=True):
        box = np.s_[top:bottom, left:right]
        mask = small[box] == number
        if not mask.any():  # smaller than a pixel of the network
            mask = np.ones_like(mask)
        yield pixels[box] * mask[..., None], mask


def fill_input(crop: np.ndarray, height: int, width: int) -> np.ndarray:
    """Fill an input of the network with a cell and its mirror images, as a small field is padded.

    Args:
        crop: (y, x, c); what is larger than the input is cut off around the middle.
        height: Rows of the input.
        width: Columns of the input.

    Returns:
        (height, width, c).
    """
    whole = pad_with_mirror(crop, height, width)
    top, left = (whole.shape[0] - height) // 2, (whole.shape[1] - width) // 2
    return whole[top : top + height, left : left + width]


def shrink(answer: np.ndarray, own: np.ndarray) -> NDArray[np.float32]:
    """Shrink the predictions of the cells towards those of their field.

    Args:
        answer: (28,) probabilities of the field.
        own: (n, 28) probabilities of each cell alone.

    Returns:
        (n, 28) float32: log odds are `FIELD_WEIGHT` × field + (1 − `FIELD_WEIGHT`) × mean of the cells +
        `CELL_WEIGHT` × deviation of the cell from that mean; `benchmarks/cells.py` measures what they gain.
    """
    odds = logit(np.asarray(own, np.float64))
    mean = odds.mean(axis=0, keepdims=True) if len(odds) else odds
    common = FIELD_WEIGHT * logit(np.asarray(answer, np.float64)) + (1 - FIELD_WEIGHT) * mean
    return np.asarray(sigmoid(common + CELL_WEIGHT * (odds - mean)), np.float32)
