"""Cells are found, and each is predicted: on simulated cells of known outline and location, and on real ones.

    python benchmarks/cells.py [--bundle DIR] [--fields 40] [--real FOLDER] [--first FIELD]

Claims: F1 at an overlap (IoU) above 0.5 is at least 0.90 with the simulator's cells of 40 µm² or more, also of those
whose nucleus is in the field (`with_nucleus`; the masks of the 2021 challenge have only such cells). `count_error` is
the mean over fields of |found − true| / true.

The location of a cell is scored by the mean reciprocal rank (`mrr`) of its most probable true location and by label
ranking average precision (`lrap`); `within_field` is the area under the ROC curve between the cells of one field that
show a location and those that do not, which only a prediction per cell can exceed 0.5 in. Compared are the field's
answer for all its cells, each cell's crop alone, the evidence map pooled over each cell, and the shipped way: the crop,
shrunk towards the field. On simulated fields the true outlines are used; on real mosaics of single cells (`cells/` of
the real data, several cells of one location on black) the cells are found. `seconds_per_cell` is on one core.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from lociscope.channels import CHANNEL_NAMES
from lociscope.decide.logistic import logit
from lociscope.decide.metrics import lrap
from lociscope.images.extent import make_tiles
from lociscope.images.field import Field
from lociscope.images.segmentation.cells import find_cells
from lociscope.images.segmentation.geometry import measure_geometry
from lociscope.labels import N_LABELS
from lociscope.predict.cell_source import SegmentedField, segment_field
from lociscope.predict.cells import crop_cells, fill_input, shrink
from lociscope.predict.predictor import Predictor, open_bundle
from lociscope.simulate import simulate_field

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lociscope.simulate.field import SimulatedField

REAL = Path(os.environ.get("LOCISCOPE_REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))
SEED = 20261130
MIN_AREA = 40.0
"""Area in µm² of the smallest true cell that counts; less is an edge of a cell beyond the field."""
MIN_NUCLEUS = 14.0
"""Area in µm² of the smallest nucleus that counts."""


class Matches(NamedTuple):
    """Objects of one field that overlap, that were found, and that are true."""

    hits: int
    found: int
    true: int


class Scored(NamedTuple):
    """Truth (cells, 28) and, by method, log odds (cells, 28) of one field."""

    truth: np.ndarray
    odds: dict[str, np.ndarray]


def match(found: np.ndarray, truth: np.ndarray, counted: np.ndarray) -> Matches:
    """Match objects at an overlap above 0.5; what matches a true object that does not count is ignored.

    Args:
        found: (y, x) labels.
        truth: (y, x) labels, up to n.
        counted: (n,) whether a true object counts.
    """
    pairs = np.zeros((int(found.max()) + 1, len(counted) + 1))
    np.add.at(pairs, (found.ravel(), truth.ravel().astype(int)), 1)
    rows, columns = pairs.sum(axis=1), pairs.sum(axis=0)
    hits = (pairs / np.maximum(rows[:, None] + columns[None] - pairs, 1) > 0.5)[1:, 1:]
    ignored = hits[:, ~counted].any(axis=1).sum()
    return Matches(int(hits[:, counted].any(axis=0).sum()), int((rows[1:] > 0).sum() - ignored), int(counted.sum()))


def f1(matches: list[Matches]) -> dict[str, float]:
    """Return F1 over all fields, and the mean error of the count."""
    hits, found, true = (sum(each) for each in zip(*matches, strict=True))
    errors = [abs(each.found - each.true) / each.true for each in matches if each.true]
    return {"f1": round(2 * hits / (found + true), 4), "count_error": round(float(np.mean(errors)), 4), "cells": true}


def score_segmentation(fields: list[SimulatedField]) -> dict[str, object]:
    """Compare the cells that are found with the simulator's."""
    every, nucleated, nuclei = [], [], []
    for field in fields:
        found = find_cells(field.pixels, field.pixel_size, parts=True)
        n = max(int(field.cells.max()), int(field.nuclei.max()))
        areas, nuclear = (
            np.bincount(labels.ravel(), minlength=n + 1)[1:] * field.pixel_size**2
            for labels in (field.cells, field.nuclei)
        )
        every.append(match(found.cells, field.cells, areas >= MIN_AREA))
        nucleated.append(match(found.cells, field.cells, nuclear >= MIN_NUCLEUS))
        nuclei.append(match(found.nuclei, field.nuclei, nuclear >= MIN_NUCLEUS))
    return {"all": f1(every), "with_nucleus": f1(nucleated), "nuclei": f1(nuclei)}


def score_masks(folder: Path) -> dict[str, float]:
    """Compare the cells that are found with the masks of the 2021 challenge."""
    matches = []
    for mask in sorted((folder / "hpa2021" / "masks").glob("*_predictedmask.png")):
        name = mask.name.removesuffix("_predictedmask.png")
        pixels = read_planes([folder / "hpa2021" / "train" / f"{name}_{c}.png" for c in CHANNEL_NAMES])
        truth = np.asarray(Image.open(mask).resize(pixels.shape[1::-1], Image.Resampling.NEAREST)).astype(int)
        found = find_cells(pixels, 0.08, parts=True)
        with_nucleus = np.isin(found.cells, np.unique(found.nuclei)) * found.cells
        areas = np.bincount(truth.ravel())[1:]
        matches.append(match(with_nucleus[::4, ::4], truth[::4, ::4], areas > 0))
    return f1(matches)


def read_planes(paths: list[Path]) -> np.ndarray:
    """Read four grey pictures as (y, x, 4)."""
    return np.stack([np.asarray(Image.open(path).convert("L")) for path in paths], axis=-1)


def score_cells(predictor: Predictor, segmented: SegmentedField, truth: np.ndarray) -> Scored:
    """Predict the cells of a field by every method."""
    spec = predictor.bundle.card.input
    run = predictor.engine.run
    tiles = make_tiles(segmented.field, spec).pixels
    answer = run(tiles)["probabilities"].mean(axis=0)
    crops = crop_cells(segmented.scaled, segmented.labels, segmented.geometry)
    own = np.concatenate([run(fill_input(crop, spec.height, spec.width)[None])["probabilities"] for crop, _ in crops])
    odds = {
        "field": np.repeat(logit(answer)[None], len(own), axis=0),
        "crop": logit(own),
        "shrunk": logit(shrink(answer, own)),
    }
    if "evidence" in predictor.engine.outputs and len(tiles) == 1 and tiles.shape[1:3] == segmented.scaled.shape[:2]:
        odds["evidence"] = pool_evidence(run(tiles, ("evidence",))["evidence"][0], segmented)
    return Scored(truth, odds)


def pool_evidence(evidence: np.ndarray, segmented: SegmentedField) -> np.ndarray:
    """Return the mean evidence over each cell, (cells, 28), each position weighted by the cell's share of it."""
    shape, labels = evidence.shape[:2], segmented.labels
    rows, columns = (np.arange(side) * n // side for side, n in zip(labels.shape, shape, strict=True))
    position = rows[:, None] * shape[1] + columns
    index = np.searchsorted(segmented.geometry.number, labels.ravel())
    inside = labels.ravel() > 0
    weight = np.zeros((len(segmented.geometry), shape[0] * shape[1]))
    np.add.at(weight, (index[inside], position.ravel()[inside]), 1)
    pooled: np.ndarray = weight @ evidence.reshape(-1, N_LABELS) / weight.sum(axis=1, keepdims=True)
    return pooled


def simulated_cells(fields: list[SimulatedField]) -> Iterator[tuple[Field, np.ndarray, np.ndarray]]:
    """Yield fields, the true outlines of their cells with nucleus, and the labelled locations that each shows."""
    for field in fields:
        if not field.target:
            continue
        nuclear = measure_geometry(field.cells, field.pixel_size, field.nuclei)
        shown = {cell.cell: cell.strengths for cell in field.table}
        kept = [
            int(number)
            for number, area in zip(nuclear.number, nuclear.nucleus_area, strict=True)
            if area >= MIN_NUCLEUS and any(shown[int(number)][location] > 0 for location in field.target)
        ]
        truth = np.zeros((len(kept), N_LABELS))
        for row, number in enumerate(kept):
            truth[row, [location for location in field.target if shown[number][location] > 0]] = 1
        yield (
            Field(field.id, field.pixels, field.pixel_size),
            np.where(np.isin(field.cells, kept), field.cells, 0),
            truth,
        )


def summarize(scored: list[Scored]) -> dict[str, object]:
    """Return the scores of each method."""
    methods: dict[str, object] = {}
    for method in dict.fromkeys(name for each in scored for name in each.odds):
        use = [each for each in scored if method in each.odds]
        truth = np.concatenate([each.truth for each in use])
        odds = np.concatenate([each.odds[method] for each in use])
        ranks = (-odds).argsort(axis=1).argsort(axis=1) + 1
        best = np.where(truth > 0, ranks, np.inf).min(axis=1)
        areas = [area for each in use for area in areas_within(each.truth, each.odds[method])]
        methods[method] = {
            "mrr": round(float((1 / best).mean()), 3),
            "lrap": round(float(lrap(truth, odds)), 3),
            **({"within_field": round(float(np.mean(areas)), 3)} if areas else {}),
            "cells": len(truth),
        }
    return methods


def areas_within(truth: np.ndarray, odds: np.ndarray) -> Iterator[float]:
    """Yield the area under the ROC curve of each location that some cells of a field show, and at least two do not."""
    for location in range(N_LABELS):
        shows = truth[:, location] > 0
        if min(shows.sum(), (~shows).sum()) >= 2:
            yes, no = odds[shows, location], odds[~shows, location]
            yield float(((yes[:, None] > no).mean() + (yes[:, None] >= no).mean()) / 2)


def real_cells(folder: Path) -> Iterator[tuple[Field, tuple[int, ...]]]:
    """Yield mosaics of real single cells, and their location."""
    with (folder / "cells" / "fields.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            pixels = read_planes([folder / "cells" / f"{row['Id']}_{name}.jpg" for name in CHANNEL_NAMES])
            yield Field(row["Id"], pixels, 0.16), tuple(map(int, row["Target"].split()))


def score_locations(predictor: Predictor, fields: list[SimulatedField], folder: Path) -> dict[str, object]:
    """Score the locations of simulated and, where there are some, of real cells."""
    spec = predictor.bundle.card.input
    started = time.perf_counter()
    simulated = [
        score_cells(predictor, segment_field(field, spec, labels.astype(np.int32)), truth)
        for field, labels, truth in simulated_cells(fields)
        if len(truth)
    ]
    cells = sum(len(each.truth) for each in simulated)
    found: dict[str, object] = {"seconds_per_cell": round((time.perf_counter() - started) / cells, 4)}
    found["simulated"] = summarize(simulated)
    if (folder / "cells").is_dir():
        real = []
        for field, target in real_cells(folder):
            segmented = segment_field(field, spec)
            truth = np.zeros((len(segmented.geometry), N_LABELS))
            truth[:, target] = 1
            real.append(score_cells(predictor, segmented, truth))
        found["real"] = summarize(real)
    return found


def main() -> None:
    """Find and predict the cells, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, help="another bundle than the shipped one")
    parser.add_argument("--fields", type=int, default=40, help="simulated fields, one of each specimen")
    parser.add_argument("--first", type=int, default=0, help="number of the first simulated field")
    parser.add_argument("--real", type=Path, default=REAL, help="folder of the real data")
    wanted = parser.parse_args()
    fields = [
        simulate_field(wanted.first + 2 * index, seed=SEED, size=512, balance=0.5) for index in range(wanted.fields)
    ]
    result: dict[str, object] = {"fields": len(fields), "found": score_segmentation(fields)}
    if (wanted.real / "hpa2021" / "masks").is_dir():
        result["found_2021"] = score_masks(wanted.real)
    result["locations"] = score_locations(open_bundle(wanted.bundle, threads=1), fields, wanted.real)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
