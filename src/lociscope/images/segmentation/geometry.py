"""Measure where the cells of a field are: centres, boxes, areas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class CellGeometry:
    """Positions and sizes of n cells, in the order of their numbers.

    Attributes:
        number: (n,) int64, the number of each cell in the label image.
        centre: (n, 2) float64, row and column of the centre of its pixels, in px; the first pixel's centre is 0.
        box: (n, 4) int64, first row, first column, last row + 1, last column + 1.
        area: (n,) float64 in µm².
        nucleus_area: (n,) float64 in µm²; 0 without nucleus, NaN where nuclei are not known.
        at_edge: (n,) bool, whether a pixel is at the edge of the field, so that a part may be missing.
    """

    number: NDArray[np.int64]
    centre: NDArray[np.float64]
    box: NDArray[np.int64]
    area: NDArray[np.float64]
    nucleus_area: NDArray[np.float64]
    at_edge: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.number)


def measure_geometry(
    labels: NDArray[np.integer], pixel_size: float, nuclei: NDArray[np.integer] | None = None
) -> CellGeometry:
    """Measure all cells of a field.

    Args:
        labels: (y, x), the number of the cell of each pixel, 0 for none; numbers that no pixel has are skipped.
        pixel_size: Side of a pixel in µm.
        nuclei: (y, x), the same for nuclei; None where they are not known.

    Returns:
        Their positions and sizes.
    """
    height, width = labels.shape
    at = np.flatnonzero(labels)
    number, index = np.unique(labels.ravel()[at], return_inverse=True)
    n = len(number)
    rows, columns = np.divmod(at, width)
    count = np.bincount(index, minlength=n)
    box = np.empty((n, 4), np.int64)
    centre = np.empty((n, 2))
    for axis, (position, size) in enumerate(((rows, height), (columns, width))):
        centre[:, axis] = np.bincount(index, position, n) / np.maximum(count, 1)
        first, last = np.full(n, size), np.full(n, -1)
        np.minimum.at(first, index, position)
        np.maximum.at(last, index, position)
        box[:, axis], box[:, axis + 2] = first, last + 1
    at_edge = (box[:, :2] == 0).any(axis=1) | (box[:, 2:] == (height, width)).any(axis=1)
    nuclear = np.full(n, np.nan)
    if nuclei is not None:
        nuclear = np.bincount(index, nuclei.ravel()[at] > 0, n) * pixel_size**2
    area = count.astype(np.float64) * pixel_size**2
    return CellGeometry(number.astype(np.int64), centre, box, area, nuclear, at_edge)
