"""Register an image on an earlier one of the same cells, by their reference channels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lociscope.channels import BLUE, RED, YELLOW
from lociscope.images.scale import resize

REFERENCE = (RED, BLUE, YELLOW)
"""Channels that show the same in every image of a cell; the protein may move or bleach."""
MIN_CORRELATION = 0.5
"""Least correlation of the aligned images; below it they do not show the same cells."""
MIN_SIDE = 24
"""Least side of the area that both images show, px of the coarser one."""
_UPSAMPLING = 10


@dataclass(frozen=True, slots=True, eq=False)
class PlacedImage:
    """An image and where it was taken.

    Attributes:
        pixels: (y, x, 4), RGBY; y downwards is the stage's y upwards.
        pixel_size: Side of a pixel, µm.
        x: Stage position of its centre, µm.
        y: Stage position of its centre, µm.
    """

    pixels: np.ndarray
    pixel_size: float
    x: float
    y: float


def measure_displacement(reference: PlacedImage, image: PlacedImage) -> tuple[float, float] | None:
    """Return how far the centre of an image is from where its stage position says, by an earlier image.

    Args:
        reference: The earlier image; its position counts as right.
        image: The image.

    Returns:
        The displacement along x and y, µm: positive if the image shows cells that lay at larger x and y. None if the
        two do not show enough of the same cells.
    """
    from skimage.registration import phase_cross_correlation

    size = max(reference.pixel_size, image.pixel_size)
    fixed, moving = (_to_grey(each, size) for each in (reference, image))
    right = (image.x - reference.x) / size + (fixed.shape[1] - moving.shape[1]) / 2
    down = (reference.y - image.y) / size + (fixed.shape[0] - moving.shape[0]) / 2
    top, left = round(down), round(right)
    rows, columns = _overlap(top, fixed.shape[0], moving.shape[0]), _overlap(left, fixed.shape[1], moving.shape[1])
    if min(rows[1] - rows[0], columns[1] - columns[0]) < MIN_SIDE:
        return None
    a = fixed[rows[0] : rows[1], columns[0] : columns[1]]
    b = moving[rows[0] - top : rows[1] - top, columns[0] - left : columns[1] - left]
    if a.std() == 0 or b.std() == 0:
        return None
    window = np.outer(np.hanning(a.shape[0] + 2)[1:-1], np.hanning(a.shape[1] + 2)[1:-1]).astype(np.float32)
    shift, _, _ = phase_cross_correlation(
        _centre(a) * window, _centre(b) * window, upsample_factor=_UPSAMPLING, normalization=None
    )
    if _correlate(a, b, round(float(shift[0])), round(float(shift[1]))) < MIN_CORRELATION:
        return None
    return (float(shift[1]) + left - right) * size, -(float(shift[0]) + top - down) * size


def _to_grey(image: PlacedImage, size: float) -> np.ndarray:
    """Return the sum of the reference channels at a pixel size, each with mean 0 and variance 1."""
    height, width = (max(1, round(side * image.pixel_size / size)) for side in image.pixels.shape[:2])
    small = resize(image.pixels[..., list(REFERENCE)].astype(np.float32), height, width)
    spread = small.std((0, 1))
    grey: np.ndarray = ((small - small.mean((0, 1))) / np.where(spread > 0, spread, 1.0)).sum(-1)
    return grey


def _overlap(start: int, fixed: int, moving: int) -> tuple[int, int]:
    """Return the first row (or column) of the fixed image that both show, and the one after the last."""
    return max(0, start), min(fixed, start + moving)


def _centre(grey: np.ndarray) -> np.ndarray:
    centred: np.ndarray = grey - grey.mean()
    return centred


def _correlate(a: np.ndarray, b: np.ndarray, down: int, right: int) -> float:
    """Return the correlation of what both images show once `b` is moved; 0 if that is too little."""
    rows, columns = _overlap(down, a.shape[0], b.shape[0]), _overlap(right, a.shape[1], b.shape[1])
    if min(rows[1] - rows[0], columns[1] - columns[0]) < MIN_SIDE // 2:
        return 0.0
    one = a[rows[0] : rows[1], columns[0] : columns[1]].ravel()
    other = b[rows[0] - down : rows[1] - down, columns[0] - right : columns[1] - right].ravel()
    if one.std() == 0 or other.std() == 0:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])
