"""Fields of napari layers, and layers and table rows of predictions; without napari and Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from lociscope.channels import CHANNEL_NAMES, find_channel
from lociscope.errors import Code, LociscopeError
from lociscope.images.field import Field
from lociscope.labels import LABELS
from lociscope.napari_plugin.reader import METADATA
from lociscope.predict.cell_masks import make_colour
from lociscope.predict.cell_source import segment_field
from lociscope.predict.cells import predict_cells
from lociscope.warnings import describe_warning

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lociscope.artifacts.predictions import Predictions
    from lociscope.channels import ChannelName
    from lociscope.napari_plugin.reader import LayerData
    from lociscope.predict.cell_source import SegmentedField
    from lociscope.predict.cells import CellPredictions
    from lociscope.predict.predictor import Predictor

NOT_SURE = (0.6, 0.6, 0.6, 1.0)
"""Colour of a cell without a location."""
MICROMETRES = {"um", "µm", "μm", "micron", "micrometer", "micrometre"}


class ImageLayer(Protocol):
    """What is read of a napari image layer."""

    name: str
    data: Any
    metadata: dict[str, Any]
    scale: Any
    units: Any


class TableRow(NamedTuple):
    """A row of the table: a field, or one of its cells.

    Attributes:
        field: Number of the field along the slider.
        label: The cell's label in the layer of cells; 0 for the field itself.
        name: The field's id, or the number of the cell.
        predicted: The predicted classes, most probable first.
        probability: The highest of all classes.
        status: As in Predictions.
        warnings: About the field, for people.
        centre: (y, x) in px; None for a field.
    """

    field: int
    label: int
    name: str
    predicted: tuple[int, ...]
    probability: float
    status: str
    warnings: str
    centre: tuple[float, float] | None

    @property
    def locations(self) -> str:
        """The names of the predicted locations."""
        return ", ".join(LABELS[number] for number in self.predicted)


@dataclass(frozen=True, slots=True, eq=False)
class LayerPredictions:
    """Predictions of the fields in layers.

    Attributes:
        fields: Their Predictions.
        segmented: The fields with their cells; empty where cells were not asked for.
        cells: The predictions of these cells.
    """

    fields: Predictions
    segmented: list[SegmentedField]
    cells: list[CellPredictions]

    @property
    def offsets(self) -> list[int]:
        """What is added to the cell numbers of each field, so that a label names one cell of the stack."""
        highest = [int(each.labels.max(initial=0)) for each in self.segmented]
        return [0, *np.cumsum(highest[:-1]).tolist()] if highest else []


def guess_channels(layers: Iterable[ImageLayer]) -> dict[ChannelName, ImageLayer]:
    """Return the first layer of each channel, by what its reader declares, else by a stain or dye in its name."""
    found: dict[ChannelName, ImageLayer] = {}
    for layer in layers:
        channel = layer.metadata.get(METADATA, {}).get("channel") or find_channel(layer.name)
        if channel in CHANNEL_NAMES:
            found.setdefault(channel, layer)
    return found


def make_fields(layers: Mapping[ChannelName, ImageLayer | None], pixel_size: float | None = None) -> list[Field]:
    """Return the fields in layers.

    Args:
        layers: The layer of each channel, (y, x) or (n, y, x) for n fields; None for a channel that was not imaged.
        pixel_size: Side of a pixel in µm; None uses what the layers declare.

    Raises:
        LociscopeError: There is no protein channel, the layers differ in shape, or are not grey images.
    """
    given = {name: layer for name, layer in layers.items() if layer is not None}
    protein = given.get("green")
    if protein is None:
        raise LociscopeError(
            "No layer is chosen for the protein. Choose the layer of the green channel.", code=Code.MISSING_CHANNEL
        )
    planes = {name: _read_pixels(layer) for name, layer in given.items()}
    shapes = {name: plane.shape for name, plane in planes.items()}
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"'{given[name].name}' {shape}" for name, shape in shapes.items())
        raise LociscopeError(
            f"The layers differ in shape: {listed}. Choose four layers of the same fields.", code=Code.INVALID_VALUE
        )
    missing = tuple(name for name in CHANNEL_NAMES if name not in planes)
    empty = np.zeros_like(planes["green"])
    pixels = np.stack([planes.get(name, empty) for name in CHANNEL_NAMES], axis=-1)
    size = pixel_size if pixel_size is not None else _find_pixel_size(protein)
    return [
        Field(name, each, size, missing) for name, each in zip(_list_ids(protein, len(pixels)), pixels, strict=True)
    ]


def _read_pixels(layer: ImageLayer) -> np.ndarray:
    """Return the pixels of a layer as (n, y, x); of a pyramid, the largest level."""
    data = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
    if getattr(layer, "rgb", False) or np.ndim(data) not in (2, 3):
        what = "is a colour picture" if getattr(layer, "rgb", False) else f"has the shape {np.shape(data)}"
        raise LociscopeError(
            f"Layer '{layer.name}' {what}; expected grey pixels, (y, x) or (n, y, x). Split its channels first.",
            code=Code.INVALID_VALUE,
        )
    pixels = np.asarray(data)
    return pixels[None] if pixels.ndim == 2 else pixels


def _find_pixel_size(layer: ImageLayer) -> float | None:
    about = layer.metadata.get(METADATA)
    if about is not None:
        size = about["pixel_size"]
        return None if size is None else float(size)
    units = getattr(layer, "units", None)
    return float(layer.scale[-1]) if units is not None and str(units[-1]) in MICROMETRES else None


def _list_ids(layer: ImageLayer, number: int) -> list[str]:
    ids = list(layer.metadata.get(METADATA, {}).get("ids", ()))
    if len(ids) == number:
        return ids
    return [layer.name] if number == 1 else [f"{layer.name} {place}" for place in range(number)]


def predict_layers(predictor: Predictor, fields: Sequence[Field], *, cells: bool) -> LayerPredictions:
    """Predict fields and, where asked for, their cells.

    Raises:
        LociscopeError: A field cannot be predicted.
        MissingExtraError: The cells cannot be found because a library is not installed.
    """
    answers = predictor.predict(list(fields))
    if not cells:
        return LayerPredictions(answers, [], [])
    segmented = [segment_field(field, predictor.bundle.card.input) for field in fields]
    found = [
        predict_cells(predictor, each, answer) for each, answer in zip(segmented, answers.probability, strict=True)
    ]
    return LayerPredictions(answers, segmented, found)


def list_rows(made: LayerPredictions) -> list[TableRow]:
    """Return the rows of the table: each field, followed by its cells."""
    rows = []
    for number, (name, numbers) in enumerate(zip(made.fields.ids, made.fields.predicted, strict=True)):
        probability = made.fields.probability[number]
        warned = "\n".join(describe_warning(each) for each in made.fields.warnings[number])
        status = made.fields.status[number]
        rows.append(TableRow(number, 0, name, *_describe(numbers, probability), status, warned, None))
        if made.cells:
            rows += _list_cells(made, number)
    return rows


def _list_cells(made: LayerPredictions, field: int) -> list[TableRow]:
    geometry, cells, offset = made.segmented[field].geometry, made.cells[field], made.offsets[field]
    rows = []
    for row, (number, centre) in enumerate(zip(geometry.number.tolist(), geometry.centre.tolist(), strict=True)):
        described = _describe(cells.predicted[row], cells.probability[row])
        name, place = f"cell {number}", (centre[0], centre[1])
        rows.append(TableRow(field, offset + number, name, *described, cells.status[row], "", place))
    return rows


def _describe(numbers: Sequence[int], probability: np.ndarray) -> tuple[tuple[int, ...], float]:
    ranked = sorted(numbers, key=lambda number: -float(probability[number]))
    return tuple(ranked), round(float(np.nanmax(probability)), 3)


def make_cell_layer(made: LayerPredictions, scale: Sequence[float]) -> LayerData:
    """Return the layer of cells: labels coloured by the most probable predicted location, with a table of features.

    Args:
        made: Predictions with cells.
        scale: The scale of the image layers.

    Returns:
        The labels (y, x) or (n, y, x) as the image layers are, and the arguments of the layer; `colours` maps labels to
        RGBA, and the key None is the colour of no cell.
    """
    labels = [
        np.where(each.labels > 0, each.labels + offset, 0)
        for each, offset in zip(made.segmented, made.offsets, strict=True)
    ]
    data = np.stack(labels) if len(scale) > 2 else labels[0]
    rows = [row for row in list_rows(made) if row.label]
    features = {
        "index": [row.label for row in rows],
        "field": [made.fields.ids[row.field] for row in rows],
        "locations": [row.locations for row in rows],
        "probability": [row.probability for row in rows],
        "status": [row.status for row in rows],
    }
    colours: dict[int | None, tuple[float, ...]] = {None: (0.0, 0.0, 0.0, 0.0), 0: (0.0, 0.0, 0.0, 0.0)}
    colours |= {row.label: _colour(row) for row in rows}
    return data, {"name": "cells", "scale": tuple(scale), "features": features, "colours": colours}, "labels"


def _colour(row: TableRow) -> tuple[float, ...]:
    if not row.predicted:
        return NOT_SURE
    return (*(share / 255 for share in make_colour(row.predicted[0])), 1.0)


def find_label(data: np.ndarray, position: Sequence[float]) -> int:
    """Return the label at a position in px, 0 outside of the cells and of the layer."""
    place = tuple(round(float(each)) for each in position)
    inside = len(place) == data.ndim and all(0 <= at < size for at, size in zip(place, data.shape, strict=True))
    return int(data[place]) if inside else 0
