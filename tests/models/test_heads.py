"""The head: with every pooling, the map of evidence explains the very answer."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, get_args

import keras
import numpy as np
import onnxruntime
import pytest

from lociscope.labels import N_LABELS
from lociscope.models import load_network
from lociscope.models.heads import (
    POSITIVES_PRIOR,
    GatedAttention,
    GeneralisedMean,
    Pooling,
    check_choice,
    check_options,
    location_head,
)

if TYPE_CHECKING:
    from pathlib import Path

POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
SIDE, DEPTH = 6, 8
FEATURES = np.maximum(np.random.default_rng(0).normal(size=(5, SIDE, SIDE, DEPTH)), 0).astype(np.float32)


def head(pooling: Pooling, dropout: float = 0.0) -> keras.Model:
    features = keras.layers.Input((SIDE, SIDE, DEPTH), name="features")
    return keras.Model(features, location_head(features, pooling, dropout), name=pooling)


@pytest.fixture(scope="module")
def heads() -> keras.Model:
    """All of them side by side, every weight moved away from its start."""
    keras.utils.set_random_seed(1)
    features = keras.layers.Input((SIDE, SIDE, DEPTH), name="features")
    made = {pooling: head(pooling) for pooling in POOLINGS}
    model = keras.Model(features, {pooling: each(features)["probabilities"] for pooling, each in made.items()})
    rng = np.random.default_rng(2)
    model.set_weights([weight + rng.random(weight.shape).astype(np.float32) / 4 for weight in model.get_weights()])
    return model


@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooled_evidence_is_the_logit(heads: keras.Model, pooling: str) -> None:
    outputs = heads.get_layer(pooling)(FEATURES, training=False)
    evidence = np.asarray(outputs["evidence"], np.float64)
    assert evidence.shape == (len(FEATURES), SIDE, SIDE, N_LABELS)
    average, most = evidence.mean(axis=(1, 2)), evidence.max(axis=(1, 2))
    soft = np.log(np.exp(4 * evidence).mean(axis=(1, 2))) / 4
    logits = {"max": most, "lse": soft, "avgmax": (average + most) / 2}.get(pooling, average)
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), np.asarray(outputs["probabilities"]), atol=1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_an_empty_field_starts_at_the_prior(pooling: Pooling) -> None:
    empty = head(pooling)(np.zeros((1, SIDE, SIDE, DEPTH), np.float32))
    np.testing.assert_allclose(empty["probabilities"], POSITIVES_PRIOR, rtol=1e-4)
    np.testing.assert_allclose(1 / (1 + np.exp(-np.asarray(empty["evidence"]))), POSITIVES_PRIOR, rtol=1e-4)


def test_the_generalised_mean_is_that_of_the_paper() -> None:
    maps = np.maximum(FEATURES.astype(np.float64), 1e-6)
    for power in (1.0, 3.0, 60.0):
        layer = GeneralisedMean(power)
        pooled = np.asarray(layer(FEATURES)).mean(axis=(1, 2))
        np.testing.assert_allclose(pooled, (maps**power).mean(axis=(1, 2)) ** (1 / power), rtol=1e-4)
        assert layer.count_params() == 1
    np.testing.assert_allclose(GeneralisedMean(1.0)(FEATURES), FEATURES, atol=2e-6)


def test_attention_is_where_its_weights_look(heads: keras.Model) -> None:
    """By hand, from the weights: a softmax over positions for each place, and its weighted sum."""
    layer = heads.get_layer("attention").get_layer("evidence")
    gates, focus, kernel, bias = (np.asarray(weight, np.float64) for weight in layer.get_weights())
    h = FEATURES.reshape(len(FEATURES), -1, DEPTH).astype(np.float64)
    value, gate = np.split(h @ gates, 2, axis=-1)
    asked = np.exp(np.tanh(value) / (1 + np.exp(-gate)) @ focus)
    attention = asked / asked.sum(axis=1, keepdims=True)
    logits = (attention * (h @ kernel)).sum(axis=1) + bias
    given = np.asarray(heads.get_layer("attention")(FEATURES)["probabilities"])
    np.testing.assert_allclose(given, 1 / (1 + np.exp(-logits)), atol=1e-5)


def test_onnx_says_the_same(heads: keras.Model, tmp_path: Path) -> None:
    path, expected = tmp_path / "heads.onnx", heads(FEATURES, training=False)
    with warnings.catch_warnings():  # Keras' own patch of tf2onnx for numpy 2 warns of itself
        warnings.filterwarnings("ignore", "In the future `np.object`", FutureWarning)
        heads.export(path, format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    given = dict(zip(names, session.run(names, {session.get_inputs()[0].name: FEATURES}), strict=True))
    assert set(given) == set(POOLINGS)
    for pooling in POOLINGS:
        assert np.abs(given[pooling] - np.asarray(expected[pooling])).max() <= 1e-5


def test_they_survive_a_keras_archive(heads: keras.Model, tmp_path: Path) -> None:
    heads.save(tmp_path / "heads.keras")
    again, expected = load_network(tmp_path / "heads.keras")(FEATURES), heads(FEATURES)
    for pooling in POOLINGS:
        np.testing.assert_array_equal(again[pooling], expected[pooling])


@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_answer_keeps_its_digits_in_mixed_precision(pooling: Pooling) -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        features = keras.layers.Input((SIDE, SIDE, DEPTH))
        maps = keras.layers.Conv2D(DEPTH, 1, activation="relu", name="body")(features)
        outputs = location_head(maps, pooling, 0.2)
    finally:
        keras.config.set_dtype_policy("float32")
    assert maps.dtype == "bfloat16"
    assert {output.dtype for output in outputs.values()} == {"float32"}
    model = keras.Model(features, outputs["probabilities"])
    model.compile("sgd", "binary_crossentropy")
    loss = model.train_on_batch(FEATURES, np.zeros((len(FEATURES), N_LABELS), np.float32))
    assert np.isfinite(loss)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_the_mean_never_falls_below_the_average() -> None:
    layer = GeneralisedMean(1.0)
    features = keras.layers.Input((SIDE, SIDE, DEPTH))
    model = keras.Model(features, keras.layers.GlobalAveragePooling2D()(layer(features)))
    model.compile(keras.optimizers.SGD(1.0), "mse")
    model.train_on_batch(FEATURES, np.zeros((len(FEATURES), DEPTH), np.float32))  # asks for less than the average
    assert float(layer.excess) == 0


def test_other_poolings_are_refused() -> None:
    with pytest.raises(ValueError, match="average, max, lse, avgmax, gem, attention, received 'median'"):
        head("median")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="stride must be one of 2, 4, received 3"):
        check_choice("stride", 3, (2, 4))


@pytest.mark.parametrize(
    ("width", "dropout", "said"),
    [(9, 0.5, "width must be in 0.1–8"), (1, 1, "dropout must be in 0–0.9"), (1, "x", "dropout must be a number")],
)
def test_options_that_no_network_takes(width: Any, dropout: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_options(width, dropout)


def test_attention_saved_under_its_old_name_loads() -> None:
    old = {"name": "attention", "places": 5, "hidden": 8, "bias": 0.5}
    layer = GatedAttention.from_config(old)
    assert (layer.classes, layer.hidden, layer.start) == (5, 8, 0.5)
    assert GatedAttention.from_config(layer.get_config()).classes == 5
