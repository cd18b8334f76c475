"""What the page of a field loads: channels at any size, evidence, and cells."""

from __future__ import annotations

import io
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from lociscope.artifacts.card import InputSpec
from lociscope.channels import CHANNEL_NAMES
from lociscope.errors import MissingExtraError
from lociscope.images.io.read import read_field
from lociscope.images.preprocess import preprocess
from lociscope.labels import LABELS
from lociscope.predict.cell_source import segment_field
from lociscope.predict.cells import predict_cells
from lociscope.predict.explain import explain_field

if TYPE_CHECKING:
    from lociscope.images.discovery.sources import FieldSource
    from lociscope.images.field import Field as ImageField
    from lociscope.predict.cell_source import SegmentedField
    from lociscope.predict.predictor import Predictor
    from lociscope.service.picture_cache import PictureCache

SMALL = 704
"""Longer side of the pictures that the page shows at first, px."""

LARGE = 4096
"""Longer side up to which a picture keeps the resolution of the field, px."""

_STRETCH = InputSpec(height=8, width=8, low=1.0, high=99.8)
_TOLERANCE = 0.6
"""Largest distance between an outline and its polygon, in px of `SMALL`."""


class Viewed(NamedTuple):
    """A field that a page shows.

    Attributes:
        source: Its files.
        cache: Where pictures made of it are kept; None where nothing may be kept.
        name: Its name in the names of these.
    """

    source: FieldSource
    cache: PictureCache | None
    name: str

    def read(self, name: str) -> bytes | None:
        """Return what was made of the field before; None if it is not kept."""
        return None if self.cache is None else self.cache.read(f"{self.name}-{name}")

    def keep(self, name: str, data: bytes) -> None:
        """Keep what was made of the field, if that may be kept."""
        if self.cache is not None:
            self.cache.keep(f"{self.name}-{name}", data)


class CellInfo(BaseModel):
    """One cell of a field."""

    model_config = ConfigDict(frozen=True)

    cell: int = Field(description="Its number in the field.")
    predicted: list[int] = Field(description="Class numbers whose probability reaches their threshold; may be empty.")
    names: list[str] = Field(description="The names of these classes, the most probable first.")
    top: int = Field(
        description="The class number by which the page colours it: the most probable predicted one, or −1."
    )
    probability: float = Field(description="The highest of its 28 probabilities.")
    x: float = Field(description="Column of its centre, px.")
    y: float = Field(description="Row of its centre, px.")
    area_um2: float = Field(description="Its area, µm².")
    at_edge: bool = Field(description="Whether the edge of the field cuts it.")
    outline: list[list[list[float]]] = Field(description="Its outlines: polygons of (x, y) in px.")


class CellsInfo(BaseModel):
    """The cells of a field, as found in its reference channels."""

    model_config = ConfigDict(frozen=True)

    width: int = Field(description="Of the field, px.")
    height: int = Field(description="Of the field, px.")
    cells: list[CellInfo]
    bundle: str = Field(description="sha256 of the bundle that predicted them.")


def has_cells() -> bool:
    """Return whether the libraries that find cells are installed."""
    return find_spec("skimage") is not None and find_spec("scipy") is not None


def read_channel(viewed: Viewed, channel: str, side: int) -> tuple[bytes, str]:
    """Return one channel of a field as a grey picture, stretched by its own percentiles.

    Args:
        viewed: The field.
        channel: Its name, such as `green`.
        side: Longer side of the picture, px; at most that of the field and `LARGE`.

    Returns:
        The picture, and its media type.

    Raises:
        LociscopeError: The field cannot be read.
    """
    form, media = ("WEBP", "image/webp") if side <= SMALL else ("JPEG", "image/jpeg")
    ending = "webp" if form == "WEBP" else "jpg"
    if (kept := viewed.read(f"{channel}-{side}.{ending}")) is not None:
        return kept, media
    made = _render_channels(read_field(viewed.source), side, form)
    for name, data in made.items():
        viewed.keep(f"{name}-{side}.{ending}", data)
    return made[channel], media


def read_evidence(predictor: Predictor, viewed: Viewed, location: int) -> bytes:
    """Return where the evidence for a location is: a grey PNG over the whole field, 255 where it is strongest.

    Args:
        predictor: The model.
        viewed: The field.
        location: The class number.

    Raises:
        LociscopeError: The field cannot be read.
    """
    from PIL import Image

    name = f"{predictor.bundle.sha256[:8]}-{location}.png"
    if (kept := viewed.read(name)) is not None:
        return kept
    (evidence,) = explain_field(predictor, read_field(viewed.source), [location]).evidence
    data = _encode(Image.fromarray(np.rint(255 * np.clip(evidence.map, 0, 1)).astype(np.uint8)), "PNG")
    viewed.keep(name, data)
    return data


def read_cells(predictor: Predictor, viewed: Viewed, probability: np.ndarray | None = None) -> bytes:
    """Return the cells of a field as JSON of a `CellsInfo`.

    Args:
        predictor: The model.
        viewed: The field.
        probability: (28,) the field's probabilities, towards which those of its cells are shrunk; None predicts them.

    Raises:
        LociscopeError: The field cannot be read.
        MissingExtraError: scipy or scikit-image is not installed.
    """
    if not has_cells():
        raise MissingExtraError("Finding cells", "cells")
    name = f"{predictor.bundle.sha256[:8]}-cells.json"
    if (kept := viewed.read(name)) is not None:
        return kept
    field = read_field(viewed.source)
    if probability is None:
        probability = predictor.run([predictor.prepare(field, with_warnings=False)]).probability[0]
    segmented = segment_field(field, predictor.bundle.card.input)
    height, width = segmented.labels.shape
    found = CellsInfo(
        width=width, height=height, cells=_list_cells(predictor, segmented, probability), bundle=predictor.bundle.sha256
    )
    data = found.model_dump_json().encode()
    viewed.keep(name, data)
    return data


def _list_cells(predictor: Predictor, segmented: SegmentedField, probability: np.ndarray) -> list[CellInfo]:
    cells, geometry = predict_cells(predictor, segmented, probability), segmented.geometry
    return [
        CellInfo(
            cell=int(number),
            predicted=sorted(cells.predicted[row]),
            names=[LABELS[k] for k in sorted(cells.predicted[row], key=lambda k: -cells.probability[row, k])],
            top=max(cells.predicted[row], key=lambda k: float(cells.probability[row, k]), default=-1),
            probability=round(float(cells.probability[row].max()), 4),
            x=round(float(geometry.centre[row, 1]), 1),
            y=round(float(geometry.centre[row, 0]), 1),
            area_um2=round(float(geometry.area[row]), 1),
            at_edge=bool(geometry.at_edge[row]),
            outline=_trace(segmented.labels, int(number), geometry.box[row].tolist()),
        )
        for row, number in enumerate(geometry.number)
    ]


def _trace(labels: np.ndarray, number: int, box: list[int]) -> list[list[list[float]]]:
    """Return the outline of a cell with as few corners as the page needs."""
    from skimage.measure import approximate_polygon

    from lociscope.predict.cell_masks import trace_outline

    outline = trace_outline(labels, number, box)
    if outline is None:
        return []
    rings = outline["coordinates"] if outline["type"] == "Polygon" else [each[0] for each in outline["coordinates"]]
    tolerance = _TOLERANCE * max(1.0, max(labels.shape) / SMALL)
    return [approximate_polygon(np.asarray(ring), tolerance).round(1).tolist() for ring in rings]


def _render_channels(field: ImageField, side: int, form: str) -> dict[str, bytes]:
    from PIL import Image

    rows, columns = field.pixels.shape[:2]
    scale = min(1.0, min(side, LARGE) / max(rows, columns))
    height, width = max(1, round(rows * scale)), max(1, round(columns * scale))
    stretched = preprocess(field.pixels, height, width, _STRETCH, field.pixel_size).pixels
    return {
        name: _encode(Image.fromarray(np.ascontiguousarray(stretched[..., number])), form)
        for number, name in enumerate(CHANNEL_NAMES)
    }


def _encode(image: object, form: str) -> bytes:
    buffer = io.BytesIO()
    options = {"WEBP": {"quality": 72, "method": 2}, "JPEG": {"quality": 90}, "PNG": {"compress_level": 6}}[form]
    image.save(buffer, format=form, **options)  # type: ignore[attr-defined]
    return buffer.getvalue()
