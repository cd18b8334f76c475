"""Teach a network what compartment features and the observer know, so that no features are computed when it predicts.

    python research/distillation.py prepare FIELDS              # simulated fields, features, the observer's answers
    python research/student.py crops FIELDS OUT [--number 22000] [--workers 2]
    python research/student.py train FIELDS OUT [--steps 4200] [--network SMALL]
    python research/student.py bundle OUT BUNDLE --catalog VALID [--network SMALL]

`crops` fits the teacher, four dense heads from features to locations (`distillation.py`, share 0.6), and cuts crops of
128 px from the fields. Two in five combine the protein of one field with the other channels of another, and each
channel is blurred, veiled, shaded, bent and made noisy by itself: the teacher is a function of the image, which is
known on each of them, so that the student learns the function and not what simulated fields have in common. `train`
starts from a network of the recipe `small` (`--network`, a bundle), and fits the features (162, standardised) and the
teacher's 28 logits. `bundle` adds the student to the graph of the same network: log odds are the mean of both, evidence
and embedding the network's own. Thresholds and calibration are fitted on the Catalog, which neither has seen.

Each command can be interrupted and given again, except `train`. Needs the extras `train` and `convert`, and the real
data in `LOCISCOPE_REAL_DATA` for the observer. No network sees a real image.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import warnings
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from distillation import JUDGED, LIMIT, fit_head, standardize  # type: ignore[import-not-found]

from lociscope.artifacts.bundle import read_bundle
from lociscope.channels import BLUE, GREEN, RED, YELLOW
from lociscope.decide.costs import BREAK_EVEN
from lociscope.decide.logistic import logit, sigmoid
from lociscope.images.preprocess import HPA_FIELD_UM
from lociscope.images.segmentation.features import FEATURES, compute_features
from lociscope.labels import N_LABELS
from lociscope.processes.progress import ignore_progress
from lociscope.processes.workers import map_in_order
from lociscope.storage.atomic import atomic_write

if TYPE_CHECKING:
    from collections.abc import Sequence

    import keras
    from numpy.typing import NDArray

SIDE, FIELD = 128, 256
"""Sides in px of a crop, and of the network's input."""
PIXEL = HPA_FIELD_UM / FIELD
PER_FILE = 1000
"""Crops that one file holds, and that an interruption loses at most."""
SEED, HELD_OUT, SHARE, HEADS = 11, 100, 0.6, 4
BATCH, RATE, DECAY, AVERAGE, WARMUP = 64, 1e-3, 1e-4, 0.998, 200
LOGIT_WEIGHT, LOGIT_LIMIT = 0.25, 9.0
BACKBONE = "block3_relu2"
PREFIX = "student/"
LIMITS = (
    "Learned from simulated cells only, so that the commands work at once; no instrument, and not for diagnosis. One "
    "of its teachers used what GapNet-PL, a network trained on images of the Human Protein Atlas, perhaps also on some "
    "of the real fields below, says of simulated cells. On 56 real fields of the 2018 competition "
    "(research/real_fields.py, 90 % intervals): LRAP 0.70 (0.63–0.77) where the label frequencies alone reach 0.45, "
    "macro-AUC 0.84 (0.79–0.89); without the ER channel LRAP 0.67; on 35 pictures of HPA's dictionary the location is "
    "among the top-3 in 0.77 (0.66–0.89). Nuclear bodies, fibrillar centres and mitochondria are read badly there. "
    "Whole fields of about 164 µm at 0.64 µm a pixel. Probabilities are calibrated on 900 simulated fields "
    "with the label frequencies of the Human Protein Atlas; a location is reported from 0.25, where a missed one costs "
    "three times a wrong one. Other cell lines, stains or microscopes may need another calibration."
)


# === The teacher ===


class Teacher(NamedTuple):
    """Dense heads from features to locations: each hidden layer is relu(x · w1 + b1), each output h · w2 + b2."""

    mean: np.ndarray
    spread: np.ndarray
    w1: np.ndarray
    b1: np.ndarray
    w2: np.ndarray
    b2: np.ndarray

    def standardize(self, features: np.ndarray) -> np.ndarray:
        """Return standardised features (n, features), 0 where unknown."""
        return np.asarray(standardize(features, self.mean, self.spread))

    def logits(self, standardized: np.ndarray) -> NDArray[np.float32]:
        """Return the mean logits (n, 28) of the heads."""
        layers = zip(self.w1, self.b1, self.w2, self.b2, strict=True)
        heads = [np.maximum(standardized @ w1 + b1, 0) @ w2 + b2 for w1, b1, w2, b2 in layers]
        return np.asarray(np.mean(heads, axis=0), np.float32)


def fit_teacher(fields: dict[str, np.ndarray]) -> Teacher:
    """Fit the heads on simulated fields with the observer's answers."""
    features = fields["features"]
    mean, spread = np.nanmean(features, axis=0), np.nanstd(features, axis=0) + 1e-6
    targets = fields["y"].astype(np.float32)
    targets[:, JUDGED] = (1 - SHARE) * targets[:, JUDGED] + SHARE * fields["answers"]
    inputs = standardize(features, mean, spread)
    weights = [fit_head(inputs, targets, seed).get_weights() for seed in range(HEADS)]
    return Teacher(mean, spread, *(np.stack(each).astype(np.float64) for each in zip(*weights, strict=True)))


def read_fields(folder: Path) -> dict[str, np.ndarray]:
    """Return what `distillation.py prepare` stored."""
    files = [np.load(path) for path in sorted(folder.glob("*.npz"))]
    return {name: np.concatenate([each[name] for each in files]) for name in ("x", "y", "features", "answers")}


# === Crops ===


def cut_crop(fields: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return a crop (128, 128, 4) of uint8 of one field, or of the protein of another before its cells."""
    from scipy.ndimage import map_coordinates

    def draw() -> np.ndarray:
        return np.asarray(fields[random.integers(len(fields))], np.float32)

    field, kind = draw(), random.random()
    if kind < 0.3:
        field[..., GREEN] = draw()[..., GREEN]
    elif kind < 0.38:
        one, other = random.uniform(0.3, 1, 2)
        field[..., GREEN] = np.maximum(field[..., GREEN] * one, draw()[..., GREEN] * other)
    elif kind < 0.44:
        field[..., GREEN] = field[..., random.choice([RED, BLUE, YELLOW])]
    zoom = np.exp(random.uniform(np.log(0.72), np.log(1.38))) if random.random() < 0.45 else 1.0
    side = min(SIDE / zoom, FIELD - 6)
    top, left = np.floor(random.uniform(0, FIELD - side, 2)) if zoom == 1 else random.uniform(0, FIELD - 1 - side, 2)
    steps = np.linspace(0, side - 1, SIDE, dtype=np.float32)
    at = np.meshgrid(steps + top, steps + left, indexing="ij")
    crop = np.stack([map_coordinates(field[..., c], at, order=1, mode="nearest") for c in range(4)], axis=-1)
    crop = np.rot90(crop, int(random.integers(4)))
    crop = np.ascontiguousarray(crop[::-1] if random.random() < 0.5 else crop)
    for channel in range(4):
        if crop[..., channel].max() > 0:
            crop[..., channel] = alter(crop[..., channel], random)
    if random.random() < 0.08:
        crop[..., random.choice([RED, YELLOW])] = 0
    return np.asarray(np.clip(np.rint(crop), 0, 255), np.uint8)


def alter(plane: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Blur, veil, shade, bend, lift, amplify a plane in 0–255, and add noise, each with a probability."""
    from scipy.ndimage import gaussian_filter

    if random.random() < 0.3:
        plane = gaussian_filter(plane, random.uniform(0.3, 1.3))
    if random.random() < 0.3:
        plane = plane + random.uniform(0, 0.7) * gaussian_filter(plane, random.uniform(4, 16))
    if random.random() < 0.2:
        down, right = random.normal(0, 0.3, 2)
        steps = np.linspace(-1, 1, SIDE, dtype=np.float32)
        plane = plane * np.exp(down * steps[:, None] + right * steps)
    if random.random() < 0.7:
        plane = 255 * np.clip(plane / 255, 0, 4) ** np.exp(random.normal(0, 0.3))
    if random.random() < 0.4:
        plane = plane + random.uniform(0, 40)
    if random.random() < 0.3:
        plane = plane * np.exp(random.normal(0, 0.25))
    if random.random() < 0.5:
        shot = random.uniform(0, 0.12) * np.sqrt(np.sqrt(np.maximum(plane, 0) * 255))
        plane = plane + random.normal(0, 1, plane.shape) * (random.uniform(0, 8) + shot)
    return plane


def measure_crops(fields: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the crops of a file, and their features."""
    random = np.random.default_rng([SEED, number])
    crops = np.stack([cut_crop(fields, random) for _ in range(PER_FILE)])
    return crops, np.stack([compute_features(crop, PIXEL) for crop in crops])


def prepare_crops(folder: Path, out: Path, number: int, workers: int) -> None:
    """Fit the teacher, and cut and measure the crops that are not there yet."""
    out.mkdir(parents=True, exist_ok=True)
    fields = read_fields(folder)
    if not (out / "teacher.npz").is_file():
        write_arrays(out / "teacher.npz", fit_teacher(fields)._asdict())
    todo = [each for each in range(-(-number // PER_FILE)) if not (out / f"crops{each:03d}.npz").is_file()]
    made = map_in_order(partial(measure_crops, fields["x"][:-HELD_OUT]), todo, workers)
    for each, (crops, features) in zip(todo, made, strict=True):
        write_arrays(out / f"crops{each:03d}.npz", {"x": crops, "features": features})
        print(f"crops{each:03d}.npz", flush=True)


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Write arrays atomically."""
    with atomic_write(path) as part, part.open("wb") as file:
        np.savez(file, **arrays)


# === The student ===


def read_weights(network: Path | None) -> dict[str, list[np.ndarray]]:
    """Return the kernels and biases of the graph of a bundle of `small`, by layer; None is the shipped one."""
    import onnx

    graph = onnx.load_model_from_string(read_bundle(network).model).graph
    values = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    found = {}
    for node in graph.node:
        if node.op_type == "Conv" and not node.input[1].startswith(PREFIX):  # not of an earlier student
            kernel, bias = (values[name] for name in node.input[1:3])
            found[node.input[1].split("/")[1].removesuffix("_1")] = [kernel.transpose(2, 3, 1, 0), bias]
    return found


def build_student(size: int, network: Path | None = None) -> keras.Model:
    """Return the backbone of `small` with the weights of a bundle, and dense layers to features and logits.

    Batch normalisation keeps to the network's statistics, which the exporter has folded into its kernels: each
    layer only adds its bias and scales.
    """
    import keras
    from keras import layers, ops

    from lociscope.models import build_network

    whole, weights = build_network("small", size, {}), read_weights(network)
    for layer in whole.layers:
        if isinstance(layer, layers.BatchNormalization):
            bias = weights[layer.name.removesuffix("_norm")][1]
            one = np.ones_like(bias)
            layer.set_weights([one, bias, 0 * bias, one - layer.epsilon])
        elif layer.name in weights and layer.name != "evidence":
            layer.set_weights(weights[layer.name][:1])

    def call(layer: Any, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - whatever Keras passes
        fixed = {"training": False} if isinstance(layer, layers.BatchNormalization) else {}
        return layer(*args, **{**options, **fixed})

    backbone = keras.models.clone_model(
        keras.Model(whole.input, whole.get_layer(BACKBONE).output),
        clone_function=lambda layer: layer,
        call_function=call,
    )
    x = layers.Conv2D(256, 1, activation="relu", name="mix")(backbone.output)
    strongest = ops.max(ops.average_pool(x, 2, 1), axis=(1, 2))
    power = ops.sqrt(ops.mean(ops.square(x), axis=(1, 2)) + 1e-6)
    pooled = ops.concatenate([ops.mean(x, axis=(1, 2)), power, strongest], axis=-1)
    hidden = layers.Dense(256, activation="relu", name="hidden")(pooled)
    features = layers.Dense(len(FEATURES), name="features")(hidden)
    bias = keras.initializers.Constant(-3.0)
    logits = layers.Dense(N_LABELS, name="logits", bias_initializer=bias)(hidden)
    return keras.Model(backbone.input, {"features": features, "logits": logits}, name="student")


def train(folder: Path, out: Path, steps: int, network: Path | None) -> None:
    """Train the student on the crops, and print how well it does the teacher's work on fields held out."""
    import keras
    import tensorflow as tf

    teacher = Teacher(**np.load(out / "teacher.npz"))
    files = [np.load(path) for path in sorted(out.glob("crops*.npz"))]
    crops, features = (np.concatenate([each[name] for each in files]) for name in ("x", "features"))
    known, wanted = np.isfinite(features).astype(np.float32), teacher.standardize(features)
    logits = np.clip(teacher.logits(wanted), -LOGIT_LIMIT, LOGIT_LIMIT)
    keras.utils.set_random_seed(SEED)
    student = build_student(SIDE, network)
    rate = keras.optimizers.schedules.CosineDecay(
        RATE / 20, max(1, steps - WARMUP), alpha=0.01, warmup_target=RATE, warmup_steps=WARMUP
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=DECAY, use_ema=True, ema_momentum=AVERAGE, global_clipnorm=5)

    @tf.function(jit_compile=False)  # type: ignore[untyped-decorator]
    def step(x: Any, target: Any, mask: Any, logit: Any) -> Any:  # noqa: ANN401 - tensors
        with tf.GradientTape() as tape:
            found = student(tf.cast(x, tf.float32) / 255, training=True)
            apart = tf.abs(found["features"] - target)
            of_features = tf.reduce_sum(mask * tf.minimum(apart**2, 4 * apart)) / tf.reduce_sum(mask)
            loss = of_features + LOGIT_WEIGHT * tf.reduce_mean((found["logits"] - logit) ** 2)
        gradients = tape.gradient(loss, student.trainable_variables)
        optimizer.apply_gradients(zip(gradients, student.trainable_variables, strict=True))
        return loss

    random, losses, rows = np.random.default_rng(SEED), [], np.empty(0, np.intp)
    for number in range(1, steps + 1):
        if len(rows) < BATCH:
            rows = random.permutation(len(crops))
        some, rows = rows[:BATCH], rows[BATCH:]
        turned = np.rot90(crops[some], int(random.integers(4)), (1, 2))
        turned = turned[:, ::-1] if random.random() < 0.5 else turned
        losses.append(float(step(np.ascontiguousarray(turned), wanted[some], known[some], logits[some])))
        if number % 250 == 0 or number == steps:
            print(f"step {number} of {steps}: loss {np.mean(losses):.4f}", flush=True)
            losses = []
    optimizer.finalize_variable_values(student.trainable_variables)
    student.save_weights(out / "student.weights.h5")
    fields = read_fields(folder)
    held_out = slice(len(fields["x"]) - HELD_OUT, None)
    print(compare(student, teacher, fields["x"][held_out], fields["features"][held_out]))


def load_student(out: Path) -> keras.Model:
    """Return the trained student for whole fields."""
    student = build_student(FIELD)
    student.load_weights(out / "student.weights.h5")
    return student


def compare(student: keras.Model, teacher: Teacher, fields: np.ndarray, features: np.ndarray) -> str:
    """Return how well a student says what its teacher says of fields (n, 256, 256, 4) of uint8."""
    whole = build_student(FIELD)
    whole.set_weights(student.get_weights())
    parts = [whole(fields[i : i + 16].astype(np.float32) / 255) for i in range(0, len(fields), 16)]
    found = np.concatenate([np.asarray(each["logits"]) for each in parts])
    expected = teacher.logits(teacher.standardize(features))
    each = [np.corrcoef(a, b)[0, 1] for a, b in zip(found.T, expected.T, strict=True)]
    return f"correlation of logits with the teacher's, mean over the locations: {np.mean(each):.3f}"


# === The bundle ===


def join_graphs(network: bytes, student: Any) -> bytes:  # noqa: ANN401 - an onnx.ModelProto
    """Return a network whose log odds are the mean of its and the student's; other outputs are those of the network."""
    import onnx
    from onnx import TensorProto, compose, helper

    model = onnx.load_model_from_string(network)
    other = compose.add_prefix(student, PREFIX)
    graph, added = model.graph, other.graph
    given = added.input[0].name
    for node in added.node:
        node.input[:] = [graph.input[0].name if name == given else name for name in node.input]
    last = next(node for node in graph.node if "probabilities" in node.output)
    logits = next(output.name for output in added.output if output.name.endswith("logits"))
    graph.initializer.append(helper.make_tensor("half", TensorProto.FLOAT, [], [0.5]))
    nodes = [
        helper.make_node("Add", [last.input[0], logits], ["sum_of_logits"]),
        helper.make_node("Mul", ["sum_of_logits", "half"], ["mean_of_logits"]),
        helper.make_node("Sigmoid", ["mean_of_logits"], ["probabilities"]),
    ]
    graph.node.remove(last)
    graph.node.extend([*added.node, *nodes])
    graph.initializer.extend(added.initializer)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def answer(student: keras.Model, teacher: Teacher) -> keras.Model:
    """Return the student with the mean of its logits and those of the teacher's heads over its features."""
    import keras
    from keras import layers, ops

    features = ops.clip(student.output["features"], -LIMIT, LIMIT)
    hidden, parts = teacher.w1.shape[-1], []
    for number, (w1, b1, w2, b2) in enumerate(zip(teacher.w1, teacher.b1, teacher.w2, teacher.b2, strict=True)):
        first, second = (
            layers.Dense(hidden, "relu", name=f"head{number}_1"),
            layers.Dense(N_LABELS, name=f"head{number}_2"),
        )
        parts.append(second(first(features)))
        first.set_weights([w1, b1])
        second.set_weights([w2, b2])
    logits = (student.output["logits"] + layers.Average()(parts)) / 2
    return keras.Model(student.input, {"logits": logits}, name="answer")


def export_student(model: keras.Model) -> Any:  # noqa: ANN401 - an onnx.ModelProto
    """Return a model with the one output `logits` as ONNX."""
    import tempfile

    import onnx

    model(np.zeros((1, FIELD, FIELD, 4), np.float32))  # Keras exports what was called once
    with tempfile.TemporaryDirectory() as folder:
        with warnings.catch_warnings():  # from Keras' patch of tf2onnx for numpy 2
            warnings.filterwarnings("ignore", "In the future `np.object`", FutureWarning)
            model.export(Path(folder) / "model.onnx", format="onnx", verbose=False)
        return onnx.load(Path(folder) / "model.onnx")


def write_student_bundle(out: Path, bundle: Path, catalog: Path, name: str, network: Path | None) -> None:
    """Join the student to a network, and write both as a bundle, fitted on a Catalog of labelled fields."""
    import onnxruntime

    from lociscope.artifacts.bundle import Bundle, Selftest
    from lociscope.artifacts.card import Card, Decision
    from lociscope.workflows.import_model import FitOptions, finish_bundle

    shipped, student = read_bundle(network), answer(load_student(out), Teacher(**np.load(out / "teacher.npz")))
    data = join_graphs(shipped.model, export_student(student))
    inputs, alone = shipped.selftest.input, shipped.selftest.probabilities
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (found,) = session.run(["probabilities"], {"field": inputs})
    expected = sigmoid((logit(alone) + np.asarray(student(inputs)["logits"], np.float64)) / 2)
    difference = float(np.abs(found - expected).max())
    if difference > 1e-4:
        raise SystemExit(f"The joined graph differs by {difference:.2g} from its two parts.")
    card = Card(
        name=name,
        version=version("lociscope"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        licence=shipped.card.licence,
        input=shipped.card.input,
        decide=Decision(policy="none", thresholds=(1.0,) * N_LABELS),
        limits=LIMITS,
        out_of_distribution=shipped.card.out_of_distribution,
        provenance={
            **shipped.card.provenance,
            "student": {
                "command": "research/student.py",
                "teacher": f"{HEADS} dense heads over compartment features, taught by labels and, with a share of "
                f"{SHARE}, by the answers of GapNet-PL (BSD-2-Clause) on simulated fields; GapNet-PL was trained on "
                "images of the Human Protein Atlas, perhaps also on some of the real fields named above",
                "teacher_sha256": hash_file(out / "teacher.npz"),
                "student_sha256": hash_file(out / "student.weights.h5"),
                "network_sha256": shipped.sha256,
            },
        },
    )
    # the embedding is the network's, and so is what its detector says
    draft = Bundle(bundle, card, data, Selftest(inputs, found), "", detector=shipped.detector)
    fit = FitOptions(policy="constant", value=BREAK_EVEN, kind="simulated")
    written, fields, failures = finish_bundle(draft, catalog, fit, ignore_progress)
    print(f"{written.folder}: fitted on {fields} fields, {len(failures)} could not be read")


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main(words: Sequence[str]) -> int:
    """Cut crops, train, or write a bundle."""
    parser = argparse.ArgumentParser(prog="student.py", description=__doc__.split("\n", 1)[0])
    commands = parser.add_subparsers(dest="command", required=True)
    of = {name: commands.add_parser(name) for name in ("crops", "train", "bundle")}
    for name in ("crops", "train"):
        of[name].add_argument("fields", type=Path)
    for each in of.values():
        each.add_argument("out", type=Path)
    of["crops"].add_argument("--number", type=int, default=22000)
    of["crops"].add_argument("--workers", type=int, default=2)
    of["train"].add_argument("--steps", type=int, default=4200)
    of["bundle"].add_argument("bundle", type=Path)
    of["bundle"].add_argument("--catalog", type=Path, required=True)
    of["bundle"].add_argument("--name", default="small-student")
    for name in ("train", "bundle"):
        of[name].add_argument("--network", type=Path, help="a bundle of the recipe small; by default the shipped one")
    given = parser.parse_args(words)
    if given.command == "crops":
        prepare_crops(given.fields, given.out, given.number, given.workers)
    elif given.command == "train":
        train(given.fields, given.out, given.steps, given.network)
    else:
        write_student_bundle(given.out, given.bundle, given.catalog, given.name, given.network)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
