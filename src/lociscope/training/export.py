"""Export a finished Run as a Bundle: convert it to ONNX, compare with Keras, score, hash."""

from __future__ import annotations

import tempfile
import warnings
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from lociscope.artifacts.bundle import Bundle, Selftest, encode_reference, write_bundle
from lociscope.artifacts.card import PREPROCESSING, Card, Decision, Score
from lociscope.artifacts.folds import open_training
from lociscope.artifacts.retraining import Retraining
from lociscope.decide.intervals import bootstrap
from lociscope.decide.locations import find_constant_threshold
from lociscope.decide.metrics import lrap, macro_auc, macro_average_precision, macro_f1
from lociscope.errors import Code, LociscopeError
from lociscope.labels import LABELS, N_LABELS, to_multi_hot
from lociscope.models import OUTPUTS, load_best, load_network
from lociscope.training.devices import start_tensorflow

if TYPE_CHECKING:
    from collections.abc import Callable

    import keras

    from lociscope.artifacts.bundle import Reference
    from lociscope.artifacts.run import Run

MAX_DIFFERENCE = 1e-5
"""Largest difference between ONNX and Keras that is accepted, in any output probability."""
COMPARED_FIELDS = 64
"""Inputs on which the two are compared."""
PIXELS_PER_PART = COMPARED_FIELDS * 128 * 128
"""Pixels that are computed at once: all 64 inputs of 512 px at once took more than 20 GB."""
SELFTEST_FIELDS = 2
OPEN_SIDE = 64
"""Side in px at which a network of any size is called before Keras exports it."""
INTERVAL_LEVEL = 0.9

DEFAULT_LIMITS = (
    "Not for diagnosis. Probabilities are not calibrated. Scores are those of the fields named beside them; "
    "other cell lines, stains or microscopes may give others."
)


def export_bundle(
    run: Run,
    folder: Path,
    name: str,
    licence: str,
    limits: str = DEFAULT_LIMITS,
    refer: Callable[[Bundle], tuple[Reference, dict[str, Any]]] | None = None,
) -> float:
    """Write the network of a Run as a Bundle, or the average of the networks of its folds.

    Args:
        run: A finished Run, or the folder of folds.
        folder: The Bundle's folder.
        name: Its name, for the card.
        licence: Licence of the weights, for the card.
        limits: Its limitations, for the card.
        refer: Called with the Bundle before it is written; returns its reference and the card's summary of it.

    Returns:
        The largest difference between the probabilities of Keras and ONNX Runtime on `COMPARED_FIELDS` inputs.

    Raises:
        LociscopeError: The Run has another preprocessing, or the two differ by more than `MAX_DIFFERENCE`; nothing is
            written then.
    """
    runs = open_runs(run)
    recipe = runs[0].read_recipe()
    start_tensorflow(0)
    networks = [_load(each, recipe.data.size) for each in runs]
    network = networks[0] if len(networks) == 1 else average_networks(networks)
    inputs = _make_inputs(recipe.data.size)
    expected = np.concatenate(
        [np.asarray(network(part, training=False)["probabilities"]) for part in _split_parts(inputs)]
    )
    model = to_onnx(network)
    difference = _max_difference(model, inputs, expected)
    if not difference <= MAX_DIFFERENCE:
        raise LociscopeError(
            f"The exported network differs from Keras by {difference:.2g} in a probability, more than "
            f"{MAX_DIFFERENCE:g}; no bundle was written. Check the network's layers for ones that ONNX rounds.",
            code=Code.REFUSED,
        )
    selftest = Selftest(inputs[:SELFTEST_FIELDS], expected[:SELFTEST_FIELDS])
    write_referred(Bundle(folder, make_card(run, runs, name, licence, limits), model, selftest, ""), refer)
    return difference


def open_runs(run: Run) -> list[Run]:
    """Return a finished Run, or those of the folds in its folder.

    Raises:
        LociscopeError: One was trained with another preprocessing.
    """
    runs = open_training(run.folder)[1]
    for each in runs:
        trained_with = each.read_environment().preprocessing
        if trained_with != PREPROCESSING:
            raise LociscopeError(
                f"Run '{each.folder}' was trained with preprocessing {trained_with}; this lociscope has preprocessing "
                f"{PREPROCESSING}, which would give the model other inputs. Train it again.",
                code=Code.UNSUPPORTED_VERSION,
            )
    return runs


def write_referred(bundle: Bundle, refer: Callable[[Bundle], tuple[Reference, dict[str, Any]]] | None) -> None:
    """Write a Bundle that is not on disk yet, with the reference that `refer` returns for it."""
    card, extra = bundle.card, {}
    if refer is not None:
        reference, summary = refer(bundle)
        card = msgspec.structs.replace(card, reference=summary)
        extra["reference.npz"] = encode_reference(reference)
    write_bundle(bundle.folder, card, bundle.model, bundle.selftest, extra)


def _load(run: Run, size: int) -> keras.Model:
    network = load_best(run)
    if network.input_shape[1] != size:
        raise LociscopeError(
            f"'{run.best_model}' takes {network.input_shape[1]} px, its recipe says {size}. Train again.",
            code=Code.INVALID_VALUE,
        )
    return network


def average_networks(networks: list[keras.Model]) -> keras.Model:
    """Return one network that averages others: probabilities as log odds, evidence directly.

    Args:
        networks: With the same input, such as those of folds.

    Returns:
        A functional model with their outputs; the embedding is that of the first, since embeddings cannot be averaged.
    """
    import keras
    from keras import layers

    pixels = keras.Input(networks[0].input_shape[1:])
    outputs = []
    for number, network in enumerate(networks):
        logits = network.get_layer("logits").output
        whole = keras.Model(network.input, {**network.output, "logits": logits}, name=f"network{number}")
        outputs.append(whole(pixels))
    mean = {
        key: layers.Average()([each[key] for each in outputs]) for key in ("logits", "evidence") if key in outputs[0]
    }
    made = {"probabilities": layers.Activation("sigmoid")(mean.pop("logits")), **mean}
    if "embedding" in outputs[0]:
        made["embedding"] = outputs[0]["embedding"]
    return keras.Model(pixels, made, name="average")


def _make_inputs(size: int) -> np.ndarray:
    """Return inputs that cover a network's range: smooth blobs at many scales, some of them empty or saturated."""
    rng = np.random.default_rng(0)
    inputs = rng.random((COMPARED_FIELDS, size, size, 4), np.float32)
    for number, picture in enumerate(inputs):
        for shift in (1, 2, 4, 8)[: number % 5]:
            picture += np.roll(picture, shift, 0) + np.roll(picture, shift, 1)
            picture /= 3
        picture -= picture.min()
        picture /= max(float(picture.max()), 1e-6)
        picture **= 1 + number % 4
    inputs[-2], inputs[-1] = 0, 1
    return np.rint(inputs * 255).astype(np.float32) / 255


def _split_parts(inputs: np.ndarray) -> list[np.ndarray]:
    """Split the inputs into parts that fit into memory."""
    _, height, width, _ = inputs.shape
    number = max(1, PIXELS_PER_PART // (height * width))
    return [inputs[start : start + number] for start in range(0, len(inputs), number)]


def to_onnx(network: keras.Model) -> bytes:
    """Convert a network to the bytes of an ONNX model, with outputs named as in `OUTPUTS`."""
    outputs = [key for key in OUTPUTS if key in network.output]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        with warnings.catch_warnings():  # from Keras' patch of tf2onnx for numpy 2
            warnings.filterwarnings("ignore", "In the future `np.object`", FutureWarning)
            network.export(path, format="onnx", verbose=False)
        return _remove_unused_opsets(path.read_bytes(), outputs)


def export_onnx(path: Path) -> bytes:
    """Convert a `.keras` archive to ONNX as Keras' own `export` does, after checking it for code.

    Raises:
        LociscopeError: The archive is missing or damaged, or names foreign classes.
        MissingExtraError: Keras is not installed.
    """
    network = load_network(path)
    shape = network.input_shape
    if not isinstance(shape, tuple) or len(shape) != 4:
        raise LociscopeError(
            f"'{path}' takes {shape}; a bundle's model takes one batch of pictures. Save a model with such an input.",
            code=Code.INVALID_VALUE,
        )
    network(np.zeros((1, *(side or OPEN_SIDE for side in shape[1:])), np.float32))  # Keras exports what was called once
    with tempfile.TemporaryDirectory() as folder:
        exported = Path(folder) / "model.onnx"
        with warnings.catch_warnings():  # as above
            warnings.filterwarnings("ignore", "In the future `np.object`", FutureWarning)
            network.export(exported, format="onnx", verbose=False)
        return exported.read_bytes()


def _remove_unused_opsets(model: bytes, outputs: list[str]) -> bytes:
    """Remove the operator sets that the converter declares and no node uses."""
    import onnx

    graph = onnx.load_model_from_string(model)
    used = {node.domain for node in graph.graph.node}
    opsets = [opset for opset in graph.opset_import if opset.domain in used | {""}]
    del graph.opset_import[:]
    graph.opset_import.extend(opsets)
    names = [output.name for output in graph.graph.output]
    if sorted(names) != sorted(outputs):
        raise LociscopeError(
            f"The exported network has the outputs {names}, expected {outputs}. Check its head.",
            code=Code.INVALID_VALUE,
        )
    serialised: bytes = graph.SerializeToString()
    return serialised


def _max_difference(model: bytes, inputs: np.ndarray, expected: np.ndarray) -> float:
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    found = np.concatenate([session.run(["probabilities"], {name: part})[0] for part in _split_parts(inputs)])
    return float(np.abs(found - expected).max())


def make_card(run: Run, runs: list[Run], name: str, licence: str, limits: str) -> Card:
    """Return the card of a Run, or of the average of its folds, scored on their validation fields."""
    recipe, environments = runs[0].read_recipe(), [each.read_environment() for each in runs]
    predictions = run.read_predictions()
    truth = to_multi_hot(run.find_labels(predictions.ids))
    threshold = find_constant_threshold(truth, predictions.probability)
    retraining = Retraining.read(run.folder)
    return Card(
        name=name,
        version=version("lociscope"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        licence=licence,
        labels=LABELS,
        input=recipe.data.input,
        decide=Decision(policy=recipe.decide.policy, thresholds=(threshold,) * N_LABELS),
        metrics=_measure_scores(truth, predictions.probability, threshold, len(runs)),
        provenance={
            "recipe": recipe.model_dump(by_alias=True),
            **environments[0].model_dump(by_alias=True, exclude={"schema_"}),
            **({"folds": [each.model_dump(by_alias=True) for each in environments]} if len(runs) > 1 else {}),
            **({} if retraining is None else {"retraining": retraining.model_dump(by_alias=True)}),
        },
        limits=limits,
    )


def _measure_scores(truth: np.ndarray, probability: np.ndarray, threshold: float, networks: int) -> dict[str, Score]:
    decided = probability >= np.float32(threshold)
    fields = "validation fields of the Run"
    if networks > 1:
        fields = (
            f"fields predicted by the one of {networks} networks that was trained without them, not by their average"
        )
    what = f"{fields}, on which epoch and threshold were chosen; 90 % bootstrap over fields"
    measured: dict[str, Any] = {
        "macro_f1": bootstrap(macro_f1, truth, decided, level=INTERVAL_LEVEL),
        "lrap": bootstrap(lrap, truth, probability, level=INTERVAL_LEVEL),
        "macro_auc": bootstrap(macro_auc, truth, probability, level=INTERVAL_LEVEL),
        "macro_average_precision": bootstrap(macro_average_precision, truth, probability, level=INTERVAL_LEVEL),
    }
    return {
        key: Score(value=score.value, low=score.low, high=score.high, n=score.n, what=what)
        for key, score in measured.items()
        if np.isfinite([score.value, score.low, score.high]).all()
    }
