"""Preprocessing costs less than the network: one field in memory, at 512 and 2048 px, with planes of 8 and 16 bits.

    python benchmarks/preprocessing.py

Per field, in one process, each part in turn: the inputs (scaling, structure, outliers), the statistics and warnings,
the network alone, and the whole call. Claim: statistics and warnings cost less than the network.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import numpy as np

import lociscope
from lociscope.images.extent import make_tiles
from lociscope.images.field import Field
from lociscope.images.quality import InputMeasures, find_warnings
from lociscope.images.statistics import compute_statistics
from lociscope.simulate import simulate_field

if TYPE_CHECKING:
    from collections.abc import Callable

    from lociscope.predict.predictor import Predictor

ROUNDS = 40
SIDES = (512, 2048)


def timed(parts: dict[str, Callable[[], object]]) -> dict[str, float]:
    """The median time of each in ms, all of them in turn in each round."""
    seconds: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(ROUNDS):
        for name, part in parts.items():
            start = time.perf_counter()
            part()
            seconds[name].append(time.perf_counter() - start)
    return {name: round(1000 * float(np.median(each)), 2) for name, each in seconds.items()}


def measure(predictor: Predictor, field: Field) -> dict[str, float]:
    """The parts of one field's prediction."""
    spec = predictor.bundle.card.input
    made_tiles = make_tiles(field, spec)
    tiles, whole = made_tiles.scaled, made_tiles.whole
    prepared = predictor.prepare(field)

    def look() -> object:
        found = InputMeasures(tiles[0])
        return find_warnings(whole, found, spec.height), compute_statistics(whole, found)

    made = timed(
        {
            "inputs": lambda: make_tiles(field, spec),
            "statistics and warnings": look,
            "network": lambda: predictor.run([prepared]),
            "whole call": lambda: predictor.predict(field),
        }
    )
    return made | {"statistics and warnings ÷ network": round(made["statistics and warnings"] / made["network"], 2)}


def main() -> None:
    """Prints the figures."""
    predictor = lociscope.open_bundle()
    small = np.moveaxis(simulate_field(3, seed=1, size=SIDES[0]).pixels, -1, 0)
    figures = {}
    for side in SIDES:
        planes = small.repeat(side // SIDES[0], 1).repeat(side // SIDES[0], 2)
        noise = np.random.default_rng(0).integers(0, 3, planes.shape, np.uint8)
        for bits, pixels in ((8, np.minimum(planes, 252) + noise), (16, (planes.astype(np.uint16) + noise) * 16)):
            field = Field("a", np.moveaxis(pixels, 0, -1), 164 / side)
            figures[f"{side} px, {bits} bits, ms"] = measure(predictor, field)
    print(json.dumps(figures, ensure_ascii=False))


if __name__ == "__main__":
    main()
