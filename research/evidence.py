"""Is the evidence for a location where the protein is? Evidence maps and Grad-CAM on simulated truth masks.

    python research/evidence.py BUNDLE [--keras RUN/best.keras] [--per-class 3]

For each class, fields are simulated with that location alone. Of a map, the score is (energy inside the mask, dilated
by one cell of the map, − the mask's share of the area) ÷ (1 − that share): 1 where all evidence is inside, 0 where it
is spread evenly. Means over fields, then the median over classes. Beside the map of `lociscope.predict.explain`:
occlusion, and, with `--keras`, Grad-CAM (Selvaraju et al., ICCV 2017) of the network before export.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.ndimage import maximum_filter

from lociscope.images.extent import make_tiles
from lociscope.images.field import Field
from lociscope.labels import LABELS, N_LABELS
from lociscope.predict.explain import find_excess, occlude
from lociscope.predict.predictor import Predictor, open_bundle
from lociscope.simulate import simulate_field
from lociscope.simulate.field import FIELDS_PER_SPECIMEN

Explain = Callable[[Predictor, np.ndarray, int], np.ndarray]
"""(model, pixels of one input (height, width, 4) uint8, class number) → map (h, w), not negative."""

SEED = 31
MOST_COVERED = 0.999
"""A mask that covers more than this after dilation says nothing."""


def score_map(evidence: np.ndarray, mask: np.ndarray) -> float:
    """Return the score of a map (h, w) for a mask (y, x); NaN where the mask covers the field."""
    size = mask.shape[0] // evidence.shape[0]
    dilated = maximum_filter(mask, size=2 * size + 1)
    share = float(dilated.mean())
    if share > MOST_COVERED:
        return float("nan")
    rows, columns = evidence.shape
    inside = dilated[: rows * size, : columns * size].reshape(rows, size, columns, size).mean(axis=(1, 3))
    energy = float((evidence * inside).sum() / max(float(evidence.sum()), 1e-9))
    return (energy - share) / (1 - share)


def explain_with_graph(predictor: Predictor, tile: np.ndarray, location: int) -> np.ndarray:
    """Return the map that `lociscope predict --explain` shows."""
    evidence = predictor.engine.run(tile[None], ("evidence",))["evidence"][..., [location]]
    return np.asarray(find_excess(evidence)[0, ..., 0])


def explain_with_occlusion(predictor: Predictor, tile: np.ndarray, location: int) -> np.ndarray:
    """Return the map of a network without evidence."""
    return occlude(predictor.engine, tile[None], [location])[0, ..., 0]


def make_grad_cam(path: Path) -> Explain:
    """Return Grad-CAM of a Keras network at the features before its head."""
    import keras
    import tensorflow as tf

    from lociscope.models import load_network

    network = load_network(path)
    features = network.get_layer("embedding").input
    both = keras.Model(network.input, [features, network.get_layer("logits").output])

    def explain(_: Predictor, tile: np.ndarray, location: int) -> np.ndarray:
        pixels = tf.constant(tile[None].astype(np.float32) / 255)
        with tf.GradientTape() as tape:
            tape.watch(pixels)
            maps, logits = both(pixels, training=False)
            logit = logits[:, location]
        slope = tape.gradient(logit, maps)
        weights = tf.reduce_mean(slope, axis=(1, 2), keepdims=True)
        return np.asarray(np.maximum(tf.reduce_sum(weights * maps, axis=-1).numpy()[0], 0))

    return explain


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description="Share of the evidence inside the truth masks.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--keras", type=Path, help="best.keras of the Run that was exported")
    parser.add_argument("--per-class", type=int, default=3, help="fields of each class")
    given = parser.parse_args()
    predictor = open_bundle(given.bundle, 1)
    ways: dict[str, Explain] = {"evidence": explain_with_graph, "occlusion": explain_with_occlusion}
    if given.keras is not None:
        ways["Grad-CAM"] = make_grad_cam(given.keras)
    scores: dict[str, dict[int, list[float]]] = {way: {number: [] for number in range(N_LABELS)} for way in ways}
    for location in range(N_LABELS):
        for number in range(given.per_class):
            index = FIELDS_PER_SPECIMEN * (number * N_LABELS + location)
            made = simulate_field(index, seed=SEED, locations=[location])
            tile = make_tiles(Field(made.id, made.pixels, made.pixel_size), predictor.bundle.card.input).pixels[0]
            for way, explain in ways.items():
                scores[way][location].append(score_map(explain(predictor, tile, location), made.locations[location]))
    report(scores)


def _mean(scores: list[float]) -> float:
    known = [score for score in scores if np.isfinite(score)]
    return float(np.mean(known)) if known else float("nan")


def report(scores: dict[str, dict[int, list[float]]]) -> None:
    """Print a Markdown table by class, and JSON with the medians."""
    means = {way: [_mean(rows) for rows in of.values()] for way, of in scores.items()}
    print(f"| class | {' | '.join(means)} |\n|---|{'---|' * len(means)}")
    for number, name in enumerate(LABELS):
        print(f"| {name} | {' | '.join(f'{of[number]:.2f}' for of in means.values())} |")
    print(json.dumps({way: round(float(np.nanmedian(of)), 3) for way, of in means.items()}))


if __name__ == "__main__":
    main()
