"""Explain a prediction: where in the field the evidence for a location is.

A network with the output `evidence` has the map in its graph: its pooled value is the logit (class activation mapping,
Zhou et al., CVPR 2016). Without it, parts of the protein channel are occluded, and the map is the loss of log odds
(Zeiler and Fergus, ECCV 2014). The map of an ensemble is the mean of those of its networks that know the location, by
their weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lociscope.channels import GREEN
from lociscope.decide.logistic import logit
from lociscope.errors import Code, LociscopeError
from lociscope.images.extent import join_tiles, make_tiles
from lociscope.images.scale import resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lociscope.images.field import Field
    from lociscope.predict.engine import Engine
    from lociscope.predict.model import Network
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
        LociscopeError: The pixel size of the field is impossible, or the bundle is of features only.
    """
    if not predictor.shows_evidence:
        raise LociscopeError(
            f"Bundle '{predictor.bundle.folder}' is of features, which need a whole field: it shows no evidence. Use "
            "the bundle of a network.",
            code=Code.INVALID_VALUE,
        )
    prepared = predictor.prepare(field, with_warnings=False)
    found = predictor.run([prepared])
    probability = found.probability[0]
    if locations is None:
        locations = found.predicted[0] or (int(np.nanargmax(probability)),)
    numbers = list(locations)
    assert prepared.whole is not None  # noqa: S101 - `prepare` always sets it
    shown = prepared.whole.pixels
    total = np.zeros((*shown.shape[:2], len(numbers)), np.float32)
    for network in predictor.model.networks:
        pixels, extent = prepared.pixels, shown.shape[:2]
        if network.card.input != predictor.bundle.card.input:
            tiles = make_tiles(field, network.card.input)
            pixels, extent = tiles.pixels, tiles.uncut.shape[:2]
        maps = _map_evidence(network, pixels, extent, numbers)
        total += network.weights[numbers].astype(np.float32) * resize(maps, *shown.shape[:2])
    evidence = total / _strongest(total)
    return Explanation(
        shown,
        [
            Evidence(number, float(probability[number]), np.ascontiguousarray(evidence[..., row]))
            for row, number in enumerate(numbers)
        ],
    )


def _map_evidence(network: Network, tiles: np.ndarray, extent: tuple[int, int], numbers: list[int]) -> np.ndarray:
    """Return the maps of a network (*extent, locations), each 0–1; 0 for a location that it does not know."""
    maps = np.zeros((*extent, len(numbers)), np.float32)
    known = [row for row, number in enumerate(numbers) if number in network.card.classes]
    if not known:
        return maps
    some = [numbers[row] for row in known]
    if "evidence" in network.engine.outputs:
        parts = find_excess(network.engine.run(tiles, ("evidence",))["evidence"][..., some])
    else:
        parts = occlude(network.engine, tiles, some)
    height, width = tiles.shape[1:3]
    whole = join_tiles(np.stack([resize(each, height, width) for each in parts]), extent)
    maps[..., known] = whole / _strongest(whole)
    return maps


def _strongest(maps: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum(maps.max(axis=(0, 1)), 1e-6), np.float32)


def find_excess(evidence: np.ndarray) -> np.ndarray:
    """Return how far evidence (n, h, w, k) is more than a standard deviation above its mean, and 0 elsewhere.

    Mean and deviation are over the positions of all tiles. The pooled value decides a location, but most positions hold
    the same negative background (`research/evidence.py` compares ways to remove it).
    """
    centre = evidence.mean(axis=(0, 1, 2)) + evidence.std(axis=(0, 1, 2))
    return np.asarray(np.maximum(evidence - centre, 0))


def occlude(engine: Engine, tiles: np.ndarray, numbers: list[int]) -> np.ndarray:
    """Return the loss of log odds for each occluded cell: (tiles, OCCLUDED, OCCLUDED, locations)."""
    maps = np.zeros((len(tiles), OCCLUDED, OCCLUDED, len(numbers)), np.float32)
    height, width = tiles.shape[1:3]
    cells = [(row, column) for row in range(OCCLUDED) for column in range(OCCLUDED)]
    for number, tile in enumerate(tiles):
        before = logit(engine.run(tile[None])["probabilities"][0, numbers])
        for start in range(0, len(cells), _BATCH):
            some = cells[start : start + _BATCH]
            occluded = np.repeat(tile[None], len(some), axis=0)
            for view, (row, column) in zip(occluded, some, strict=True):
                top, left = row * height // OCCLUDED, column * width // OCCLUDED
                bottom, right = (row + 1) * height // OCCLUDED, (column + 1) * width // OCCLUDED
                view[top:bottom, left:right, GREEN] = 0
            after = logit(engine.run(occluded)["probabilities"][:, numbers])
            for (row, column), loss in zip(some, before - after, strict=True):
                maps[number, row, column] = np.maximum(loss, 0)
    return maps
