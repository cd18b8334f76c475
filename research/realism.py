"""How far simulated fields differ from real ones: a forest that distinguishes them, and what it uses.

    python research/realism.py [--fields DIR] [--labels CSV] [--simulated N] [--seed S] [--show K]

Real fields are read from `LOCISCOPE_REAL_DATA` (by default `../shared/data` beside the checkout) unless named. Prints
the statistics that differ most, then one line of JSON: for the reference channels and for green the area under the ROC
curve of a forest on their statistics (5-fold cross-validation, 0.5 where they cannot be distinguished) and the mean of
the absolute standardised differences; the median correlations of channels between 0.5 and 1.6 µm; and the medians of
two shapes, defined by `coherence` and `aspects`, the same on both sides.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lociscope.channels import BLUE, CHANNEL_NAMES, GREEN, RED, YELLOW
from lociscope.images.scale import resize
from lociscope.images.segmentation.compartments import Compartments, Zone, find_compartments
from lociscope.images.segmentation.stack import gaussian_blur
from lociscope.simulate import simulate_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PIXEL = 0.32
"""µm per pixel of the competition's fields; simulated ones are taken to have it too, as it is not declared."""
BANDS = (0.0, 0.32, 0.64, 1.28, 2.56, 5.12)
"""Standard deviations in µm between which structure is measured."""
RINGS = (-9.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0, 7.0, 11.0, 40.0)
"""Distances from the nucleus in µm."""
DEPTHS = (0.0, 0.8, 1.6, 3.2, 6.4)
"""Distances from the edge of the cell in µm."""
SMALL = 60
"""Area in pixels of 0.64 µm below which a segmented cell is a fragment."""
PAIRS = ((RED, YELLOW), (RED, GREEN), (YELLOW, GREEN), (BLUE, GREEN))
GRADIENT, WINDOW = 0.48, 1.92
"""Standard deviations in µm of the structure tensor: of the image before its gradient, and of the tensor."""
FINE, BROAD = 0.5, 1.6
"""Standard deviations in µm between which channels are correlated."""


def statistics(pixels: np.ndarray) -> dict[str, float]:
    """Named numbers of one field (y, x, 4) uint8."""
    scaled = np.asarray(pixels, np.float32) / np.float32(255)
    half = pixels.shape[0] // 2
    zones = find_compartments(resize(scaled, half, half), 2 * PIXEL)
    large = {name: np.repeat(np.repeat(getattr(zones, name), 2, 0), 2, 1) for name in ("cells", "zones", "beyond")}
    outer = np.isin(large["zones"], (Zone.PERINUCLEAR, Zone.CYTOPLASM))
    inner = np.isin(large["zones"], (Zone.NUCLEUS, Zone.NUCLEOLI))
    if not len(zones) or outer.sum() < 500 or inner.sum() < 500:
        return {}
    found = dict(_shapes(zones))
    found["red.coherence"] = coherence(scaled[..., RED], outer)
    shapes = aspects(zones.cells)
    found["cell.aspect"] = float(np.median(shapes)) if shapes else float("nan")
    depth = _depth(large["cells"])
    for channel, name in enumerate(CHANNEL_NAMES):
        plane = scaled[..., channel]
        for key, value in _levels(plane, large, depth, outer, inner, channel == BLUE):
            found[f"{name}.{key}"] = value
    found |= _matches(scaled, outer, inner)
    return found


def coherence(red: np.ndarray, where: np.ndarray) -> float:
    """Return how parallel microtubules are: the median coherence of the structure tensor over cytoplasm.

    Args:
        red: (y, x) of one channel at `PIXEL`.
        where: (y, x) bool, the cytoplasm.

    Returns:
        Median of (λ₁ − λ₂) ÷ (λ₁ + λ₂) of the tensor's eigenvalues: 0 where every direction is alike, 1 where all
        lines are parallel.
    """
    smooth = gaussian_blur(np.asarray(red, np.float32), GRADIENT / PIXEL)
    dy, dx = np.gradient(smooth)
    yy, xx, yx = (gaussian_blur(part, WINDOW / PIXEL) for part in (dy * dy, dx * dx, dy * dx))
    return float(np.median((np.sqrt((yy - xx) ** 2 + 4 * yx**2) / (yy + xx + 1e-12))[where]))


def aspects(cells: np.ndarray) -> list[float]:
    """Return the ratio of the axes (of the ellipse of equal moments) of each cell that touches no border.

    Args:
        cells: (y, x) numbers of cells as segmented, 0 between them.
    """
    from skimage.measure import regionprops
    from skimage.segmentation import clear_border

    parts = regionprops(clear_border(cells))
    return [part.axis_major_length / max(part.axis_minor_length, 1.0) for part in parts if part.area > SMALL]


def _depth(cells: np.ndarray) -> np.ndarray:
    from scipy.ndimage import distance_transform_edt

    border = np.zeros(cells.shape, bool)
    border[:-1] |= cells[:-1] != cells[1:]
    border[:, :-1] |= cells[:, :-1] != cells[:, 1:]
    return np.asarray(distance_transform_edt((cells > 0) & ~border) * PIXEL)


def _shapes(zones: Compartments) -> Iterator[tuple[str, float]]:
    """Sizes and outlines of cells and nuclei."""
    from skimage.measure import regionprops

    nuclei = np.where(zones.beyond < 0, zones.cells, 0)
    for name, labels, areas in (("cell", zones.cells, zones.area), ("nucleus", nuclei, zones.nuclear_area)):
        inside = slice(1, -1)
        border = np.zeros(int(labels.max()) + 1, bool)
        for side in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
            border[side] = True
        whole = [part for part in regionprops(labels[inside, inside]) if not border[part.label] and part.area > 20]
        if len(whole) > 2:
            yield f"{name}.solid", float(np.mean([part.solidity for part in whole]))
            yield f"{name}.long", float(np.mean([part.eccentricity for part in whole]))
            yield f"{name}.area", float(np.log2(np.median(areas[areas > 0])))
            yield f"{name}.area_spread", float(np.std(np.log2(areas[areas > 0])))
    yield "cell.cover", float((zones.cells > 0).mean())


def _levels(
    plane: np.ndarray, large: dict[str, np.ndarray], depth: np.ndarray, outer: np.ndarray, inner: np.ndarray, blue: bool
) -> Iterator[tuple[str, float]]:
    """Levels by zone over the level of the zone where the stain is; structure by scale; variation from cell to cell."""
    home = inner if blue else outer
    level = float(plane[home].mean()) + 0.004
    for quantile in (50, 90, 99):
        yield f"level{quantile}", float(np.percentile(plane, quantile))
    yield "zeros", float((plane == 0).mean())
    outside = large["cells"] == 0
    if outside.mean() > 0.02:
        yield "outside", _log(float(plane[outside].mean()) / level)
    yield from _profile("beyond", plane, large["beyond"], RINGS, large["cells"] > 0, level)
    yield from _profile("depth", plane, depth, DEPTHS, (large["cells"] > 0) & (large["beyond"] > 2), level)
    for zone in (Zone.RIM, Zone.EDGE, Zone.CONTACT):
        where = large["zones"] == zone
        if where.sum() > 100:
            yield zone.name.lower(), _log(float(plane[where].mean()) / level)
    previous = plane
    for band, sigma in enumerate(BANDS[1:]):
        smooth = gaussian_blur(plane, sigma / PIXEL)
        part = (previous - smooth)[home]
        spread = float(part.std())
        yield f"energy{band}", _log(spread / level)
        yield f"skew{band}", float(np.mean((part / (spread + 1e-6)) ** 3))
        previous = smooth
    n = int(large["cells"].max()) + 1
    counts = np.bincount(large["cells"][home], minlength=n)[1:]
    means = np.bincount(large["cells"][home], plane[home], n)[1:][counts > 100] / counts[counts > 100]
    yield "cells", float(np.std(np.log2(means + 0.004))) if len(means) > 1 else float("nan")


def _profile(
    name: str, plane: np.ndarray, distance: np.ndarray, borders: tuple[float, ...], where: np.ndarray, level: float
) -> Iterator[tuple[str, float]]:
    number = np.where(where, np.digitize(distance, borders), 0).ravel()
    counts = np.bincount(number, minlength=len(borders) + 1)
    sums = np.bincount(number, plane.ravel(), len(borders) + 1)
    for k in range(1, len(borders)):
        if counts[k] > 100:
            yield f"{name}{borders[k - 1]:g}", _log(float(sums[k] / counts[k]) / level)


def _log(ratio: float) -> float:
    return float(np.log2(ratio + 0.01))


def _matches(scaled: np.ndarray, outer: np.ndarray, inner: np.ndarray) -> dict[str, float]:
    """Correlations of two channels' structure between `FINE` and `BROAD`."""
    bands = [
        gaussian_blur(scaled[..., c], FINE / PIXEL) - gaussian_blur(scaled[..., c], BROAD / PIXEL)
        for c in range(scaled.shape[-1])
    ]
    found = {}
    for one, other in PAIRS:
        home = inner if BLUE in (one, other) else outer
        pair = np.corrcoef(bands[one][home] + 1e-9, bands[other][home])
        found[f"match.{CHANNEL_NAMES[one]}_{CHANNEL_NAMES[other]}"] = float(pair[0, 1])
    return found


def table(pixels: Iterable[np.ndarray]) -> tuple[list[str], np.ndarray]:
    """Names and (fields, statistics); NaN where a field lacks one."""
    rows = [row for row in map(statistics, pixels) if row]
    names = sorted(set().union(*rows))
    return names, np.array([[row.get(name, np.nan) for name in names] for row in rows])


def distinguish(real: np.ndarray, simulated: np.ndarray) -> float:
    """Area under the ROC curve of a forest, cross-validated."""
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    x = np.concatenate([real, simulated])
    x = np.where(np.isfinite(x), x, np.nanmedian(x, axis=0))
    y = np.repeat([1, 0], [len(real), len(simulated)])
    scores = [
        roc_auc_score(
            y,
            cross_val_predict(
                ExtraTreesClassifier(300, min_samples_leaf=2, random_state=seed), x, y, method="predict_proba",
                cv=StratifiedKFold(5, shuffle=True, random_state=seed),
            )[:, 1],
        )
        for seed in range(3)
    ]  # fmt: skip
    return float(np.mean(scores))


def read_real(folder: Path, labels: Path) -> Iterator[np.ndarray]:
    """The pixels of the fields that a table names."""
    from PIL import Image

    for row in csv.DictReader(labels.read_text(encoding="utf-8").splitlines()):
        planes = []
        for name in CHANNEL_NAMES:
            with Image.open(folder / f"{row['Id']}_{name}.png") as picture:
                planes.append(np.asarray(picture))
        yield np.dstack(planes)


def main(words: list[str]) -> int:
    """Measures and prints."""
    data = Path(os.environ.get("LOCISCOPE_REAL_DATA", Path(__file__).parents[2] / "shared" / "data")) / "hpa2018"
    parser = argparse.ArgumentParser(prog="realism.py", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--fields", type=Path, default=data / "train")
    parser.add_argument("--labels", type=Path, default=data / "fields.csv")
    parser.add_argument(
        "--simulated", type=int, default=56, help="how many fields to simulate, each of another specimen"
    )
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--show", type=int, default=20, help="how many of the differences to print")
    given = parser.parse_args(words)
    if not given.labels.is_file():
        print(f"realism: no real fields at '{given.labels}'. Set LOCISCOPE_REAL_DATA to their folder.", file=sys.stderr)
        return 1
    names, real = table(read_real(given.fields, given.labels))
    drawn_names, simulated = table(f.pixels for f in simulate_fields(range(0, 2 * given.simulated, 2), seed=given.seed))
    common = [name for name in names if name in drawn_names]
    real, simulated = real[:, [names.index(n) for n in common]], simulated[:, [drawn_names.index(n) for n in common]]
    spread = np.sqrt((np.nanvar(real, 0) + np.nanvar(simulated, 0)) / 2) + 1e-9
    shift = (np.nanmean(real, 0) - np.nanmean(simulated, 0)) / spread
    of_green = np.array(["green" in name for name in common])
    print(f"{'statistic':24}{'shift':>7}{'real':>9}{'simulated':>11}")
    for at in np.argsort(-np.abs(shift))[: given.show]:
        print(f"{common[at]:24}{shift[at]:7.2f}{np.nanmean(real[:, at]):9.3f}{np.nanmean(simulated[:, at]):11.3f}")
    found: dict[str, float | int] = {"real": len(real), "simulated": len(simulated)}
    for name, chosen in (("reference", ~of_green), ("green", of_green)):
        found[f"{name}_auc"] = round(distinguish(real[:, chosen], simulated[:, chosen]), 3)
        found[f"{name}_shift"] = round(float(np.abs(shift[chosen]).mean()), 3)
    for name in (n for n in common if n.startswith("match") or n in ("red.coherence", "cell.aspect")):
        at = common.index(name)
        found[name], found[f"{name}_real"] = (round(float(np.nanmedian(x[:, at])), 3) for x in (simulated, real))
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
