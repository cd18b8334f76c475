"""Load a field with its cells: found in its reference channels, or read from a label image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.field_source import Failure
from lociscope.images.extent import find_pixel_size, make_tiles
from lociscope.images.io.read import read_field
from lociscope.images.segmentation.cells import find_cells
from lociscope.images.segmentation.geometry import CellGeometry, measure_geometry
from lociscope.images.segmentation.label_images import LabelPattern, read_labels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lociscope.artifacts.card import InputSpec
    from lociscope.images.discovery.field_source import FieldSource
    from lociscope.images.field import Field


@dataclass(frozen=True, slots=True, eq=False)
class SegmentedField:
    """A field and its cells.

    Attributes:
        field: The field.
        scaled: (height, width, 4) uint8, the field at the scale of the network, as `lociscope.images.extent` makes it.
        labels: (y, x) int32, the number of the cell of each pixel of the field, 0 for none.
        nuclei: (y, x) int32, the same for nuclei; None where they are not known.
        geometry: Positions and sizes of the cells.
        uncut: (height, width, 4), what the network receives a part of: `scaled`, or raw pixels where it standardises.
    """

    field: Field
    scaled: NDArray[np.uint8]
    labels: NDArray[np.int32]
    nuclei: NDArray[np.int32] | None
    geometry: CellGeometry
    uncut: NDArray[Any]


def segment_field(field: Field, spec: InputSpec, labels: NDArray[np.int32] | None = None) -> SegmentedField:
    """Find the cells of a field, also parts of cells at its edge.

    Args:
        field: The field.
        spec: The input that the network expects.
        labels: (y, x), the cells, if they are known; None finds nuclei and cells in the reference channels.

    Raises:
        LociscopeError: The pixel size of the field is impossible.
        MissingExtraError: scipy or scikit-image is not installed.
    """
    tiles = make_tiles(field, spec)
    scaled = tiles.whole.pixels
    pixel_size = find_pixel_size(field)
    if labels is not None:
        return SegmentedField(field, scaled, labels, None, measure_geometry(labels, pixel_size), tiles.uncut)
    found = find_cells(field.pixels, pixel_size, parts=True)
    geometry = measure_geometry(found.cells, pixel_size, found.nuclei)
    return SegmentedField(field, scaled, found.cells, found.nuclei, geometry, tiles.uncut)


def load_cells(source: FieldSource, spec: InputSpec, pattern: LabelPattern | None) -> SegmentedField | Failure:
    """Read a field and find its cells; return a Failure if the field or its label image cannot be read.

    Args:
        source: The files of the field.
        spec: The input that the network expects.
        pattern: Where the label images are; None finds the cells in the reference channels.

    Raises:
        MissingExtraError: The cells cannot be found because a library is not installed.
    """
    try:
        field = read_field(source)
        height, width = field.pixels.shape[:2]
        labels = None if pattern is None else read_labels(pattern.find(source), (height, width), source.id)
        return segment_field(field, spec, labels)
    except LociscopeError as error:
        if error.code is Code.MISSING_EXTRA:
            raise
        reason, code = str(error), error.code
    except MemoryError:
        reason = f"Field '{source.id}' does not fit into memory. Try fewer `workers`, or a larger machine."
        code = Code.OUT_OF_MEMORY
    return Failure(source.id, source.first_path, reason, code)
