"""Segment nuclei and cells by watershed, from the reference channels.

Blue gives the nuclei; red and yellow, with a little of green, give the extent of each cell. The segmentation serves
compartment features (`lociscope.images.segmentation.features`), and predictions per cell where no better one is
available: in crowded fields, borders between cells are guesses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lociscope.channels import BLUE, GREEN, RED, YELLOW
from lociscope.errors import Code, LociscopeError, MissingExtraError
from lociscope.images.otsu import find_threshold, make_histogram
from lociscope.images.preprocess import sample_pixels
from lociscope.images.scale import percentiles_of_sorted
from lociscope.images.segmentation.distance import measure_depth
from lociscope.images.statistics import estimate_full_scale

if TYPE_CHECKING:
    from numpy.typing import NDArray

WORKING_PIXEL = 0.64
"""Pixel size in µm to which finer fields are reduced for segmentation; nuclei measure 6–18 µm, so nothing is lost."""
SMOOTHING = 0.8
"""Standard deviation in µm of the Gaussian blur before thresholding."""
MIN_NUCLEUS_AREA = 14.0
"""Minimum area of a nucleus in µm²; smaller patches are debris. The smallest mitotic plates have about 20."""
MIN_RIDGE = 0.45
"""By how many µm the radius must shrink between touching nuclei, to distinguish them from one of irregular shape."""
SURROUNDINGS = 9.0
"""Standard deviation in µm of the blur that gives the level of the surroundings of a nucleus."""
BODY_WEIGHTS = {RED: 1.0, YELLOW: 1.0, GREEN: 0.35}
"""Weights of the channels for the extent of a cell."""
BODY_SHARE = 0.3
"""Minimum light of a pixel of a cell, as a share of the light just outside the nuclei."""
REACH = 18.0
"""Distance from the nucleus in µm that counts as much as a decrease of the light to 1/e, when cells are separated."""
BEYOND_EDGE = 14.0
"""Distance in µm beyond the edge of the field at which the nuclei of cells are assumed that show only a part."""
MIN_PART_AREA = 150.0
"""Minimum area in µm² of a part of a cell without nucleus; smaller parts are left out."""
MAX_HOLE_AREA = 60.0
"""Area in µm² up to which a dark hole belongs to its cell: a vacuole, or the shadow beside the nucleus."""


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """The cells of a field. A cell has the same number in both label images; 0 is background.

    Attributes:
        nuclei: (y, x) int32, the cell whose nucleus or chromosomes a pixel shows.
        cells: (y, x) int32, the cell of a pixel, nucleus included. Cells without nucleus come last.
    """

    nuclei: NDArray[np.int32]
    cells: NDArray[np.int32]

    def __len__(self) -> int:
        return int(self.cells.max(initial=0))


def find_cells(pixels: np.ndarray, pixel_size: float, *, parts: bool = False, body_step: int = 1) -> Cells:
    """Find the nuclei and the cells of a field.

    Args:
        pixels: (y, x, 4), channels RGBY, of uint8, uint16 or float; an empty plane counts as missing.
        pixel_size: Side of a pixel in µm.
        parts: Whether to also find cells whose nucleus is beyond the edge of the field. Without it such a part belongs
            to the nearest cell, as in the features.
        body_step: Factor by which the borders between cells, and of cells, are found more coarsely than nuclei, in a
            third of the time for 2.

    Returns:
        The cells; none where no nucleus is found.

    Raises:
        LociscopeError: The pixel size is not above 0.
        MissingExtraError: scipy or scikit-image is not installed.
    """
    if not pixel_size > 0:
        raise LociscopeError(
            f"`pixel_size` must be a number of µm above 0; received {pixel_size!r}. Pass the side of a pixel.",
            code=Code.PIXEL_SIZE,
        )
    step = max(1, round(WORKING_PIXEL / pixel_size))
    small = _shrink(pixels, step)
    nuclei = find_nuclei(small[..., BLUE], pixel_size * step)
    if body_step == 1:
        cells = _find_bodies(small, nuclei, pixel_size * step, parts)
    else:
        some, seeds = _shrink(small, body_step), nuclei[::body_step, ::body_step]
        bodies = _find_bodies(some, seeds, pixel_size * step * body_step, parts)
        cells = np.where(nuclei > 0, nuclei, _enlarge(bodies, body_step, *nuclei.shape))
    height, width = pixels.shape[:2]
    return Cells(_enlarge(nuclei, step, height, width), _enlarge(cells, step, height, width))


def _shrink(pixels: np.ndarray, step: int) -> np.ndarray:
    """Return means over blocks of step × step pixels, relative to full scale; incomplete blocks repeat the edge."""
    full = np.float32(estimate_full_scale(sample_pixels(pixels)))
    if step == 1:
        return np.asarray(pixels / full, np.float32)
    missing = [(0, -length % step) for length in pixels.shape[:2]]
    padded = np.pad(pixels, (*missing, (0, 0)), mode="edge") if np.any(missing) else pixels
    total = np.zeros((padded.shape[0] // step, padded.shape[1] // step, pixels.shape[2]), np.float32)
    for row in range(step):
        for column in range(step):
            total += padded[row::step, column::step]
    return total / (full * step * step)


def _enlarge(labels: np.ndarray, step: int, height: int, width: int) -> NDArray[np.int32]:
    if step == 1:
        return labels
    return np.asarray(labels.repeat(step, axis=0)[:height].repeat(step, axis=1)[:, :width])


def find_nuclei(blue: np.ndarray, pixel_size: float) -> NDArray[np.int32]:
    """Find nuclei in an image of DNA; touching nuclei are separated where the outline is constricted.

    Args:
        blue: (y, x) in any unit.
        pixel_size: Side of a pixel in µm.

    Returns:
        (y, x) int32, consecutive numbers from 1, 0 between the nuclei.
    """
    try:
        from scipy import ndimage
        from skimage.segmentation import watershed
    except ImportError:
        raise MissingExtraError("Finding cells", "cells") from None
    smooth = ndimage.gaussian_filter(np.asarray(blue, np.float32), SMOOTHING / pixel_size)
    inside = _fill_holes(_find_bright(smooth, pixel_size))
    inside = _open(inside, max(1, round(0.6 / pixel_size)))
    if inside.all():
        return np.zeros(inside.shape, np.int32)
    depth = ndimage.gaussian_filter(measure_depth(inside) * np.float32(pixel_size), 0.5 / pixel_size)
    tops, _ = ndimage.label(inside & (ndimage.maximum_filter(depth, 3) == depth), np.ones((3, 3)))
    basins = _merge_basins(watershed(-depth, tops, mask=inside), depth)
    return _renumber(basins, MIN_NUCLEUS_AREA / pixel_size**2)


def _find_bright(smooth: np.ndarray, pixel_size: float) -> NDArray[np.bool_]:
    """Return pixels brighter than half of Otsu's threshold and than the surroundings, hazy in crowded fields."""
    from scipy import ndimage

    low, high = estimate_percentiles(smooth, (1, 99.8))
    if high - low < 1e-4 + 0.05 * high:
        return np.zeros(smooth.shape, np.bool_)
    clipped = np.minimum(smooth, high)
    otsu = _find_otsu(clipped)
    sigma = SURROUNDINGS / pixel_size
    step = max(1, int(sigma / 3))
    around = ndimage.gaussian_filter(clipped[::step, ::step], sigma / step, truncate=3)
    threshold = np.maximum(low + 0.55 * (otsu - low), np.minimum(0.9 * around, otsu))
    height, width = smooth.shape
    return np.asarray(smooth > _enlarge(threshold, step, height, width))


def _find_otsu(plane: np.ndarray) -> np.float32:
    low, high = float(plane.min()), float(plane.max())
    levels = ((plane - low) * (255 / (high - low))).astype(np.uint8)
    counts = np.bincount(levels.ravel(), minlength=256)
    threshold = find_threshold(*make_histogram(counts, np.flatnonzero(counts)))[1]
    return np.float32(low + threshold * (high - low) / 255)


def _merge_basins(basins: NDArray[np.int32], depth: np.ndarray) -> NDArray[np.int32]:
    """Merge neighbouring basins if one of them does not rise `MIN_RIDGE` above the saddle between them."""
    first = np.concatenate([basins[1:].ravel(), basins[:, 1:].ravel()])
    second = np.concatenate([basins[:-1].ravel(), basins[:, :-1].ravel()])
    saddle = np.concatenate(
        [np.minimum(depth[1:], depth[:-1]).ravel(), np.minimum(depth[:, 1:], depth[:, :-1]).ravel()]
    )
    touch = np.flatnonzero((first != second) & (first > 0) & (second > 0))
    touch = touch[np.argsort(-saddle[touch], kind="stable")]
    peak = np.zeros(int(basins.max(initial=0)) + 1, depth.dtype)
    np.maximum.at(peak, basins.ravel(), depth.ravel())
    root = list(range(len(peak)))

    def find_root(number: int) -> int:
        while root[number] != number:
            number = root[number]
        return number

    for at in touch.tolist():
        one, other = find_root(first[at]), find_root(second[at])
        low, high = sorted((one, other), key=peak.__getitem__)
        if one != other and peak[low] - saddle[at] < MIN_RIDGE:
            root[low] = high
    return np.array([find_root(number) for number in range(len(root))], np.int32)[basins]


def _renumber(labels: np.ndarray, least: float) -> NDArray[np.int32]:
    """Number regions consecutively, and remove regions of fewer than `least` pixels."""
    sizes = np.bincount(labels.ravel())
    large = sizes >= least
    large[0] = False
    number = np.where(large, np.cumsum(large), 0).astype(np.int32)
    return np.asarray(number[labels], np.int32)


def _find_bodies(small: np.ndarray, nuclei: NDArray[np.int32], pixel_size: float, parts: bool) -> NDArray[np.int32]:
    """Return a watershed from the nuclei that follows decreasing light and increasing distance."""
    if not nuclei.any():
        return nuclei
    from scipy import ndimage
    from skimage.segmentation import watershed

    light = _sum_body_light(small, pixel_size)
    distance = measure_depth(nuclei == 0) * np.float32(pixel_size)
    near = (distance > 0) & (distance < 3)
    base = estimate_percentiles(light, (0.5,))[0]
    level = np.float32(np.median(light[near]) - base if near.any() else 0)
    if level <= 0:  # only nuclei
        mask = distance < 3
    else:
        mask = (light - base > BODY_SHARE * level) & (ndimage.gaussian_filter(light, 2 / pixel_size) > base)
        mask = _open(mask) | (distance < 1)
    seeds = nuclei
    if parts:
        mask = _fill_holes(mask, MAX_HOLE_AREA / pixel_size**2)
        seeds, distance = _add_seeds_at_edge(nuclei, distance, mask, pixel_size)
    landscape = distance / REACH - np.log(np.maximum(light - base, 0.02 * level) + 1e-6)
    cells = np.asarray(watershed(landscape, seeds, mask=mask | (nuclei > 0)), np.int32)
    return _remove_small_parts(cells, int(nuclei.max()), MIN_PART_AREA / pixel_size**2)


def _fill_holes(mask: NDArray[np.bool_], largest: float = np.inf) -> NDArray[np.bool_]:
    """Fill holes of at most `largest` pixels."""
    from scipy import ndimage

    parts, n = ndimage.label(~mask)
    hole = np.bincount(parts.ravel(), minlength=n + 1) <= largest
    for edge in (parts[0], parts[-1], parts[:, 0], parts[:, -1]):
        hole[edge] = False
    hole[0] = False
    return np.asarray(mask | hole[parts])


def _open(mask: NDArray[np.bool_], times: int = 1) -> NDArray[np.bool_]:
    """Erode a mask by its four neighbours, and dilate the rest, `times` each; the field is surrounded by nothing."""
    for combine in (np.logical_and, np.logical_or):
        for _ in range(times):
            padded = np.pad(mask, 1)
            mask = combine(mask, padded[2:, 1:-1])
            for part in (padded[:-2, 1:-1], padded[1:-1, 2:], padded[1:-1, :-2]):
                combine(mask, part, out=mask)
    return mask


def estimate_percentiles(plane: np.ndarray, at: tuple[float, ...]) -> NDArray[np.float32]:
    """Return percentiles of a plane (y, x), estimated from about 128 × 128 of its pixels."""
    return percentiles_of_sorted(sample_pixels(plane[..., None])[0], at).astype(np.float32)


def _add_seeds_at_edge(
    nuclei: NDArray[np.int32], distance: NDArray[np.float32], mask: NDArray[np.bool_], pixel_size: float
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Add a seed to each stretch of the edge that is nearer to a nucleus `BEYOND_EDGE` than to one within the field."""
    from scipy import ndimage

    rows, columns = (np.minimum(np.arange(side), np.arange(side)[::-1]) for side in nuclei.shape)
    depth = np.minimum.outer(rows, columns)
    stretches, _ = ndimage.label((depth == 0) & mask & (distance > BEYOND_EDGE), np.ones((3, 3)))
    seeds = np.where(stretches > 0, stretches + nuclei.max(), nuclei).astype(np.int32)
    return seeds, np.minimum(distance, (depth * pixel_size + BEYOND_EDGE).astype(np.float32))


def _remove_small_parts(cells: NDArray[np.int32], n: int, least: float) -> NDArray[np.int32]:
    """Remove cells of fewer than `least` pixels after the first n, and number the others consecutively."""
    large = np.bincount(cells.ravel(), minlength=n + 1) >= least
    large[: n + 1] = True
    number = np.where(large, np.cumsum(large) - 1, 0)
    return np.asarray(number[cells], np.int32)


def _sum_body_light(small: np.ndarray, pixel_size: float) -> np.ndarray:
    """Return the smoothed sum of red, yellow and a little green, each scaled from its dark to its bright level."""
    from scipy import ndimage

    total = np.zeros(small.shape[:2], np.float32)
    for channel, weight in BODY_WEIGHTS.items():
        low, high = estimate_percentiles(small[..., channel], (0.5, 95))
        if high - low > 0.004:  # otherwise the stain is missing
            total += np.float32(weight) * np.sqrt(np.clip((small[..., channel] - low) / (high - low), 0, 2))
    return np.asarray(ndimage.gaussian_filter(total, SMOOTHING / pixel_size), np.float32)
