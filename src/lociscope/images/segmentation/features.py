"""Compute about a hundred features of a protein's location, measured for each cell and pooled over the field.

Cells and their zones are found in the reference channels (`compartments`). For each cell, `cell_measures` computes
levels of green by zone, correlations with the other channels, energy and asymmetry by scale, lines, dots and holes, and
the level at the focus of the microtubules. A field has the mean of each measure over its cells (`….mean`; bright cells
weigh up to twice as much as dark ones), the ninth decile (`….high`), which shows locations that are visible in few
cells, and features of the whole field (`field.…`).

All lengths are in µm and all levels are relative, so that the features do not depend on the size of the field, its bit
depth or its exposure. NaN means that a feature cannot be measured: a stain is missing, or no cell has the zone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lociscope.channels import BLUE, GREEN, RED
from lociscope.errors import Code, LociscopeError
from lociscope.images.preprocess import HPA_FIELD_UM, sample_pixels
from lociscope.images.scale import resize
from lociscope.images.segmentation.cell_measures import CELL_FEATURES, measure_cells
from lociscope.images.segmentation.compartments import NUCLEAR, OUTER, Compartments, find_compartments
from lociscope.images.segmentation.stack import CELL_ZONES, Means, Stack, correlate, log_ratio
from lociscope.images.statistics import estimate_full_scale

if TYPE_CHECKING:
    from numpy.typing import NDArray

FINE_PIXEL = 0.32
"""Pixel size in µm at which the protein is measured, that of HPA at 512 px; coarser fields are not resized."""
COARSE_PIXEL = 0.64
"""Pixel size in µm at which zones, correlations and structures above 1 µm are measured."""
MIN_SIDE = 8
"""Minimum side in coarse pixels; smaller fields are padded at their edge."""
HIGH = 0.9
"""Quantile over cells for the features `….high`."""
FIELD_FEATURES: tuple[str, ...] = (
    *("field.cells", "field.nuclear_area", "field.area", "field.level", "field.spread", "field.tail"),
    *("field.saturated", "field.noise", "field.outside", "field.condensed", "field.condensed_green"),
    *("field.condensed_red_match", "field.bundle_green", "field.bundle_peak"),
)
"""Measured once per field:

- `cells`: log2 of cells per 1000 µm²; `nuclear_area`, `area`: log2 of the medians in µm².
- `level`: log2 of the cells' mean green as a share of full scale; `spread`: standard deviation over cells of the log2
  of their green; `tail`: log2 of the 99.9th percentile of green over that mean; `saturated`: share of pixels at full
  scale.
- `noise`: log2 of the finest band's standard deviation over the mean; `outside`: log2 of green outside the cells
  (less its 1st percentile) over the mean.
- `condensed`: log2 of the brightest nucleus' mean blue over the median nucleus'; `condensed_green`,
  `condensed_red_match`: log2 of the green of that cell over the median cell's, and green's correlation with red in it.
- `bundle_green`: log2 of green where red outside the nuclei is brightest (1 in 500 pixels, smoothed) over green in
  the cytoplasm, where bridges and spindles are; `bundle_peak`: the same of the largest green there.
"""
FEATURES: tuple[str, ...] = (
    *(f"{name}.mean" for name in CELL_FEATURES),
    *(f"{name}.high" for name in CELL_FEATURES),
    *FIELD_FEATURES,
)
"""The features in the order of `compute_features`."""


def compute_features(pixels: np.ndarray, pixel_size: float | None = None) -> NDArray[np.float32]:
    """Compute the features of a field.

    Args:
        pixels: (y, x, 4), channels RGBY, of uint8, uint16 or float; a constant plane is a missing stain.
        pixel_size: Side of a pixel in µm; None assumes a field of `HPA_FIELD_UM`, as HPA's.

    Returns:
        (len(FEATURES),) float32, NaN for a feature that cannot be measured; finite otherwise.

    Raises:
        LociscopeError: The array has another shape, or the pixel size is not above 0.
        MissingExtraError: scipy or scikit-image is not installed.
    """
    stack, zones = make_stack(pixels, pixel_size)
    means = Means(zones)
    (level,) = means.over(stack.coarse[GREEN], CELL_ZONES)
    pooled = _pool(measure_cells(stack, zones, means), level)
    values = np.concatenate([pooled, _measure_field(stack, zones, means, level)]).astype(np.float32)
    values[~np.isfinite(values)] = np.nan
    return values


def make_stack(pixels: np.ndarray, pixel_size: float | None) -> tuple[Stack, Compartments]:
    """Return the field at the scales of the measures, and the zones of its cells."""
    if pixels.ndim != 3 or pixels.shape[-1] != 4 or min(pixels.shape) < 1:
        raise LociscopeError(
            f"A field must be (y, x, 4), channels RGBY last; received {pixels.shape}. Move the axes.",
            code=Code.INVALID_VALUE,
        )
    size = HPA_FIELD_UM / max(pixels.shape[:2]) if pixel_size is None else pixel_size
    if not size > 0:
        raise LociscopeError(
            f"`pixel_size` must be a number of µm above 0; received {pixel_size!r}. Pass the side of a pixel.",
            code=Code.PIXEL_SIZE,
        )
    full = np.float32(estimate_full_scale(sample_pixels(pixels)))
    fine = pixels
    if size < 0.93 * FINE_PIXEL:
        height, width = (max(1, round(length * size / FINE_PIXEL)) for length in pixels.shape[:2])
        fine, size = resize(pixels, height, width), size * pixels.shape[0] / height
    step = max(1, round(COARSE_PIXEL / size))
    whole = [max(MIN_SIDE, -(-length // step)) * step for length in fine.shape[:2]]
    fine = np.pad(fine, [(0, whole[0] - fine.shape[0]), (0, whole[1] - fine.shape[1]), (0, 0)], mode="edge")
    scaled = np.asarray(fine / full, np.float32)
    coarse = resize(scaled, whole[0] // step, whole[1] // step)
    zones = find_compartments(coarse, size * step)
    return Stack.of(scaled, coarse, size, step, zones), zones


def _pool(table: NDArray[np.float64], level: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean and the ninth decile over cells of an (n, features) table, ignoring NaN."""
    n, width = table.shape
    if n == 0:
        return np.full(2 * width, np.nan)
    known = np.isfinite(table)
    light = np.nan_to_num(np.maximum(level, 0)) + 1e-6
    weight = known * (0.5 + light / (light + np.median(light)))[:, None]
    total = weight.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(known, table * weight, 0).sum(axis=0) / total
    ordered = np.sort(np.where(known, table, np.inf), axis=0)
    rank = HIGH * (known.sum(axis=0) - 1).clip(0)
    below = np.floor(rank).astype(int)
    low, up = (ordered[np.minimum(row, n - 1), np.arange(width)] for row in (below, below + 1))
    share = rank - below
    with np.errstate(invalid="ignore"):
        high = np.where(share > 0, low * (1 - share) + np.where(np.isfinite(up), up, low) * share, low)
    return np.concatenate([mean, np.where(total > 0, high, np.nan)])


def _measure_field(stack: Stack, zones: Compartments, means: Means, level: NDArray[np.float64]) -> NDArray[np.float64]:
    green, n = stack.coarse[GREEN], len(zones)
    area = zones.cells.size * zones.pixel**2
    if n == 0:
        return np.array([np.log2(0.01)] + [np.nan] * (len(FIELD_FEATURES) - 1))
    inside, outside = zones.cells > 0, zones.cells == 0
    mean = float(green[inside].mean())
    beyond = float(green[outside].mean()) if outside.mean() > 0.01 else np.nan
    noise = float(np.sqrt(np.mean(stack.finest[inside])))
    return np.array(
        [
            np.log2(1000 * n / area),
            np.log2(np.median(zones.nuclear_area)),
            np.log2(np.median(zones.area)),
            np.log2(max(mean, 1e-4)),
            np.std(np.log2(np.maximum(level, 1e-4))),
            log_ratio(stack.brightest, mean),
            stack.saturated,
            log_ratio(noise, mean),
            log_ratio(beyond, mean),
            *_measure_condensed(stack, means, level),
            *_measure_bundles(stack, zones),
        ]
    )


def _measure_condensed(stack: Stack, means: Means, level: NDArray[np.float64]) -> tuple[float, float, float]:
    """Compare the brightest nucleus of the field, usually of a dividing cell, with the others."""
    (blue,) = means.over(stack.coarse[BLUE], NUCLEAR)
    if not np.isfinite(blue).any():
        return np.nan, np.nan, np.nan
    row = int(np.nanargmax(blue))
    (match,) = correlate(means, stack.coarse[RED], stack.coarse[GREEN], CELL_ZONES)
    return (
        log_ratio(blue[row], np.nanmedian(blue)),
        log_ratio(level[row], np.median(level)),
        float(match[row]) if stack.has[RED] else np.nan,
    )


def _measure_bundles(stack: Stack, zones: Compartments) -> tuple[float, float]:
    """Measure green where red outside the nuclei is brightest."""
    cytoplasm = np.isin(zones.zones, OUTER)
    if not stack.has[RED] or cytoplasm.sum() < 50:
        return np.nan, np.nan
    red, green = stack.smooth[RED][cytoplasm], stack.smooth[GREEN][cytoplasm]
    number = max(5, zones.cells.size // 500)
    bright = green[np.argpartition(red, -min(number, len(red)))[-min(number, len(red)) :]]
    usual = float(green.mean())
    return log_ratio(float(bright.mean()), usual), log_ratio(float(bright.max()), usual)
