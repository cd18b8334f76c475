"""Dead and hot lines of a sensor, and the margins that registration and stitching fill with one value.

Such lines have one value outside the range of the picture, most often 0, which is below the offset of the camera. Two
of 512 lines would determine the dark level of their channel.
"""

from __future__ import annotations

import numpy as np

from lociscope.images.scale import percentiles

_BOUNDS = (0.5, 99.5)
_FEW_PROBES, _MORE_PROBES = 8, 64
_SAMPLE = 1 << 14


def replace_lines(pixels: np.ndarray) -> np.ndarray:
    """Replace constant rows and columns whose value is beyond the percentiles 0.5 and 99.5 of all other pixels.

    A line between others becomes the mean of its neighbours; a line at the edge becomes the dark level, the lower
    percentile.

    Args:
        pixels: (y, x, c) of any integer or float type.

    Returns:
        `pixels` itself where nothing is replaced, else a copy.
    """
    rows, columns = _find_constant_lines(pixels), _find_constant_lines(pixels.swapaxes(0, 1))
    replaced = pixels
    for channel in np.flatnonzero(rows.any(axis=0) | columns.any(axis=0)):
        plane = pixels[..., channel]
        rest = plane[~rows[:, channel]][:, ~columns[:, channel]].ravel()
        if not rest.size:
            continue
        low, high = percentiles(rest[:: max(1, rest.size // _SAMPLE)], _BOUNDS)
        for axis, constant in enumerate((rows[:, channel], columns[:, channel])):
            value = plane[:, 0] if axis == 0 else plane[0]
            broken = constant & ((value < low) | (value > high))
            if broken.any():
                replaced = pixels.copy(order="K") if replaced is pixels else replaced
                _fill_lines(np.moveaxis(replaced[..., channel], axis, 0), broken, low)
    return replaced


def _find_constant_lines(pixels: np.ndarray) -> np.ndarray:
    """Return whether each line along the first axis is constant, (lines, c); all False where a whole plane is.

    Two pixels of each line exclude most lines, and a few more nearly all others.
    """
    width = pixels.shape[1]
    step = width // _FEW_PROBES | 1
    constant: np.ndarray = pixels[:, 0] == pixels[:, (width - 1) // step // 2 * step]
    for probes in (_FEW_PROBES, _MORE_PROBES, width):
        line, channel = np.nonzero(constant)
        if not line.size:
            break
        some = pixels[line, :: width // probes | 1, channel]
        constant[line, channel] = (some == some[:, :1]).all(axis=1)
        if probes < width:
            constant &= ~constant.all(axis=0)
    return constant


def _fill_lines(plane: np.ndarray, broken: np.ndarray, dark: float) -> None:
    whole = np.flatnonzero(~broken)
    for line in np.flatnonzero(broken):
        after = int(np.searchsorted(whole, line))
        beside = whole[max(after - 1, 0) : after + 1]
        mean = plane[beside].mean(axis=0) if 0 < after < len(whole) else dark
        plane[line] = np.rint(mean) if plane.dtype.kind in "iu" else mean
