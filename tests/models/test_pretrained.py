"""The pre-trained network: its stem on fields, its cut, and all that a bundle, a Run and an export need."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest
from fixtures.efficientnet_lite import lite_classifier
from hypothesis import given
from hypothesis import strategies as st

from lociscope.artifacts.recipe import SHIPPED, Recipe
from lociscope.errors import UsageError
from lociscope.labels import N_LABELS
from lociscope.models import applications, build_network, efficientnet_lite, load_network
from lociscope.models.pretrained import widen_kernel
from lociscope.training.stages import check_stages, freeze

if TYPE_CHECKING:
    from pathlib import Path

KERNEL = np.random.default_rng(0).normal(size=(3, 3, 3, 5))
X = np.random.default_rng(1).random((2, 64, 64, 4), np.float32)


@given(st.permutations("RGBY"), st.integers(1, 4), st.sampled_from(["mean", "zero"]))
def test_a_grey_field_is_seen_as_a_grey_picture(order: list[str], number: int, stem: str) -> None:
    channels = "".join(order[:number])
    if not set(channels) & set("RGB"):
        channels += "G"
    wide = widen_kernel(KERNEL, channels, stem)
    assert wide.shape == (3, 3, len(channels), 5)
    np.testing.assert_allclose(wide.sum(axis=2), KERNEL.sum(axis=2))


def test_colours_keep_their_kernels() -> None:
    wide = widen_kernel(KERNEL)
    np.testing.assert_allclose(wide[:, :, :3], 0.75 * KERNEL)
    np.testing.assert_allclose(wide[:, :, 3], 0.75 * KERNEL.mean(axis=2))
    np.testing.assert_allclose(widen_kernel(KERNEL, "BGR"), KERNEL[:, :, ::-1])
    np.testing.assert_allclose(
        widen_kernel(KERNEL, stem="yellow")[:, :, 3], 0.375 * (KERNEL[:, :, 0] + KERNEL[:, :, 1])
    )
    zero = widen_kernel(KERNEL, stem="zero")
    np.testing.assert_array_equal(zero[:, :, :3], KERNEL)
    assert not zero[:, :, 3].any()
    np.testing.assert_allclose(widen_kernel(KERNEL, "G")[:, :, 0], KERNEL.sum(axis=2))


def embedded(network: keras.Model, x: np.ndarray) -> np.ndarray:
    return np.asarray(network(x, training=False)["embedding"])


@pytest.mark.slow
def test_the_widened_network_is_the_published_one_on_what_both_can_see() -> None:
    published = lite_classifier(64)
    pooled = keras.Model(published.input, published.get_layer("pooled").output)
    colour = np.asarray(pooled(X[..., :3], training=False))
    np.testing.assert_allclose(embedded(build_network("pretrained", 64, {"stem": "zero"}), X), colour, atol=1e-5)
    grey = np.repeat(X[..., :1], 4, axis=-1)
    expected = np.asarray(pooled(grey[..., :3], training=False))
    wide = build_network("pretrained", 64, {})
    np.testing.assert_allclose(embedded(wide, grey), expected, atol=2e-5)
    assert np.abs(embedded(wide, X) - embedded(wide, X[..., [0, 1, 2, 0]])).max() > 1e-3  # the fourth is looked at


def test_the_finer_grid() -> None:
    network = build_network("pretrained", 128, {"stride": 16, "weights": "none"})
    shapes = {name: tuple(output.shape) for name, output in network.output.items()}
    assert shapes == {
        "probabilities": (None, N_LABELS),
        "embedding": (None, 672),
        "evidence": (None, 8, 8, N_LABELS),
    }
    assert network.get_layer("dropout").input.name == network.get_layer("block6a_expand_relu").output.name


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"backbone": "densenet121"}, "Did you mean 'DenseNet121'"),
        ({"backbone": "efficientnet-lite1"}, "Did you mean 'efficientnet-lite0'"),
        ({"backbone": "ConvNeXtTinny"}, "Did you mean 'ConvNeXtTiny'"),
        ({"backbone": "preprocess_input"}, "Backbone .* is not known"),
        ({"backbone": "densenet"}, "Backbone .* is not known"),
        ({"backbone": 121}, "Backbone 121 is not known"),
        ({"weights": "imagnet"}, "imagenet, none, received 'imagnet'"),
        ({"stem": "median"}, "mean, yellow, zero"),
        ({"stride": 8}, "16 or 32, received 8"),
        ({"dropout": 1.5}, "0–0.9"),
        ({"channels": "RBY"}, "with G among them"),
        ({"pooling": "median"}, "pooling must be one of"),
        ({"backbon": "DenseNet121"}, "Did you mean 'backbone'"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        build_network("pretrained", 32, {"weights": "none", **options})


def archived(network: keras.Model, x: np.ndarray, folder: Path) -> keras.Model:
    """The network saved, looked into, and loaded again: it gives the same."""
    network.save(folder / "network.keras")
    again = load_network(folder / "network.keras")
    np.testing.assert_array_equal(again(x)["probabilities"], network(x)["probabilities"])
    return again


WHOLE = {"efficientnet-lite0": 64, "DenseNet121": 64, "EfficientNetB0": 64, "MobileNetV3Small": 32}
"""Backbones that are exported with all their layers, and the size of their input, px."""


@pytest.mark.parametrize(
    ("backbone", "size", "whole"),
    [
        ("efficientnet-lite0", 64, False),
        pytest.param("ConvNeXtTiny", 32, False, marks=pytest.mark.slow),
        *(pytest.param(name, size, True, marks=pytest.mark.slow) for name, size in WHOLE.items()),
    ],
)
@pytest.mark.filterwarnings("ignore:This model usually expects 1 or 3 input channels")
def test_it_survives_a_keras_archive_and_export(
    backbone: str, size: int, whole: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    from lociscope.storage.onnx_files import check_onnx
    from lociscope.training.export import to_onnx

    if not whole:  # every kind of layer, but few and narrow ones: for all of ConvNeXtTiny the converter took 6 GB
        monkeypatch.setattr(applications, "_built", small_convnext)
        monkeypatch.setattr(efficientnet_lite, "STAGES", efficientnet_lite.STAGES[:3])
    weights = "imagenet" if whole and backbone == "efficientnet-lite0" else "none"
    network = build_network("pretrained", size, {"backbone": backbone, "weights": weights})
    x = np.random.default_rng(1).random((2, size, size, 4), np.float32)
    again = archived(network, x, tmp_path)
    model = to_onnx(again)
    check_onnx(model, "model.onnx")
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    for name, value in again(x, training=False).items():
        (found,) = session.run([name], {session.get_inputs()[0].name: x})
        np.testing.assert_allclose(found, value, atol=1e-5, rtol=1e-5)


def small_convnext(_name: str, **arguments: object) -> keras.Model:
    from keras.src.applications.convnext import ConvNeXt

    return ConvNeXt([1] * 4, [8] * 4, include_top=False, include_preprocessing=False, weights=None, **arguments)


@pytest.mark.slow
@pytest.mark.parametrize(("backbone", "size"), [("InceptionResNetV2", 75), ("ConvNeXtTiny", 32)])
def test_large_ones_survive_a_keras_archive_at_their_smallest(backbone: str, size: int, tmp_path: Path) -> None:
    network = build_network("pretrained", size, {"backbone": backbone, "weights": "none"})
    archived(network, np.random.default_rng(1).random((1, size, size, 4), np.float32), tmp_path)


@pytest.mark.parametrize(
    "name",
    ["pretrained", "frozen", "competition-resnet50v2", pytest.param("competition-densenet121", marks=pytest.mark.slow)],
)
def test_stages_of_shipped_recipes_name_layers_that_are_there(name: str) -> None:
    recipe = Recipe.read(name, {"network.weights": "none", "data.size": 64})
    network = build_network(recipe.network.name, recipe.data.size, recipe.network.options)
    check_stages(network, recipe)
    text = (SHIPPED / f"{name}.toml").read_text()
    assert f"{network.count_params():,}" in text  # as its header says
    assert ("ot yet run" in text) == (name != "pretrained")
    if name == "frozen":
        freeze(network, recipe.stages[0].unfreeze_from)
        learned = sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)
        assert f"{learned:,}" in text


@pytest.mark.slow
def test_it_learns_in_bfloat16() -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = build_network("pretrained", 64, {})
    finally:
        keras.config.set_dtype_policy("float32")
    assert network.get_layer("stem_conv").compute_dtype == "bfloat16"
    assert network.get_layer("stem_conv").kernel.dtype == "float32"
    plain = embedded(build_network("pretrained", 64, {}), X)
    rounded = embedded(network, X).astype(np.float32)
    assert np.corrcoef(plain.ravel(), rounded.ravel())[0, 1] > 0.98
    model = keras.Model(network.input, network.get_layer("logits").output)
    model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
    assert np.isfinite(model.train_on_batch(X, np.zeros((2, N_LABELS))))
