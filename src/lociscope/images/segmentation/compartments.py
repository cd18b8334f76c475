"""Find the compartments of the cells of a field: the cell and the zone of each pixel."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from lociscope.channels import BLUE, RED
from lociscope.images.segmentation.cells import estimate_percentiles, find_cells
from lociscope.images.segmentation.distance import measure_depth

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Zone(IntEnum):
    """The zone of a pixel in its cell."""

    NONE = 0
    NUCLEUS = 1
    """Inside the nucleus, beyond its rim, where there is DNA."""
    NUCLEOLI = 2
    """Inside the nucleus, where blue is below `DNA_POOR` of the nucleus' median."""
    RIM = 3
    """From 1 µm within the nuclear outline to 0.7 µm outside."""
    PERINUCLEAR = 4
    """0.7–3 µm from the nucleus."""
    CYTOPLASM = 5
    """More than 3 µm from the nucleus."""
    EDGE = 6
    """Within 1.5 µm of the background."""
    CONTACT = 7
    """Within 1.5 µm of another cell."""


NUCLEAR = (Zone.NUCLEUS, Zone.NUCLEOLI)
"""The zones of the nucleus; the rim belongs to neither side."""
OUTER = (Zone.PERINUCLEAR, Zone.CYTOPLASM, Zone.EDGE, Zone.CONTACT)
"""The zones of the cytoplasm."""
RIM_WITHIN, RIM_BEYOND, PERINUCLEAR_REACH, EDGE_DEPTH = 1.0, 0.7, 3.0, 1.5
"""The borders of the zones, µm."""
DNA_POOR = 0.72
"""Threshold for nucleoli: blue, smoothed by 0.4 µm, as a share of the nucleus' median."""
BODY_PIXEL = 1.28
"""Pixel size in µm at which borders between cells are found; they are guesses in crowded fields."""
FARTHEST = np.float32(1e3)
"""Distance from the nucleus in µm where there is no nucleus."""
FOCUS_SMOOTHING, FOCUS_REACH = 1.2, 8.0
"""Blur of red to find the microtubules' focus, and maximum distance of the focus from the nucleus, µm."""


@dataclass(frozen=True, slots=True, eq=False)
class Compartments:
    """The zones of n cells on a grid.

    Attributes:
        pixel: Side of the grid's pixels in µm.
        cells: (y, x) int32, the cell of each pixel, 0 for none.
        zones: (y, x) int8 of `Zone`.
        beyond: (y, x) distance in µm from the outline of the nearest nucleus, negative inside.
        focus: (n, 2) row and column of the densest red of each cell outside its nucleus; NaN where there is none.
        nuclear_area: (n,) in µm².
        area: (n,) in µm².
    """

    pixel: float
    cells: NDArray[np.int32]
    zones: NDArray[np.int8]
    beyond: NDArray[np.float32]
    focus: NDArray[np.float64]
    nuclear_area: NDArray[np.float64]
    area: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.area)

    @property
    def regions(self) -> NDArray[np.intp]:
        """(pixels,) index of each pixel's region: zone × (n + 1) + cell."""
        return np.asarray(self.zones.ravel().astype(np.intp) * (len(self) + 1) + self.cells.ravel())


def find_compartments(pixels: np.ndarray, pixel: float) -> Compartments:
    """Segment a field, and find the zones of its cells.

    Args:
        pixels: (y, x, 4), RGBY, of any type.
        pixel: Side of a pixel in µm, ideally near 0.64.

    Returns:
        The zones of all cells.
    """
    found = find_cells(pixels, pixel, body_step=max(1, round(BODY_PIXEL / pixel)))
    cells, nuclei, n = found.cells, found.nuclei, len(found)
    within = measure_depth(nuclei > 0) * np.float32(pixel)
    outside = np.minimum(measure_depth(nuclei == 0) * np.float32(pixel), FARTHEST)
    edge = measure_depth(cells > 0, EDGE_DEPTH / pixel) * np.float32(pixel) < EDGE_DEPTH
    zones = np.full(cells.shape, Zone.CYTOPLASM, np.int8)
    zones[outside < PERINUCLEAR_REACH] = Zone.PERINUCLEAR
    zones[edge] = Zone.EDGE
    zones[_find_contacts(cells, max(1, round(EDGE_DEPTH / pixel)))] = Zone.CONTACT
    zones[(outside < RIM_BEYOND)] = Zone.RIM
    inner = within > RIM_WITHIN
    zones[inner] = Zone.NUCLEUS
    zones[inner & _find_dna_poor(pixels[..., BLUE], nuclei, n, pixel)] = Zone.NUCLEOLI
    zones[cells == 0] = Zone.NONE
    beyond = np.where(nuclei > 0, -within, outside).astype(np.float32)
    nuclear, whole = (_measure_areas(each, n, pixel) for each in (nuclei, cells))
    return Compartments(
        pixel, cells, zones, beyond, _find_focus(pixels[..., RED], cells, beyond, n, pixel), nuclear, whole
    )


def _measure_areas(labels: NDArray[np.int32], n: int, pixel: float) -> NDArray[np.float64]:
    """Return the areas of n labels, (n,) in µm²."""
    return np.bincount(labels.ravel(), minlength=n + 1)[1:].astype(np.float64) * pixel**2


def _find_contacts(cells: NDArray[np.int32], reach: int) -> NDArray[np.bool_]:
    """Return the pixels that have two cells within `reach` pixels."""
    from scipy import ndimage

    top = np.iinfo(np.int32).max
    side = 2 * reach + 1
    most = ndimage.maximum_filter(cells, side)
    least = ndimage.minimum_filter(np.where(cells > 0, cells, top), side)
    return np.asarray((most != least) & (most > 0))


def _find_dna_poor(blue: np.ndarray, nuclei: NDArray[np.int32], n: int, pixel: float) -> NDArray[np.bool_]:
    from scipy import ndimage

    if not n:
        return np.zeros(nuclei.shape, np.bool_)
    smooth = ndimage.gaussian_filter(np.asarray(blue, np.float32), 0.4 / pixel)
    smooth -= estimate_percentiles(smooth, (0.5,))[0]
    inside = np.flatnonzero(nuclei)
    median = np.zeros(n + 1, np.float32)
    median[1:] = compute_quantiles(smooth.ravel()[inside], nuclei.ravel()[inside] - 1, n, (0.5,))[0]
    return np.asarray(smooth < DNA_POOR * median[nuclei])


def _find_focus(
    red: np.ndarray, cells: NDArray[np.int32], beyond: NDArray[np.float32], n: int, pixel: float
) -> NDArray[np.float64]:
    from scipy import ndimage

    focus = np.full((n, 2), np.nan)
    if not n or np.ptp(red) == 0:
        return focus
    smooth = ndimage.gaussian_filter(np.asarray(red, np.float32), FOCUS_SMOOTHING / pixel)
    near = (beyond > 0) & (beyond < FOCUS_REACH)
    best = find_highest(smooth.ravel(), np.where(near, cells - 1, -1).ravel(), n)
    known = best >= 0
    focus[known] = np.stack(np.divmod(best[known], cells.shape[1]), axis=1)
    return focus


def find_highest(values: np.ndarray, group: NDArray[np.integer], n: int) -> NDArray[np.intp]:
    """Return the position of the highest value of each of n groups.

    Args:
        values: (m,).
        group: (m,) in 0…n−1, or −1 for none.
        n: Number of groups.

    Returns:
        (n,) positions, the last of equal values; −1 where a group is empty.
    """
    top = np.full(n + 1, -np.inf, values.dtype)
    np.maximum.at(top, group, values)  # group −1 is the last element
    at = np.flatnonzero((values == top[group]) & (group >= 0))
    best = np.full(n, -1, np.intp)
    best[group[at]] = at
    return best


def compute_quantiles(
    values: np.ndarray, group: NDArray[np.integer], n: int, shares: tuple[float, ...]
) -> NDArray[np.float64]:
    """Return quantiles of the values of each of n groups.

    Args:
        values: (m,).
        group: (m,) in 0…n−1.
        n: Number of groups.
        shares: The quantiles, 0–1.

    Returns:
        (shares, n), the value closest to the quantile's rank; NaN where a group is empty.
    """
    low = float(values.min(initial=0))
    span = (float(values.max(initial=0)) - low) * 1.001 or 1.0
    ordered = np.sort(group + (values - low) / span)  # one sort of the numbers takes a tenth of a sort by two keys
    ordered = low + (ordered - np.floor(ordered)) * span
    counts = np.bincount(group, minlength=n)
    start = np.cumsum(counts) - counts
    found = np.full((len(shares), n), np.nan)
    full = counts > 0
    for row, share in enumerate(shares):
        found[row, full] = ordered[(start + np.rint(share * (counts - 1)).astype(int))[full]]
    return found
