"""AlexNet: the published numbers, and what both forms promise."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import keras
import numpy as np
import onnxruntime
import pytest

from lociscope.errors import UsageError
from lociscope.labels import N_LABELS
from lociscope.models import OUTPUTS, build_network, load_network
from lociscope.models.alexnet import LocalResponse, alexnet_published
from lociscope.models.cost import count_macs

if TYPE_CHECKING:
    from pathlib import Path

# Krizhevsky et al. 2012, figure 2: kernels and biases of each layer, those of layers 2, 4 and 5 on half of the maps.
GROUPED = {
    "conv1": (11 * 11 * 3 + 1) * 96,
    "conv2": (5 * 5 * 48 + 1) * 256,
    "conv3": (3 * 3 * 256 + 1) * 384,
    "conv4": (3 * 3 * 192 + 1) * 384,
    "conv5": (3 * 3 * 192 + 1) * 256,
    "fc6": (6 * 6 * 256 + 1) * 4096,
    "fc7": (4096 + 1) * 4096,
    "fc8": (4096 + 1) * 1000,
}
WHOLE = {
    **GROUPED,
    "conv2": (5 * 5 * 96 + 1) * 256,
    "conv4": (3 * 3 * 384 + 1) * 384,
    "conv5": (3 * 3 * 384 + 1) * 256,
}


@pytest.mark.parametrize(
    ("grouped", "layers", "total", "macs"),
    [(True, GROUPED, 60_965_224, 724_406_816), (False, WHOLE, 62_378_344, 1_135_256_096)],
)
def test_published_parameters_layer_by_layer(
    grouped: bool, layers: dict[str, int], total: int, macs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        keras.initializers, "RandomNormal", lambda **_: "zeros"
    )  # 60 million random numbers take a while
    network = alexnet_published(grouped=grouped)
    counted = dict.fromkeys(layers, 0)
    for layer in network.layers:
        name = layer.name.partition("_")[0]
        if name in counted:
            counted[name] += layer.count_params()
    assert counted == layers
    assert network.count_params() == sum(layers.values()) == total
    assert count_macs(network) == macs
    shapes = {name: network.get_layer(name).output.shape[1:] for name in ("conv1", "conv2", "conv3", "pool5", "fc6")}
    assert shapes == {
        "conv1": (55, 55, 96), "conv2": (27, 27, 256), "conv3": (13, 13, 384), "pool5": (6, 6, 256), "fc6": (1, 1, 4096)
    }  # fmt: skip
    assert network.output_shape == (None, 1000)


def test_the_2012_network_is_the_published_one_on_its_own_size() -> None:
    network = build_network("alexnet-2012", 227, {"units": 64, "channels": "RGB"})
    for name in ("conv1", "conv2_a", "conv2_b", "conv3", "conv4_a", "conv5_b"):
        assert network.get_layer(name).count_params() == GROUPED[name.partition("_")[0]] // (1 + ("_" in name))
    assert network.get_layer("fc6").kernel.shape == (6, 6, 256, 64)
    assert network.output["evidence"].shape == (None, 1, 1, N_LABELS)
    assert build_network("alexnet-2012", 291, {"units": 16}).output["evidence"].shape == (None, 3, 3, N_LABELS)
    assert build_network("alexnet-2012", 67, {"units": 16}).get_layer("fc6").kernel.shape == (1, 1, 256, 16)


def test_weights_begin_as_the_paper_says() -> None:
    keras.utils.set_random_seed(0)
    network = build_network("alexnet-2012", 67, {"units": 64})
    for name in ("conv1", "conv2_b", "conv3", "conv4_a", "conv5_a", "fc6", "fc7"):
        kernel, bias = network.get_layer(name).get_weights()
        assert np.std(kernel) == pytest.approx(0.01, rel=0.05)
        assert (bias == (name not in ("conv1", "conv3"))).all()


def test_response_normalisation_is_the_formula() -> None:
    a = np.random.default_rng(0).normal(size=(2, 3, 3, 9)).astype(np.float32) * 100
    expected = np.zeros(a.shape)
    for i in range(9):
        near = a[..., max(0, i - 2) : min(8, i + 2) + 1].astype(np.float64)
        expected[..., i] = a[..., i] / (2 + 1e-4 * (near**2).sum(axis=-1)) ** 0.75
    np.testing.assert_allclose(LocalResponse()(a), expected, rtol=1e-5)
    coarse = LocalResponse(dtype="mixed_bfloat16")(a)
    assert coarse.dtype == "bfloat16"
    np.testing.assert_allclose(np.asarray(coarse, np.float32), expected, rtol=0.01)


def test_half_of_the_maps_is_half_of_the_maps() -> None:
    """What the first GPU makes of conv1 does not reach the second half of conv2."""
    network = build_network("alexnet-2012", 67, {"units": 16})
    rest = keras.Model(network.get_layer("pool1").output, network.get_layer("conv2").output)
    maps = np.random.default_rng(3).random((1, *rest.input_shape[1:]), np.float32)
    other = maps.copy()
    other[..., :48] = 0
    before, after = np.asarray(rest(maps)), np.asarray(rest(other))
    np.testing.assert_array_equal(before[..., 128:], after[..., 128:])
    assert np.abs(before[..., :128] - after[..., :128]).max() > 1e-3


@pytest.mark.parametrize(
    ("options", "first", "evidence", "parameters"),
    [
        ({}, (11, 11, 4, 96), 4, 3_770_140),
        ({"downsample": 2, "stem": "7x7"}, (7, 7, 4, 96), 8, 3_742_492),
        ({"stem": "3x3"}, (3, 3, 32, 96), 4, 3_761_948),
        ({"stem": "3x3", "downsample": 2, "channels": "GB"}, (3, 3, 32, 96), 8, 3_761_372),
        ({"groups": 2, "norm": "none", "overlap": False}, (11, 11, 4, 96), 4, 2_352_892),
        ({"norm": "response", "units": 64, "activation": "tanh", "width": 0.5}, (11, 11, 4, 48), 4, 965_900),
    ],
)
def test_each_choice_can_be_varied(
    options: dict[str, object], first: tuple[int, ...], evidence: int, parameters: int
) -> None:
    network = build_network("alexnet", 64, options)
    assert network.get_layer("conv1").kernel.shape == first
    assert network.output["evidence"].shape == (None, evidence, evidence, N_LABELS)
    assert set(network.output) == set(OUTPUTS)
    assert network.count_params() == parameters
    kinds = [type(layer).__name__ for layer in network.layers]
    assert kinds.count("MaxPooling2D") == 2
    assert kinds.count("LocalResponse") == 2 * (options.get("norm") == "response")
    assert ("BatchNormalization" in kinds) == ("norm" not in options)
    assert network.get_layer("pool1").pool_size == ((2, 2) if "overlap" in options else (3, 3))


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("alexnet-2012", {"units": 8}, "16–8192"),
        ("alexnet-2012", {"width": 2}, "has no option 'width'"),
        ("alexnet", {"stem": "9x9"}, "11x11, 7x7, 5x5, 3x3"),
        ("alexnet", {"downsample": 3}, "one of 2, 4"),
        ("alexnet", {"norm": "layer"}, "batch, response, none"),
        ("alexnet", {"activation": "gelu"}, "relu, tanh"),
        ("alexnet", {"groups": 3}, "one of 1, 2"),
        ("alexnet", {"units": -1}, "0–8192"),
        ("alexnet", {"width": 0.0}, "0.1–8"),
        ("alexnet", {"pooling": "median"}, "attention, received 'median'"),
        ("alexnet", {"channels": "RGBW"}, "G among them"),
        ("alexnt", {}, "Did you mean 'alexnet'"),
    ],
)
def test_wrong_networks_are_refused(name: str, options: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        build_network(name, 67, options)


def test_too_small_for_alexnet() -> None:
    with pytest.raises(UsageError, match="at least 67 px, received size 66"):
        build_network("alexnet-2012", 66, {})


@pytest.mark.slow
def test_both_forms_survive_export_and_a_keras_archive(tmp_path: Path) -> None:
    keras.utils.set_random_seed(4)
    inputs = keras.layers.Input((67, 67, 4), name="field")
    forms = {
        "as_published": build_network("alexnet-2012", 67, {"units": 16, "channels": "GBY"}),
        "modern": build_network("alexnet", 67, {"width": 0.1, "groups": 2, "norm": "response", "units": 16}),
    }
    for name, form in forms.items():
        form.name = name
    both = keras.Model(inputs, {name: form(inputs)["probabilities"] for name, form in forms.items()})
    x = np.random.default_rng(5).random((4, 67, 67, 4), np.float32)
    expected = {name: np.asarray(value) for name, value in both(x, training=False).items()}
    with warnings.catch_warnings():  # Keras' own patch of tf2onnx for numpy 2 warns of itself
        warnings.filterwarnings("ignore", "In the future `np.object`", FutureWarning)
        both.export(tmp_path / "both.onnx", format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "both.onnx", providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    given = dict(zip(names, session.run(names, {session.get_inputs()[0].name: x}), strict=True))
    both.save(tmp_path / "both.keras")
    again = load_network(tmp_path / "both.keras")(x)
    for name in forms:
        assert np.ptp(expected[name]) > 0
        np.testing.assert_allclose(given[name], expected[name], atol=1e-5)
        np.testing.assert_array_equal(again[name], expected[name])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"), [("alexnet-2012", {"units": 16}), ("alexnet", {"width": 0.1, "norm": "response"})]
)
def test_it_learns_in_mixed_precision(name: str, options: dict[str, object]) -> None:
    keras.utils.set_random_seed(6)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = build_network(name, 67, options)
    finally:
        keras.config.set_dtype_policy("float32")
    assert network.get_layer("conv3").compute_dtype == "bfloat16"
    assert network.output["probabilities"].dtype == "float32"
    model = keras.Model(network.input, network.get_layer("logits").output)
    model.compile(keras.optimizers.Adam(1e-3), keras.losses.BinaryCrossentropy(from_logits=True))
    rng = np.random.default_rng(7)
    x, y = rng.random((2, 67, 67, 4), np.float32), np.tile(rng.integers(0, 2, N_LABELS), (2, 1))
    losses = [model.train_on_batch(x, y) for _ in range(3)]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
