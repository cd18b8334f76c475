"""GapNet-PL: the authors' layers, and what a bundle needs of it."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import keras
import numpy as np
import onnxruntime
import pytest

from lociscope.errors import UsageError
from lociscope.labels import N_LABELS
from lociscope.models import build_network, load_network
from lociscope.models.heads import POSITIVES_PRIOR

if TYPE_CHECKING:
    from pathlib import Path

X = np.random.default_rng(0).random((3, 64, 64, 4), np.float32)


def test_parameters_are_those_of_the_checkpoint_but_for_the_classes() -> None:
    network = build_network("gapnet-pl", 64, {})
    convolutions = 4 * 9 * 32 + 32 + 32 * 9 * 64 + 64 + 3 * (64 * 9 * 64 + 64)
    convolutions += 64 * 9 * 128 + 128 + 2 * (128 * 9 * 128 + 128)
    dense = (32 + 64 + 128) * 256 + 256 + 256 * 256 + 256
    published = convolutions + dense + 256 * 13 + 13
    assert published == 626_221  # four bytes each: the authors' 2.5 MB
    assert network.count_params() == published + (N_LABELS - 13) * 257
    assert network.get_layer("averages").output.shape == (None, 224)


def test_averages_are_taken_at_three_depths() -> None:
    network = build_network("gapnet-pl", 64, {})
    taken = [network.get_layer(f"average{number}").input for number in (1, 2, 3)]
    assert [tensor.shape[1:] for tensor in taken] == [(16, 16, 32), (4, 4, 64), (4, 4, 128)]
    assert [network.get_layer(f"pool{number}").output is taken[number - 1] for number in (1, 2)] == [True, True]


def test_outputs_are_what_a_bundle_needs() -> None:
    outputs = build_network("gapnet-pl", 64, {"units": 32})(X, training=False)
    assert {name: output.shape for name, output in outputs.items()} == {
        "probabilities": (3, N_LABELS),
        "embedding": (3, 32),
    }
    empty = build_network("gapnet-pl", 64, {})(np.zeros((1, 64, 64, 4), np.float32))["probabilities"]
    np.testing.assert_allclose(empty, POSITIVES_PRIOR, rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"activation": "tanh"}, "selu, relu, prelu"),
        ({"norm": "response"}, "none, batch"),
        ({"units": 8}, "16–8192"),
        ({"width": 9.0}, "0.1–8"),
        ({"pooling": "max"}, "no option 'pooling'"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        build_network("gapnet-pl", 64, options)


@pytest.mark.slow
def test_each_form_survives_export_and_a_keras_archive(tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    inputs = keras.layers.Input((64, 64, 4), name="field")
    forms = {
        "selu": build_network("gapnet-pl", 64, {"width": 0.25}),
        "prelu": build_network("gapnet-pl", 64, {"width": 0.25, "activation": "prelu", "norm": "batch"}),
    }
    for name, form in forms.items():
        form.name = name
    both = keras.Model(inputs, {name: form(inputs)["probabilities"] for name, form in forms.items()})
    expected = {name: np.asarray(value) for name, value in both(X, training=False).items()}
    with warnings.catch_warnings():  # Keras' own patch of tf2onnx for numpy 2 warns of itself
        warnings.filterwarnings("ignore", "In the future `np.object`", FutureWarning)
        both.export(tmp_path / "both.onnx", format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "both.onnx", providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    given = dict(zip(names, session.run(names, {session.get_inputs()[0].name: X}), strict=True))
    both.save(tmp_path / "both.keras")
    again = load_network(tmp_path / "both.keras")(X)
    for name in forms:
        np.testing.assert_allclose(given[name], expected[name], atol=1e-5)
        np.testing.assert_array_equal(again[name], expected[name])


@pytest.mark.slow
def test_it_learns_in_mixed_precision() -> None:
    keras.utils.set_random_seed(2)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = build_network("gapnet-pl", 64, {"width": 0.25})
    finally:
        keras.config.set_dtype_policy("float32")
    assert network.get_layer("conv2_1").compute_dtype == "bfloat16"
    assert {output.dtype for output in network.output.values()} == {"float32"}
    model = keras.Model(network.input, network.get_layer("logits").output)
    model.compile(keras.optimizers.Adam(1e-3), keras.losses.BinaryCrossentropy(from_logits=True))
    y = np.tile(np.random.default_rng(7).integers(0, 2, N_LABELS), (len(X), 1))
    losses = [model.train_on_batch(X, y) for _ in range(3)]
    assert losses[-1] < losses[0]
