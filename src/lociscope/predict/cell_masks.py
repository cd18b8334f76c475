"""Write the cells of a field for other programs: label images, and outlines with predictions for QuPath."""

from __future__ import annotations

import json
import re
import uuid
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from lociscope.errors import Code, MissingExtraError, UsageError, suggest
from lociscope.images.extent import find_pixel_size
from lociscope.images.io.write_labels import write_label_tiff, write_labelled_zarr
from lociscope.labels import LABELS
from lociscope.storage.atomic import atomic_write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lociscope.predict.cell_source import SegmentedField
    from lociscope.predict.cells import CellPredictions

MaskFormat = Literal["tiff", "zarr", "geojson"]
"""`tiff`: label images as OME-TIFF; `zarr`: the field with its labels as OME-Zarr; `geojson`: outlines for QuPath."""

_UNSAFE = re.compile(r'^\.|[/\\:*?"<>|%\x00-\x1f]')
_COLOURS = 12
"""Colours of classes in QuPath; locations that differ by this number share one."""


def check_formats(formats: Sequence[str]) -> None:
    """Check the formats before any work.

    Raises:
        UsageError: A format is not known.
        MissingExtraError: A library that a format needs is not installed.
    """
    from importlib.util import find_spec

    for name in formats:
        if name not in get_args(MaskFormat):
            raise UsageError(
                f"`masks={name}` is not a format of masks.{suggest(name, get_args(MaskFormat))}", code=Code.UNKNOWN_NAME
            )
    if "zarr" in formats and find_spec("zarr") is None:
        raise MissingExtraError("Writing OME-Zarr", "zarr")
    if "geojson" in formats and find_spec("skimage") is None:
        raise MissingExtraError("Writing outlines", "cells")


def write_masks(segmented: SegmentedField, cells: CellPredictions, folder: Path, formats: Sequence[MaskFormat]) -> None:
    """Write `<id>.cells.ome.tif` and `<id>.nuclei.ome.tif`, `<id>.ome.zarr` or `<id>.geojson`.

    Args:
        segmented: The field and its cells.
        cells: Their predictions.
        folder: The folder to write to.
        formats: What to write.

    Raises:
        LociscopeError: A file cannot be written.
    """
    stem = make_file_stem(segmented.field.id)
    if "tiff" in formats:
        for name, labels in _name_labels(segmented).items():
            write_label_tiff(folder / f"{stem}.{name}.ome.tif", labels, find_pixel_size(segmented.field))
    if "zarr" in formats:
        write_labelled_field(folder / f"{stem}.ome.zarr", segmented, cells)
    if "geojson" in formats:
        text = json.dumps(make_geojson(segmented, cells), allow_nan=False)
        with atomic_write(folder / f"{stem}.geojson") as part:
            part.write_text(text, encoding="utf-8")


def write_labelled_field(path: Path, segmented: SegmentedField, cells: CellPredictions) -> None:
    """Write a field as OME-Zarr with its cells and nuclei as labels, and the locations of each cell.

    Args:
        path: The folder; an older one is replaced.
        segmented: The field and its cells.
        cells: Their predictions.

    Raises:
        LociscopeError: The folder cannot be written.
    """
    properties = [
        {"label-value": int(number), "locations": _join_names(numbers)}
        for number, numbers in zip(segmented.geometry.number, cells.predicted, strict=True)
    ]
    write_labelled_zarr(path, segmented.field, _name_labels(segmented), {"cells": properties})


def _name_labels(segmented: SegmentedField) -> dict[str, NDArray[np.int32]]:
    images = {"cells": segmented.labels}
    return images if segmented.nuclei is None else images | {"nuclei": segmented.nuclei}


def make_file_stem(identifier: str) -> str:
    """Return a field's name as part of a file name: characters that a file system may refuse become `%` and a code."""
    return _UNSAFE.sub(lambda match: f"%{ord(match[0]):02X}", identifier)


def make_geojson(segmented: SegmentedField, cells: CellPredictions) -> dict[str, Any]:
    """Return the cells as a GeoJSON FeatureCollection of QuPath's cell objects.

    Coordinates are in px, (0, 0) is the upper left corner of the field, as in QuPath. The class of a cell is its most
    probable predicted location; its measurements are the 28 probabilities, the area and the distance.
    """
    return {"type": "FeatureCollection", "features": list(_make_features(segmented, cells))}


def _make_features(segmented: SegmentedField, cells: CellPredictions) -> list[dict[str, Any]]:
    geometry, features = segmented.geometry, []
    for row, (number, box) in enumerate(zip(geometry.number.tolist(), geometry.box.tolist(), strict=True)):
        feature: dict[str, Any] = {
            "type": "Feature",
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{segmented.field.id}/{number}")),
            "geometry": trace_outline(segmented.labels, number, box),
        }
        nucleus = None if segmented.nuclei is None else trace_outline(segmented.nuclei, number, box)
        if nucleus is not None:
            feature["nucleusGeometry"] = nucleus
        probability = cells.probability[row]
        measures = {name: float(value) for name, value in zip(LABELS, probability, strict=True) if not np.isnan(value)}
        measures |= {"Area µm^2": float(geometry.area[row]), "Distance to field": float(cells.distance[row])}
        properties: dict[str, Any] = {
            "objectType": "cell",
            "name": f"Cell {number}",
            "measurements": {name: round(value, 4) for name, value in measures.items()},
        }
        if cells.predicted[row]:
            best = max(cells.predicted[row], key=lambda location: float(probability[location]))
            properties["classification"] = {"name": LABELS[best], "color": make_colour(best)}
        features.append(feature | {"properties": properties})
    return features


def trace_outline(labels: NDArray[np.integer], number: int, box: Sequence[int]) -> dict[str, Any] | None:
    """Return the outline of a label as a GeoJSON geometry, without its holes.

    Args:
        labels: (y, x).
        number: The label.
        box: First row, first column, last row + 1, last column + 1 of a box that contains it.

    Returns:
        A Polygon, or a MultiPolygon where the label has several parts; None where it has no pixel.
    """
    from scipy.ndimage import binary_fill_holes
    from skimage.measure import find_contours

    top, left, bottom, right = box
    mask = np.pad(binary_fill_holes(labels[top:bottom, left:right] == number), 1)
    rings = []
    for contour in find_contours(mask.astype(np.float32), 0.5, fully_connected="high"):
        corners = (contour[:, ::-1] - 0.5 + (left, top)).round(1)  # the first pixel's centre is (0.5, 0.5)
        rings.append([*map(list, corners[:-1].tolist()), list(corners[0].tolist())])
    if not rings:
        return None
    if len(rings) == 1:
        return {"type": "Polygon", "coordinates": rings}
    return {"type": "MultiPolygon", "coordinates": [[ring] for ring in rings]}


def make_colour(location: int) -> list[int]:
    """Return the colour of a location, RGB in 0–255, as QuPath and napari show it."""
    from colorsys import hsv_to_rgb

    return [round(255 * share) for share in hsv_to_rgb(location % _COLOURS / _COLOURS, 0.75, 0.9)]


def _join_names(numbers: Sequence[int]) -> str:
    return "; ".join(LABELS[number] for number in numbers)
