"""Measure each cell; `lociscope.images.segmentation.features` pools the measures over the field."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lociscope.channels import BLUE, GREEN, RED, YELLOW
from lociscope.images.segmentation.compartments import (
    NUCLEAR,
    OUTER,
    Compartments,
    Zone,
    compute_quantiles,
    find_highest,
)
from lociscope.images.segmentation.spots import SPOT_FEATURES, measure_spots
from lociscope.images.segmentation.stack import (
    CELL_ZONES,
    FAINT,
    MIN_PIXELS,
    SCALES,
    Means,
    Stack,
    block_means,
    correlate,
    gaussian_blur,
    log_ratio,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

CURVED = 0.45
"""Blur of green in µm (standard deviation) for the curvature that distinguishes lines, dots and holes."""
CORE, RING = 1.5, 4.0
"""Distances from the microtubules' focus in µm that bound its core and the ring around it."""
RADII = (3.0, 6.0, 10.0, 40.0)
"""Distances from the nucleus in µm that bound the rings of the radial profile."""

ZONE_FEATURES = tuple(f"zone.{zone.name.lower()}" for zone in Zone if zone)
SIDES = ("nucleus", "cytoplasm")
BAND_FEATURES = tuple(f"{side}.{what}{number}" for side in SIDES for what in ("energy", "skew") for number in (1, 2, 3))
CURVE_FEATURES = tuple(f"{side}.{what}" for side in SIDES for what in ("lines", "dots", "holes", "lineness"))
MATCH_FEATURES = (
    *("match.red", "match.blue", "match.yellow", "match.nucleus_blue", "match.cytoplasm_red", "match.cytoplasm_yellow"),
    *("match.fine_nucleus_blue", "match.fine_cytoplasm_red", "match.fine_cytoplasm_yellow"),
)
RANGE_FEATURES = ("nucleus.top", "nucleus.bottom", "cytoplasm.top", "cytoplasm.bottom", "cytoplasm.tip")
TURN_FEATURES = ("turn.coherence", "turn.alignment", "turn.red", "turn.radial")
RADIAL_FEATURES = ("radial.3", "radial.6", "radial.10")
FOCUS_FEATURES = ("focus.core", "focus.ring", "peak.height", "peak.beyond", "peak.focus", "peak.red", "peak.side")
CELL_FEATURES: tuple[str, ...] = (
    *ZONE_FEATURES,
    "share.nucleus",
    *MATCH_FEATURES,
    *BAND_FEATURES,
    *CURVE_FEATURES,
    *RANGE_FEATURES,
    *TURN_FEATURES,
    *RADIAL_FEATURES,
    *FOCUS_FEATURES,
    *SPOT_FEATURES,
)
"""Measures of each cell; "nucleus" and "cytoplasm" exclude the rim between them:

- `zone.…`: log2 of green in a zone (`compartments.Zone`) over green in the cell; `share.nucleus`: share of the cell's
  green within the nucleus.
- `match.…`: correlation of green with a channel, pixel by pixel (0.64 µm), in the whole cell, nucleus or cytoplasm;
  `fine_`: of their structure between 0.3 and 1.3 µm only.
- `energy1…3`: log2 of the standard deviation of green between 0.32 and 0.64, 0.64 and 1.28, 1.28 and 2.56 µm over
  green, minus the shot noise, which is estimated from the band below 0.32 µm; `skew1…3`: skewness of those bands,
  positive for dots on a background, negative for holes.
- `lines`, `dots`, `holes`: log2 of the mean curvature of green across ridges, of bright dots, and of dark ones, over
  green; `lineness`: lines over dots.
- `top`, `bottom`, `tip`: log2 of the 95th percentile over the median, of the median over the 5th, of the 99th over
  the median.
- `turn.coherence`: how strongly the fine structure of the cytoplasm has one direction locally (0–1); `alignment`: over
  the whole cell; `red`: how well it follows red's (−1–1); `radial`: how well it points at the nucleus (−1–1).
- `radial.…`: log2 of green from this distance from the nucleus (µm) to the next one over green in the cytoplasm.
- `focus.core`, `focus.ring`: log2 of green within 1.5 µm, and from 1.5 to 4 µm, of red's focus over the cytoplasm's.
- `peak.height`: log2 of the highest green of the cytoplasm, smoothed by 1.3 µm, over its mean; `beyond`: its distance
  from the nucleus in µm; `focus`: log2 of its distance from red's focus; `red`: red's fine structure there over red;
  `side`: distance of green's centre from the cytoplasm's centre over the cell's radius.
"""


def measure_cells(stack: Stack, zones: Compartments, means: Means) -> NDArray[np.float64]:
    """Measure every cell.

    Args:
        stack: The field.
        zones: Its n cells.
        means: The means of the same cells.

    Returns:
        (n, len(CELL_FEATURES)), NaN for a measure that is not possible.
    """
    if len(zones) == 0:
        return np.zeros((0, len(CELL_FEATURES)))
    green = stack.coarse[GREEN]
    cell, nucleus, cytoplasm = means.over(green, CELL_ZONES, NUCLEAR, OUTER)
    columns: list[NDArray[np.float64]] = [
        *log_ratio(means.by_zone(green)[1:], cell),
        means.counts[list(NUCLEAR)].sum(axis=0) * nucleus / (np.maximum(cell, FAINT) * means.counts[1:].sum(axis=0)),
        *_measure_matches(stack, means),
        *_measure_bands(stack, means, nucleus, cytoplasm),
        *_measure_curvature(stack, means, nucleus, cytoplasm),
        *_measure_ranges(stack, zones),
        *_measure_turns(stack, zones, means),
        *_measure_radial(green, zones, cytoplasm),
        *_measure_focus(stack, zones, cytoplasm),
        *measure_spots(stack.green, stack.wide[GREEN], stack.step, stack.pixel, zones, nucleus, cytoplasm),
    ]
    return np.stack(columns, axis=1)


def _measure_matches(stack: Stack, means: Means) -> list[NDArray[np.float64]]:
    nothing = np.full(means.n, np.nan)
    found: dict[str, NDArray[np.float64]] = {}
    smooth = [means.gather(plane) for plane in stack.smooth]
    fine = [means.gather(plane - wide) for plane, wide in zip(stack.coarse, stack.wide, strict=True)]
    sides = {RED: ("cytoplasm_red", OUTER), BLUE: ("nucleus_blue", NUCLEAR), YELLOW: ("cytoplasm_yellow", OUTER)}
    for channel, (name, side) in sides.items():
        whole, own, small = nothing, nothing, nothing
        if stack.has[channel]:
            whole, own = correlate(means, smooth[GREEN], smooth[channel], CELL_ZONES, side)
            (small,) = correlate(means, fine[GREEN], fine[channel], side)
        found |= {f"match.{name.split('_')[1]}": whole, f"match.{name}": own, f"match.fine_{name}": small}
    return [found[name] for name in MATCH_FEATURES]


def _noise_share(low: float, high: float) -> float:
    """Return the variance of white noise between two blurs (standard deviations in px) over that below the first."""

    def overlap(a: float, b: float) -> float:
        return 1 / (2 * np.pi * max(a * a + b * b, 1 / (2 * np.pi)))

    below = 1 + overlap(low, low) - 2 * overlap(0, low)
    return float((overlap(low, low) + overlap(high, high) - 2 * overlap(low, high)) / max(below, 1e-3))


def _measure_bands(
    stack: Stack, means: Means, nucleus: NDArray[np.float64], cytoplasm: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    """Measure energy and skewness of green by scale, in nucleus and cytoplasm."""
    wide = gaussian_blur(stack.wide[GREEN], np.sqrt(SCALES[3] ** 2 - SCALES[2] ** 2) / (stack.pixel * stack.step))
    second = stack.smooth[GREEN]
    first = stack.green - second.repeat(stack.step, 0).repeat(stack.step, 1)
    noise = means.over(stack.finest, NUCLEAR, OUTER)
    energies: list[list[NDArray[np.float64]]] = [[], []]
    skews: list[list[NDArray[np.float64]]] = [[], []]
    bands = [(first, stack.step), (second - stack.wide[GREEN], 1), (stack.wide[GREEN] - wide, 1)]
    for number, (band, step) in enumerate(bands):
        share = _noise_share(SCALES[number] / stack.pixel, SCALES[number + 1] / stack.pixel)
        if number:  # relative to the noise below the first scale, not below this one
            share *= _variance_below(SCALES[number] / stack.pixel) / _variance_below(SCALES[0] / stack.pixel)
        if step == 1:
            band = means.gather(band)
        square = band * band
        moments = [means.over(block_means(power, step), NUCLEAR, OUTER) for power in (band, square, square * band)]
        for side, level in enumerate((nucleus, cytoplasm)):
            m1, m2, m3 = (moment[side] for moment in moments)
            variance = np.maximum(m2 - m1**2, 1e-10)
            energies[side].append(log_ratio(np.sqrt(np.maximum(variance - share * noise[side], 0)), level))
            skews[side].append((m3 - 3 * m1 * m2 + 2 * m1**3) / variance**1.5)
    return [*energies[0], *skews[0], *energies[1], *skews[1]]


def _variance_below(sigma: float) -> float:
    """Return the variance of white noise of variance 1 that remains below a blur of `sigma` px."""
    return 1 + 1 / (4 * np.pi * max(sigma * sigma, 0.08)) - 2 / max(2 * np.pi * sigma * sigma, 1.0)


def _measure_curvature(
    stack: Stack, means: Means, nucleus: NDArray[np.float64], cytoplasm: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    """Measure lines, dots and holes by the eigenvalues of the Hessian of green, in level per (0.32 µm)²."""
    image = gaussian_blur(stack.green, np.sqrt(CURVED**2 - SCALES[0] ** 2) / stack.pixel)
    scale = np.float32((SCALES[0] / stack.pixel) ** 2)
    padded = np.pad(image, 1, mode="edge")
    middle = 2 * image
    yy = padded[2:, 1:-1] + padded[:-2, 1:-1] - middle
    xx = padded[1:-1, 2:] + padded[1:-1, :-2] - middle
    yx = (padded[2:, 2:] + padded[:-2, :-2] - padded[2:, :-2] - padded[:-2, 2:]) * np.float32(0.25)
    half, root = (yy + xx) * np.float32(0.5), np.sqrt((yy - xx) ** 2 * np.float32(0.25) + yx * yx)
    most, least = half + root, half - root
    dots = np.maximum(-most, 0)
    lines = np.maximum(-least - np.abs(most), 0)
    holes = np.maximum(least, 0)
    found = [means.over(block_means(each, stack.step) * scale, NUCLEAR, OUTER) for each in (lines, dots, holes)]
    columns = []
    for side, level in enumerate((nucleus, cytoplasm)):
        line, dot, hole = (each[side] for each in found)
        ground = np.maximum(level, 0) + FAINT
        columns += [np.log2(each / ground + 1e-3) for each in (line, dot, hole)]
        columns.append(np.log2((line + 1e-5) / (dot + 1e-5)))
    return columns


def _measure_ranges(stack: Stack, zones: Compartments) -> list[NDArray[np.float64]]:
    green, zone, cells = stack.coarse[GREEN].ravel(), zones.zones.ravel(), zones.cells.ravel()
    columns = []
    for side, shares in ((NUCLEAR, (0.95, 0.5, 0.05)), (OUTER, (0.95, 0.5, 0.05, 0.99))):
        at = np.flatnonzero(np.isin(zone, side))
        top, middle, bottom, *tip = compute_quantiles(green[at], cells[at] - 1, len(zones), shares)
        columns += [log_ratio(top, middle), log_ratio(middle, bottom), *(log_ratio(each, middle) for each in tip)]
    return columns


def _measure_turns(stack: Stack, zones: Compartments, means: Means) -> list[NDArray[np.float64]]:
    """Measure directions by the structure tensor, as doubled angles: (cos 2θ, sin 2θ) × energy."""
    sigma = 1.0 / zones.pixel
    red_cos, red_sin, cos, sin = (
        means.gather(gaussian_blur(part, sigma)) for yy, xx, yx in stack.turns for part in (xx - yy, 2 * yx)
    )
    own = means.over(gaussian_blur(stack.turns[1, 1] + stack.turns[1, 0], sigma), OUTER)[0]
    (coherent,) = means.over(np.sqrt(cos * cos + sin * sin), OUTER)
    (c,), (s,) = means.over(cos, OUTER), means.over(sin, OUTER)
    y, x = (means.gather(np.asarray(each)) for each in np.gradient(zones.beyond))
    norm = np.maximum(x * x + y * y, 1e-12)
    # the gradient of green is across its lines: it is turned by 90° for a line that points at the nucleus
    (radial,) = means.over(-(cos * (x * x - y * y) + sin * 2 * x * y) / norm, OUTER)
    (joint,) = means.over((cos * red_cos + sin * red_sin) / (np.sqrt(red_cos**2 + red_sin**2) + 1e-12), OUTER)
    safe, along = np.maximum(own, 1e-12), np.maximum(coherent, 1e-12)
    red = joint / along if stack.has[RED] else np.full(len(zones), np.nan)
    return [coherent / safe, np.hypot(c, s) / along, red, radial / along]


def _measure_radial(
    green: np.ndarray, zones: Compartments, cytoplasm: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    n, cells = len(zones) + 1, zones.cells.ravel()
    ring = np.digitize(zones.beyond.ravel(), RADII)
    region = np.where((ring > 0) & (ring < len(RADII)), ring, 0) * n + cells
    shape = (len(RADII), n)
    count = np.bincount(region, minlength=shape[0] * n).reshape(shape)[1:, 1:]
    total = np.bincount(region, green.ravel(), shape[0] * n).reshape(shape)[1:, 1:]
    level = np.where(count >= MIN_PIXELS, total / np.maximum(count, 1), np.nan)
    return list(log_ratio(level, cytoplasm))


def _measure_focus(stack: Stack, zones: Compartments, cytoplasm: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    n, pixel = len(zones), zones.pixel
    green, wide = stack.coarse[GREEN], stack.wide[GREEN]
    at = np.flatnonzero((zones.cells > 0) & (zones.beyond > 0))
    rows, columns = (each.astype(np.float32) for each in np.divmod(at, green.shape[1]))
    owner, light = zones.cells.ravel()[at] - 1, green.ravel()[at]
    core = ring = np.full(n, np.nan)
    if stack.has[RED]:
        centre = np.nan_to_num(zones.focus, nan=-1e4).astype(np.float32)
        apart = ((rows - centre[owner, 0]) ** 2 + (columns - centre[owner, 1]) ** 2) * np.float32(pixel**2)
        inner, outside = (np.flatnonzero(each) for each in (apart < CORE**2, (apart >= CORE**2) & (apart < RING**2)))
        core, ring = (log_ratio(_mean_of(light[each], owner[each], n, 3), cytoplasm) for each in (inner, outside))
    outer = np.isin(zones.zones.ravel()[at], OUTER)
    at, owner, light = at[outer], owner[outer], light[outer]
    rows, columns = rows[outer], columns[outer]
    best = find_highest(wide.ravel()[at], owner, n)
    known = best >= 0
    y, x = np.divmod(at[np.maximum(best, 0)] if len(at) else np.zeros(n, np.intp), green.shape[1])

    def there(image: np.ndarray) -> NDArray[np.float64]:
        return np.where(known, image[y, x], np.nan)

    apart_peak = np.log2(1 + np.hypot(y - zones.focus[:, 0], x - zones.focus[:, 1]) * pixel)
    red = (there(stack.smooth[RED]) - there(stack.wide[RED])) / (there(stack.wide[RED]) + FAINT)
    nothing = np.full(n, np.nan)
    light = np.maximum(light, 0)
    total = np.bincount(owner, light, n)
    with np.errstate(invalid="ignore", divide="ignore"):
        shift = [np.bincount(owner, light * each, n) / total - _mean_of(each, owner, n) for each in (rows, columns)]
    side = np.hypot(*shift) * pixel / np.sqrt(zones.area / np.pi)
    return [
        core,
        ring,
        log_ratio(there(wide), cytoplasm),
        there(zones.beyond),
        np.where(known, apart_peak, np.nan) if stack.has[RED] else nothing,
        red if stack.has[RED] else nothing,
        side,
    ]


def _mean_of(values: np.ndarray, group: np.ndarray, n: int, least: int = 1) -> NDArray[np.float64]:
    """Return the mean of each of n groups; NaN for fewer than `least` values."""
    count = np.bincount(group, minlength=n)
    return np.where(count >= least, np.bincount(group, values, n) / np.maximum(count, 1), np.nan)
