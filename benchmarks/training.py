"""How much of the bare step rate a whole training reaches, network by network.

    python benchmarks/training.py [--fields 512] [--rounds 3]

For the shipped recipes of the three experiments, at 128 px and without stages, all layers trained: an epoch of
`lociscope.training.keras_trainer.fit`, after the first, in which everything is compiled, with the recipe's
augmentation, checkpoints, TensorBoard and a validation of one batch, beside as many bare steps of the same compiled
model on a constant batch. `ratio` is the bare steps' time divided by the epoch's, the median of the rounds (each is a
fit of three epochs, and bare steps after it), by wall and by processor time; `fields_s` is the epoch's rate.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf

from lociscope.artifacts.provenance import Provenance
from lociscope.artifacts.recipe import Recipe
from lociscope.data.cache.disk import PreparedField
from lociscope.data.cache.packing import pack
from lociscope.data.datasets import TrainingData
from lociscope.models import build_network
from lociscope.training.keras_trainer import fit
from lociscope.training.stages import compile_stage, get_stages

if TYPE_CHECKING:
    from lociscope.data.cache.fields import PackedFields

SIZE = 128
NETWORKS = ("lenet5", "alexnet", "pretrained")


def noise(folder: Path, fields: int, recipe: Recipe) -> PackedFields:
    """Fields of noise, packed: what they show costs nothing."""
    pixels = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 4), np.uint8)
    simulated = (PreparedField(str(row), str(row), np.roll(pixels, row, 0), (row % 28,)) for row in range(fields))
    return pack(folder, {}, fields, lambda start: simulated, recipe.data.input)


def clocks() -> tuple[float, float]:
    """Wall and processor time."""
    return time.perf_counter(), time.process_time()


def whole(recipe: Recipe, train: PackedFields, valid: PackedFields, folder: Path) -> np.ndarray:
    """Wall and processor seconds of an epoch of a training, the median of all but the first."""
    marks: list[tuple[float, float]] = []
    datasets = TrainingData(train, valid, Provenance("simulated", seed=0))
    fit(recipe, datasets, folder, on_epoch=lambda row: marks.append(clocks()))
    return np.asarray(np.median(np.diff(marks, axis=0), axis=0))


def bare(recipe: Recipe, steps: int) -> np.ndarray:
    """Wall and processor seconds of as many steps on a batch that is already there."""
    if recipe.train.precision != "float32":
        keras.config.set_dtype_policy(recipe.train.precision)
    network = build_network(recipe.network.name, SIZE, recipe.network.options)
    keras.config.set_dtype_policy("float32")
    model = keras.Model(network.input, network.get_layer("logits").output)
    compile_stage(model, get_stages(recipe)[-1], recipe.train, steps)
    shape = (recipe.train.batch, SIZE, SIZE, 4)
    batch = (np.zeros(shape, np.float32), np.zeros((recipe.train.batch, 28), np.float32))
    batches = iter(tf.data.Dataset.from_tensors(batch).cache().repeat())
    model.make_train_function()
    step = model.train_function
    for _ in range(3):
        step(batches)
    started = clocks()
    for _ in range(steps):
        step(batches)
    return np.subtract(clocks(), started)


def measure(name: str, fields: int, rounds: int) -> dict[str, float]:
    """One network's figures."""
    recipe = Recipe.read(name, {"data.size": SIZE, "train.epochs": 3, "stages": [], "train.batch": 32})
    steps, found = fields // recipe.train.batch, []
    with tempfile.TemporaryDirectory() as place:
        train, valid = (noise(Path(place) / part, n, recipe) for part, n in (("train", fields), ("valid", 32)))
        for number in range(rounds):
            spent = whole(recipe, train, valid, Path(place) / f"run{number}")
            found.append((bare(recipe, steps) / spent, spent))
    ratios = np.median([ratio for ratio, _ in found], axis=0)
    return {
        "ratio": round(float(ratios[0]), 3),
        "ratio_processor": round(float(ratios[1]), 3),
        "fields_s": round(fields / statistics.median(float(spent[0]) for _, spent in found), 1),
    }


def main() -> None:
    """Measures the networks and prints JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fields", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    found = {}
    for name in NETWORKS:
        found[name] = measure(name, given.fields, given.rounds)
        print(name, found[name], file=sys.stderr, flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
