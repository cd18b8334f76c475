"""Measure spots, the local maxima of green, by cell, in nucleus and cytoplasm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lociscope.images.segmentation.compartments import NUCLEAR, OUTER, Compartments, Zone, find_highest

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_CONTRAST = 0.5
"""Minimum height of a spot above its surroundings, relative to the mean green of its nucleus or cytoplasm."""
MIN_HEIGHT = 0.012
"""Minimum height of a spot above its surroundings, as a share of full scale."""
_PER_SIDE = ("number", "strongest", "second", "contrast", "elongation", "size")
SPOT_FEATURES: tuple[str, ...] = (
    *(f"nucleus.spot_{what}" for what in _PER_SIDE),
    *(f"cytoplasm.spot_{what}" for what in _PER_SIDE),
    *("spots.nucleoli", "spots.rim", "spots.edge", "spots.contact", "spots.beyond", "spots.focus"),
)
"""Features of spots of 0.5–1.5 µm, in nucleus or cytoplasm:

- `number`: log2 of 1 + spots per 100 µm²; `strongest`: log2 of 1 + the largest contrast (height over the surroundings,
  in means of green); `second`: the same of the second-largest, over the largest; `contrast`: mean of log2 of 1 +
  contrast; `elongation`: mean of 1 − short / long axis of the tops' curvature; `size`: mean of the height left when
  smoothed by 0.64 µm.
- `nucleoli`, `rim`, `edge`, `contact`: share of the cell's spots there, by contrast; `beyond`: mean distance
  of the cytoplasm's spots from the nucleus in µm; `focus`: log2 of 1 + the distance in µm of its strongest from red's
  focus.
"""


def measure_spots(
    green: np.ndarray,
    wide: np.ndarray,
    step: int,
    pixel: float,
    zones: Compartments,
    nucleus: NDArray[np.float64],
    cytoplasm: NDArray[np.float64],
) -> list[NDArray[np.float64]]:
    """Measure the spots of every cell.

    Args:
        green: (y, x) fine, smoothed by 0.32 µm, in shares of full scale, without background.
        wide: (y / step, x / step), smoothed by 1.28 µm.
        step: Number of fine pixels along a side of a coarse one.
        pixel: Side of a fine pixel in µm.
        zones: The cells.
        nucleus: (n,) mean green of each nucleus.
        cytoplasm: (n,) mean green of each cytoplasm.

    Returns:
        One (n,) for each of `SPOT_FEATURES`.
    """
    n = len(zones)
    rise = green - wide.repeat(step, 0).repeat(step, 1)
    y, x = _find_peaks(rise, MIN_HEIGHT)
    cy, cx = y // step, x // step
    cell, zone = zones.cells[cy, cx] - 1, zones.zones[cy, cx]
    within = np.isin(zone, NUCLEAR)
    level = np.where(within, nucleus[cell], cytoplasm[cell])
    with np.errstate(invalid="ignore"):
        contrast = rise[y, x] / (np.maximum(level, 0) + MIN_HEIGHT)
        valid = (cell >= 0) & (contrast > MIN_CONTRAST)
    y, x, cy, cx, cell, zone, contrast, within = (a[valid] for a in (y, x, cy, cx, cell, zone, contrast, within))
    shape = _measure_shapes(rise, y, x)
    columns = []
    for side, inside in ((NUCLEAR, within), (OUTER, np.isin(zone, OUTER))):
        region = np.isin(zones.zones, side)
        area = np.bincount(zones.cells[region], minlength=n + 1)[1:].astype(np.float64) * zones.pixel**2
        columns += _measure_side(cell[inside], contrast[inside], shape[0][inside], shape[1][inside], area)
    outer = np.isin(zone, OUTER)
    total = np.bincount(cell, contrast, n)
    for where in (Zone.NUCLEOLI, Zone.RIM, Zone.EDGE, Zone.CONTACT):
        columns.append(np.bincount(cell, contrast * (zone == where), n) / np.maximum(total, 1e-9))
    columns.append(_mean_by_cell(zones.beyond[cy, cx][outer], cell[outer], n))
    columns.append(_measure_focus_distance(cy[outer], cx[outer], cell[outer], contrast[outer], zones))
    return columns


def _find_peaks(image: np.ndarray, least: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the pixels above `least` that none of their eight neighbours exceeds, without the outermost pixels."""
    inner = image[1:-1, 1:-1]
    y, x = np.nonzero(inner > least)
    y, x = y + 1, x + 1
    value = image[y, x]
    top = np.ones(len(y), np.bool_)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            near = image[y + dy, x + dx]
            top &= (near < value) if (dy, dx) > (0, 0) else (near <= value)
    return y[top], x[top]


def _measure_shapes(image: np.ndarray, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the elongation of peaks, and the share of their height that is left in the mean of 5 × 5 pixels."""
    if not len(y):
        return np.zeros(0), np.zeros(0)
    padded = np.pad(image, 2, mode="edge")
    y, x = y + 2, x + 2
    top = padded[y, x]
    yy = padded[y + 2, x] + padded[y - 2, x] - 2 * top
    xx = padded[y, x + 2] + padded[y, x - 2] - 2 * top
    yx = (padded[y + 2, x + 2] + padded[y - 2, x - 2] - padded[y + 2, x - 2] - padded[y - 2, x + 2]) / 4
    half, root = (yy + xx) / 2, np.hypot((yy - xx) / 2, yx)
    long, short = np.minimum(half + root, 0), np.minimum(half - root, -1e-9)
    around = sum(padded[y + dy, x + dx] for dy in range(-2, 3) for dx in range(-2, 3)) / 25
    return 1 - long / short, around / top


def _measure_side(
    cell: np.ndarray, contrast: np.ndarray, elongation: np.ndarray, size: np.ndarray, area: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    n = len(area)
    order = np.lexsort((contrast, cell))
    counts = np.bincount(cell, minlength=n)
    last = np.cumsum(counts) - 1
    ordered = np.append(contrast[order], 0.0)
    first = np.where(counts > 0, ordered[np.maximum(last, 0)], 0.0)
    second = np.where(counts > 1, ordered[np.maximum(last - 1, 0)], 0.0)
    known = area > 4
    columns = [
        np.log2(1 + 100 * counts / np.maximum(area, 4)),
        np.log2(1 + first),
        np.where(counts > 0, second / np.maximum(first, 1e-9), np.nan),
    ]
    columns = [np.where(known, column, np.nan) for column in columns]
    return columns + [_mean_by_cell(each, cell, n) for each in (np.log2(1 + contrast), elongation, size)]


def _mean_by_cell(values: np.ndarray, cell: np.ndarray, n: int) -> NDArray[np.float64]:
    count = np.bincount(cell, minlength=n)
    return np.where(count > 0, np.bincount(cell, values, n) / np.maximum(count, 1), np.nan)


def _measure_focus_distance(
    y: np.ndarray, x: np.ndarray, cell: np.ndarray, contrast: np.ndarray, zones: Compartments
) -> NDArray[np.float64]:
    """Return log2 of 1 + the distance in µm of each cell's strongest spot from red's focus."""
    best = find_highest(contrast, cell, len(zones))
    found = np.full(len(zones), np.nan)
    known = best >= 0
    at = best[known]
    apart = np.hypot(y[at] - zones.focus[known, 0], x[at] - zones.focus[known, 1]) * zones.pixel
    found[known] = np.log2(1 + apart)
    return found
