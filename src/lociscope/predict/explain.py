"""Explain a prediction: where in the field the evidence for a location is.

A network with the output `evidence` has the map in its graph: its pooled value is the logit (class activation mapping,
Zhou et al., CVPR 2016). Without it, parts of the protein channel are occluded, and the map is the loss of log odds
(Zeiler and Fergus, ECCV 2014).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lociscope.channels import GREEN
from lociscope.decide.locations import decide_locations
from lociscope.decide.logistic import logit
from lociscope.images.extent import join_tiles, make_tiles
from lociscope.images.scale import resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lociscope.images.field import Field
    from lociscope.predict.predictor import Predictor

OCCLUDED = 8
"""Cells per side that are occluded one by one."""

_BATCH = 32


class Evidence(NamedTuple):
    """The evidence for one location.

    Attributes:
        location: The class number.
        probability: Its probability, 0–1.
        map: (height, width) float32 over the pixels of the network's input, 0–1; 1 where the evidence is strongest, and
            0 everywhere where there is none.
    """

    location: int
    probability: float
    map: np.ndarray


class Explanation(NamedTuple):
    """The evidence in a field.

    Attributes:
        pixels: (height, width, 4) of uint8: the field as the network sees it, without padding.
        evidence: Of each location that was asked for.
    """

    pixels: np.ndarray
    evidence: list[Evidence]


def explain_field(predictor: Predictor, field: Field, locations: Sequence[int] | None = None) -> Explanation:
    """Return where the evidence for locations is.

    Args:
        predictor: The model.
        field: The field.
        locations: Class numbers; None for the predicted ones, or the most probable one if none is predicted.

    Raises:
        LociscopeError: The pixel size of the field is impossible.
    """
    tiles = make_tiles(field, predictor.bundle.card.input)
    outputs = ("probabilities", "evidence") if "evidence" in predictor.engine.outputs else ("probabilities",)
    found = predictor.engine.run(tiles.pixels, outputs)
    if predictor.bundle.card.kind == "network":
        probability = predictor.calibrate(found["probabilities"].mean(axis=0)[None])[0]
    else:
        probability = predictor.run([predictor.prepare(field, with_warnings=False)]).probability[0]
    if locations is None:
        predicted, _ = decide_locations(probability[None], np.asarray(predictor.bundle.card.decide.thresholds))
        locations = predicted[0] or (int(np.nanargmax(probability)),)
    numbers = list(locations)
    if "evidence" in found:
        maps = find_excess(found["evidence"][..., numbers])
    else:
        maps = occlude(predictor, tiles.pixels, numbers)
    height, width = tiles.pixels.shape[1:3]
    whole = join_tiles(np.stack([resize(each, height, width) for each in maps]), tiles.whole.pixels.shape[:2])
    strongest = np.maximum(whole.max(axis=(0, 1)), 1e-6)
    return Explanation(
        tiles.whole.pixels,
        [
            Evidence(number, float(probability[number]), (whole[..., row] / strongest[row]).astype(np.float32))
            for row, number in enumerate(numbers)
        ],
    )


def find_excess(evidence: np.ndarray) -> np.ndarray:
    """Return how far evidence (n, h, w, k) is more than a standard deviation above its mean, and 0 elsewhere.

    Mean and deviation are over the positions of all tiles. The pooled value decides a location, but most positions hold
    the same negative background (`research/evidence.py` compares ways to remove it).
    """
    centre = evidence.mean(axis=(0, 1, 2)) + evidence.std(axis=(0, 1, 2))
    return np.asarray(np.maximum(evidence - centre, 0))


def occlude(predictor: Predictor, tiles: np.ndarray, numbers: list[int]) -> np.ndarray:
    """Return the loss of log odds for each occluded cell: (tiles, OCCLUDED, OCCLUDED, locations)."""
    maps = np.zeros((len(tiles), OCCLUDED, OCCLUDED, len(numbers)), np.float32)
    height, width = tiles.shape[1:3]
    cells = [(row, column) for row in range(OCCLUDED) for column in range(OCCLUDED)]
    for number, tile in enumerate(tiles):
        before = logit(predictor.engine.run(tile[None])["probabilities"][0, numbers])
        for start in range(0, len(cells), _BATCH):
            some = cells[start : start + _BATCH]
            occluded = np.repeat(tile[None], len(some), axis=0)
            for view, (row, column) in zip(occluded, some, strict=True):
                top, left = row * height // OCCLUDED, column * width // OCCLUDED
                bottom, right = (row + 1) * height // OCCLUDED, (column + 1) * width // OCCLUDED
                view[top:bottom, left:right, GREEN] = 0
            after = logit(predictor.engine.run(occluded)["probabilities"][:, numbers])
            for (row, column), loss in zip(some, before - after, strict=True):
                maps[number, row, column] = np.maximum(loss, 0)
    return maps
