"""Does a small head over compartment features, taught by the observer, read real cells, and what does it add?

    python research/distillation.py prepare OUT [--fields 1800] [--workers 2]
    python research/distillation.py heads OUT [--shares 0 0.33 0.6 0.8] [--seeds 4]

`prepare` simulates fields of 512 px (class balance 0.5), and stores for each its labels, the network's input of 256 px,
the compartment features of that input, and what the observer (`observer.py`) answers on one random crop of 1024 px of
the field enlarged to 2048 px. It can be interrupted and given again. `heads` fits a dense layer of 192 with noise and
dropout from features to 28 locations, for each share of the observer's answer in the targets of its 12 classes
(target = (1 − share) · label + share · answer), and scores it on the shared real fields and dictionary pictures as
`real_fields.py` does: alone, and as the mean of its logits and those of the shipped bundle, with paired intervals of
the gain over the bundle. No network sees a real image here.

Needs the extras `train` and the real data in `LOCISCOPE_REAL_DATA`.
"""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from observer import CROP, JUDGED, ORDER, REAL, SIDE, Observer, enlarge  # type: ignore[import-not-found]
from real_fields import (  # type: ignore[import-not-found]
    MEASURED,
    PRIORS,
    read_dictionary,
    read_fields,
    views_of,
)

from lociscope.artifacts.label_table import read_labels
from lociscope.artifacts.recipe import Data
from lociscope.decide.intervals import paired_bootstrap
from lociscope.decide.logistic import logit, sigmoid
from lociscope.decide.matching import match_rates
from lociscope.images.preprocess import prepare
from lociscope.images.segmentation.features import compute_features
from lociscope.labels import to_multi_hot
from lociscope.predict.predictor import open_bundle
from lociscope.processes.workers import map_in_order
from lociscope.simulate import simulate_field
from lociscope.storage.atomic import atomic_write

SEED, SIZE = 2020, 512
INPUT = Data(size=256).input
PER_FILE = 50
"""Fields that one file holds, and that an interruption loses at most."""
LIMIT = 3.0
"""Standardised features are clipped to ± this."""
UNITS, NOISE, DROPOUT, EPOCHS, BATCH = 192, 0.2, 0.3, 60, 64
LEVEL = 0.9


# === Simulated fields with the observer's answers ===


class Measured(NamedTuple):
    """One simulated field: input (256, 256, 4), labels (28,), features, and a crop for the observer."""

    x: np.ndarray
    y: np.ndarray
    features: np.ndarray
    crop: np.ndarray


def measure(index: int) -> Measured:
    """Simulate one field and measure what needs no observer."""
    field = simulate_field(index, seed=SEED, size=SIZE, balance=0.5)
    x = prepare(field.pixels, INPUT)
    side = SIZE * CROP // SIDE
    top, left = np.random.default_rng([7, index]).integers(0, SIZE - side + 1, 2)
    crop = field.pixels[top : top + side, left : left + side]
    return Measured(x, to_multi_hot([field.target])[0], compute_features(x), crop)


def ask(observer: Observer, crop: np.ndarray) -> np.ndarray:
    """Return the observer's probabilities of its 12 classes on a crop of 256 px, enlarged to 1024 px."""
    tiled = np.tile(crop[..., ORDER], (SIZE // len(crop), SIZE // len(crop), 1))
    large = enlarge(tiled)[:CROP, :CROP]
    scaled = (large - large.mean(axis=(0, 1))) / (large.std(axis=(0, 1)) + 1e-7)
    said, _ = observer._run(scaled[None])  # noqa: SLF001 - one crop, not a field
    return np.asarray(said)[0, : len(JUDGED)]


def prepare_fields(folder: Path, fields: int, workers: int) -> None:
    """Simulate, measure and store the fields that are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    observer = Observer(REAL / "observer")
    for start in range(0, fields, PER_FILE):
        path = folder / f"{start:06d}.npz"
        if path.is_file():
            continue
        rows = list(map_in_order(measure, range(start, min(fields, start + PER_FILE)), workers))
        arrays: dict[str, Any] = {
            name: np.stack([getattr(row, name) for row in rows]) for name in ("x", "y", "features")
        }
        arrays["answers"] = np.stack([ask(observer, row.crop) for row in rows])
        with atomic_write(path) as part, part.open("wb") as file:
            np.savez_compressed(file, **arrays)
        print(f"{path.name}: {start + len(rows)} of {fields}", flush=True)


# === Heads ===


def standardize(features: np.ndarray, mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Return features centred, scaled and clipped; 0 where unknown."""
    return np.asarray(np.nan_to_num(np.clip((features - mean) / spread, -LIMIT, LIMIT)), np.float32)


def fit_head(inputs: np.ndarray, targets: np.ndarray, seed: int) -> Any:  # noqa: ANN401 - a Keras model
    """Fit one hidden layer from standardised features to logits of the 28 locations."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    given = keras.Input((inputs.shape[1],))
    hidden = layers.Dropout(DROPOUT)(layers.Dense(UNITS, activation="relu")(layers.GaussianNoise(NOISE)(given)))
    model = keras.Model(given, layers.Dense(targets.shape[1])(hidden))
    rate = keras.optimizers.schedules.CosineDecay(3e-3, len(inputs) // BATCH * EPOCHS)
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=1e-2),
        keras.losses.BinaryCrossentropy(from_logits=True),
        jit_compile=False,
    )
    model.fit(inputs, targets, batch_size=BATCH, epochs=EPOCHS, verbose=0)
    return model


def read_real(predict: Any) -> list[Any]:  # noqa: ANN401 - real_fields.Predict and its sets
    """Predict the shared real fields and the dictionary pictures, by the function of `real_fields.py`."""
    labels = read_labels(REAL / "hpa2018" / "fields.csv")
    return [read_fields(REAL / "hpa2018" / "train", labels, predict), read_dictionary(REAL / "hpa_dictionary", predict)]


def predict_views(run: Any, pixels: np.ndarray, size: float | None) -> np.ndarray:  # noqa: ANN401 - (n, …) → (n, 28)
    """Return the mean answer over the views that cover a picture."""
    views = [pixels] if size is None else views_of(pixels, size, INPUT.field_um)
    return np.asarray(run(np.stack([prepare(view, INPUT) for view in views])).mean(axis=0))


def report(name: str, sets: list[Any], base: list[Any]) -> None:
    """Print four scores, each with its paired gain over the bundle."""
    parts = []
    for kind, of, shipped in zip(MEASURED, sets, base, strict=True):
        for metric_name, metric in MEASURED[kind].items():
            ours, theirs = (match_rates(each.raw, PRIORS[kind]) for each in (of, shipped))
            gain = paired_bootstrap(metric, of.truth, ours, theirs, n=2000, level=LEVEL)
            parts.append(f"{metric_name} {float(metric(of.truth, ours)):.3f} (gain {gain})")
    print(f"{name:28} " + " · ".join(parts), flush=True)


def compare_heads(folder: Path, shares: list[float], seeds: int) -> None:
    """Fit heads on the stored fields and score them on real ones."""
    files = [np.load(path) for path in sorted(folder.glob("*.npz"))]
    y, features, answers = (np.concatenate([each[name] for each in files]) for name in ("y", "features", "answers"))
    mean, spread = np.nanmean(features, axis=0), np.nanstd(features, axis=0) + 1e-6
    inputs = standardize(features, mean, spread)
    engine = open_bundle().engine
    base = read_real(partial(predict_views, lambda x: engine.run(x, ("probabilities",))["probabilities"]))
    print(f"{len(y)} simulated fields")
    report("shipped bundle", base, base)
    measured: dict[bytes, np.ndarray] = {}

    def measure_once(x: np.ndarray) -> np.ndarray:
        key = x.tobytes()
        if key not in measured:
            measured[key] = compute_features(x)
        return measured[key]

    for share in shares:
        targets = y.astype(np.float32)
        targets[:, JUDGED] = (1 - share) * targets[:, JUDGED] + share * answers
        heads = [fit_head(inputs, targets, seed) for seed in range(seeds)]

        def run(x: np.ndarray, heads: list[Any] = heads) -> np.ndarray:
            known = standardize(np.stack([measure_once(each) for each in x]), mean, spread)
            return sigmoid(np.stack([np.asarray(head(known), np.float64) for head in heads]).mean(axis=0))

        alone = read_real(partial(predict_views, run))
        both = [
            each._replace(raw=sigmoid((logit(each.raw) + logit(of.raw)) / 2))
            for each, of in zip(alone, base, strict=True)
        ]
        report(f"features, share {share:g}", alone, base)
        report(f"features, share {share:g}, and bundle", both, base)


def main(words: list[str]) -> int:
    """Prepare fields, or compare heads."""
    parser = argparse.ArgumentParser(prog="distillation.py", description=__doc__.split("\n", 1)[0])
    commands = parser.add_subparsers(dest="command", required=True)
    first = commands.add_parser("prepare")
    first.add_argument("out", type=Path)
    first.add_argument("--fields", type=int, default=1800)
    first.add_argument("--workers", type=int, default=2)
    second = commands.add_parser("heads")
    second.add_argument("out", type=Path)
    second.add_argument("--shares", type=float, nargs="+", default=[0, 0.33, 0.6, 0.8])
    second.add_argument("--seeds", type=int, default=4)
    given = parser.parse_args(words)
    if given.command == "prepare":
        prepare_fields(given.out, given.fields, given.workers)
    else:
        compare_heads(given.out, given.shares, given.seeds)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
