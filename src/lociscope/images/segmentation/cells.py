"""Nuclei and cells by watershed: who owns each pixel, from the reference channels alone.

Blue gives the nuclei; red and yellow, and green a little, tell how far each cell reaches. Made for compartment
features (`lociscope.images.segmentation.features`) and for predictions per cell where nothing better is at hand: on
crowded fields borders between cells are guesses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lociscope.channels import BLUE, GREEN, RED, YELLOW
from lociscope.errors import Code, LociscopeError, MissingExtraError
from lociscope.images.preprocess import sample_pixels
from lociscope.images.statistics import estimate_full_scale

if TYPE_CHECKING:
    from numpy.typing import NDArray

WORKING_PIXEL = 0.64
"""Finer fields are segmented at about this many µm per pixel: nuclei measure 6–18 µm, so nothing is lost."""
SMOOTHING = 0.8
"""Standard deviation in µm by which the channels are smoothed before anything is cut."""
MIN_NUCLEUS_AREA = 14.0
"""Area in µm² below which a blue patch is debris; the smallest mitotic plates have about 20."""
MIN_RIDGE = 0.45
"""By how many µm the radius must shrink between two nuclei that touch, to tell them from one of odd shape."""
BODY_WEIGHTS = {RED: 1.0, YELLOW: 1.0, GREEN: 0.35}
"""What each channel says of where a cell is."""
BODY_SHARE = 0.3
"""A pixel belongs to a cell from this share of the light just outside the nuclei on."""
REACH = 18.0
"""How many µm from the nucleus weigh as much as a fall of the light to 1/e, when cells are told apart."""


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """The cells of a field. A cell has the same number in both pictures; 0 is none.

    Attributes:
        nuclei: (y, x) int32, the cell whose nucleus or chromosomes a pixel shows.
        cells: (y, x) int32, the cell that owns a pixel; holds the nucleus.
    """

    nuclei: NDArray[np.int32]
    cells: NDArray[np.int32]

    def __len__(self) -> int:
        return int(self.nuclei.max(initial=0))


def find_cells(pixels: np.ndarray, pixel_size: float) -> Cells:
    """Finds the nuclei and the cells of a field.

    Args:
        pixels: (y, x, 4), channels RGBY, of uint8, uint16 or float; an empty plane counts as missing.
        pixel_size: Side of a pixel in µm.

    Returns:
        The cells; none where no nucleus is seen.

    Raises:
        LociscopeError: The pixel size is not above 0.
        MissingExtraError: scipy or scikit-image is not installed.
    """
    if not pixel_size > 0:
        raise LociscopeError(f"A pixel size is a number of µm above 0; received {pixel_size!r}.", code=Code.PIXEL_SIZE)
    step = max(1, round(WORKING_PIXEL / pixel_size))
    small = _shrink(pixels, step)
    nuclei = find_nuclei(small[..., BLUE], pixel_size * step)
    cells = _find_bodies(small, nuclei, pixel_size * step)
    height, width = pixels.shape[:2]
    return Cells(_enlarge(nuclei, step, height, width), _enlarge(cells, step, height, width))


def _shrink(pixels: np.ndarray, step: int) -> np.ndarray:
    """Means over blocks of step × step pixels, of full scale; the last block repeats the edge where it is cut."""
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
    """Finds nuclei in a picture of DNA; those that touch are parted where the outline is waisted.

    Args:
        blue: (y, x) in any unit.
        pixel_size: Side of a pixel in µm.

    Returns:
        (y, x) int32, numbers from 1 on without gaps, 0 between the nuclei.
    """
    try:
        from scipy import ndimage
        from skimage.segmentation import watershed
    except ImportError:
        raise MissingExtraError("Finding cells", "fit") from None
    smooth = ndimage.gaussian_filter(np.asarray(blue, np.float32), SMOOTHING / pixel_size)
    inside = ndimage.binary_fill_holes(_find_bright(smooth, pixel_size))
    inside = ndimage.binary_opening(inside, iterations=max(1, round(0.6 / pixel_size)))
    depth = ndimage.distance_transform_edt(inside).astype(np.float32) * np.float32(pixel_size)
    depth = ndimage.gaussian_filter(depth, 0.5 / pixel_size)
    tops, _ = ndimage.label(inside & (ndimage.maximum_filter(depth, 3) == depth), np.ones((3, 3)))
    basins = _merge_basins(watershed(-depth, tops, mask=inside), depth)
    return _renumber(basins, MIN_NUCLEUS_AREA / pixel_size**2)


def _find_bright(smooth: np.ndarray, pixel_size: float) -> NDArray[np.bool_]:
    """Brighter than half of what Otsu says, and than the surroundings, which are hazy between crowded nuclei."""
    from scipy import ndimage
    from skimage.filters import threshold_otsu

    low, high = np.percentile(smooth, (1, 99.8))
    if high - low < 1e-4 + 0.05 * high:
        return np.zeros(smooth.shape, np.bool_)
    clipped = np.minimum(smooth, high)
    otsu = float(threshold_otsu(clipped))
    around = ndimage.gaussian_filter(clipped, 9 / pixel_size)
    cut = np.maximum(low + 0.55 * (otsu - low), np.minimum(0.9 * around, otsu))
    return np.asarray(smooth > cut)


def _merge_basins(basins: NDArray[np.int32], depth: np.ndarray) -> NDArray[np.int32]:
    """Basins joined wherever one of two does not rise `MIN_RIDGE` over the saddle between them."""
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

    def root_of(number: int) -> int:
        while root[number] != number:
            number = root[number]
        return number

    for at in touch.tolist():
        one, other = root_of(first[at]), root_of(second[at])
        low, high = sorted((one, other), key=peak.__getitem__)
        if one != other and peak[low] - saddle[at] < MIN_RIDGE:
            root[low] = high
    return np.array([root_of(number) for number in range(len(root))], np.int32)[basins]


def _renumber(labels: np.ndarray, least: float) -> NDArray[np.int32]:
    """Numbers without gaps, without what is smaller than `least` pixels."""
    sizes = np.bincount(labels.ravel())
    kept = sizes >= least
    kept[0] = False
    number = np.where(kept, np.cumsum(kept), 0).astype(np.int32)
    return np.asarray(number[labels], np.int32)


def _find_bodies(small: np.ndarray, nuclei: NDArray[np.int32], pixel_size: float) -> NDArray[np.int32]:
    """Watershed from the nuclei: downhill with the light, and with the distance from them."""
    if not nuclei.any():
        return nuclei
    from scipy import ndimage
    from skimage.segmentation import watershed

    light = _sum_body_light(small, pixel_size)
    distance = ndimage.distance_transform_edt(nuclei == 0).astype(np.float32) * np.float32(pixel_size)
    near = (distance > 0) & (distance < 3)
    base = float(np.percentile(light, 0.5))
    level = float(np.median(light[near])) - base if near.any() else 0.0
    if level <= 0:  # nothing but nuclei
        mask = distance < 3
    else:
        mask = (light - base > BODY_SHARE * level) & (ndimage.gaussian_filter(light, 2 / pixel_size) > base)
        mask = ndimage.binary_opening(mask) | (distance < 1)
    landscape = distance / REACH - np.log(np.maximum(light - base, 0.02 * level) + 1e-6)
    return np.asarray(watershed(landscape, nuclei, mask=mask | (nuclei > 0)), np.int32)


def _sum_body_light(small: np.ndarray, pixel_size: float) -> np.ndarray:
    """Red, yellow and a little green, each from its darkest part to its bright level, smoothed."""
    from scipy import ndimage

    total = np.zeros(small.shape[:2], np.float32)
    for channel, weight in BODY_WEIGHTS.items():
        low, high = np.percentile(small[..., channel], (0.5, 95))
        if high - low > 0.004:  # otherwise the stain was not made
            total += np.float32(weight) * np.sqrt(np.clip((small[..., channel] - low) / (high - low), 0, 2))
    return np.asarray(ndimage.gaussian_filter(total, SMOOTHING / pixel_size), np.float32)
