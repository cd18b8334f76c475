"""Keras, ONNX, training's evaluation and `predict` agree about the same fields.

Claims, on 64 simulated fields: Keras and ONNX differ by at most 1e-5 in a probability; training's `tf.data` evaluation
and `predict` on files differ by at most 1e-4.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np

from lociscope.artifacts.predictions import Predictions
from lociscope.artifacts.provenance import Provenance
from lociscope.artifacts.recipe import Recipe
from lociscope.data.cache.packing import pack, prepare_catalog
from lociscope.data.datasets import TrainingData
from lociscope.data.importing import import_folder
from lociscope.data.pipeline.dataset import evaluation_batches
from lociscope.images.discovery.sources import read_catalog_sources
from lociscope.models import load_network
from lociscope.predict.batch import predict_to_file
from lociscope.predict.output import OutputOptions
from lociscope.predict.predictor import open_bundle
from lociscope.simulate.atlas import write_atlas
from lociscope.training.export import export_bundle
from lociscope.training.keras_trainer import fit

FIELDS = 64


def main() -> None:
    """Trains LeNet-5 for an epoch on files, exports it, compares, and prints JSON."""
    recipe = Recipe.read("lenet5", {"train.epochs": 1, "train.batch": 16, "data.size": 128})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        atlas = write_atlas(folder / "atlas", fields=FIELDS, size=512, seed=9)
        # As the competition's files: nothing declares a pixel size. A field that declares more than the network's
        # 164 µm is trained on by its middle part and predicted by the mean over parts, so the two differ there.
        catalog = import_folder(atlas / "train", atlas / "train.csv", folder)[0]
        spec = recipe.data.input
        packed = pack(folder / "packed", {}, FIELDS, lambda start: prepare_catalog(catalog, spec, start=start), spec)
        source = Provenance("simulated", fields=len(packed), seed=0)
        run = fit(recipe, TrainingData(packed, packed, source), folder / "run")
        difference = export_bundle(run, folder / "bundle", "benchmark", "Apache-2.0")
        network = load_network(run.best_model)
        in_training = np.concatenate(
            [np.asarray(network(x, training=False)["probabilities"]) for x, _ in evaluation_batches(packed, 16)]
        )
        predictor = open_bundle(folder / "bundle")
        predict_to_file(predictor, read_catalog_sources(catalog), folder / "out.parquet", OutputOptions())
        predicted = Predictions.read(folder / "out.parquet")
        rows = [predicted.ids.index(name) for name in packed.ids]
        apart = np.abs(predicted.probability[rows] - in_training)
        inputs = np.asarray(packed.x)
        on_fields = np.abs(predictor.engine.run(inputs)["probabilities"] - in_training).max()
    found = {
        "fields": FIELDS,
        "Keras and ONNX, on random inputs": difference,
        "Keras and ONNX, on fields": float(on_fields),
        "tf.data and predict, on files": float(apart.max()),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
