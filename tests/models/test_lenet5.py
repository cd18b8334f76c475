"""LeNet-5: the published numbers, and what both forms promise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np
import onnxruntime
import pytest

from lociscope.errors import UsageError
from lociscope.labels import N_LABELS
from lociscope.models import OUTPUTS, build_network, load_network
from lociscope.models.lenet5 import C3_TABLE, lenet5_published, scaled_tanh
from lociscope.training.export import to_onnx

if TYPE_CHECKING:
    from pathlib import Path

# LeCun et al. 1998, section II.B: trainable parameters of each layer.
PUBLISHED = {"C1": 156, "S2": 12, "C3": 1516, "S4": 32, "C5": 48_120, "F6": 10_164}


def test_published_parameters_layer_by_layer() -> None:
    network = lenet5_published()
    counted = dict.fromkeys(PUBLISHED, 0)
    for layer in network.layers:
        name = layer.name.partition("_")[0]
        if name in counted:
            counted[name] += sum(int(np.prod(weight.shape)) for weight in layer.trainable_weights)
    assert counted == PUBLISHED
    assert sum(int(np.prod(weight.shape)) for weight in network.trainable_weights) == 60_000
    assert network.output_shape == (None, 10)


def test_c3_sees_what_table_i_says() -> None:
    assert [len(seen) for seen in C3_TABLE] == [3] * 6 + [4] * 9 + [6]
    columns = np.zeros((6, 16), int)
    for column, seen in enumerate(C3_TABLE):
        columns[list(seen), column] = 1
    assert columns.sum(axis=1).tolist() == [10] * 6  # each map of S2 feeds ten of C3
    assert len({tuple(sorted(seen)) for seen in C3_TABLE}) == 16


def test_scaled_tanh_passes_through_one() -> None:
    assert float(scaled_tanh(np.float32(1.0))) == pytest.approx(1.0, abs=1e-4)
    assert float(scaled_tanh(np.float32(-1.0))) == pytest.approx(-1.0, abs=1e-4)


@pytest.mark.parametrize("name", ["lenet5-1998", "lenet5"])
def test_outputs_are_what_a_bundle_needs(name: str) -> None:
    network = build_network(name, 64, {})
    outputs = network(np.random.default_rng(0).random((2, 64, 64, 4), np.float32), training=False)
    assert set(outputs) == set(OUTPUTS)
    probability = np.asarray(outputs["probabilities"])
    assert probability.shape == (2, N_LABELS)
    assert ((probability > 0) & (probability < 1)).all()
    assert outputs["evidence"].shape[-1] == N_LABELS
    assert outputs["embedding"].shape == (2, 84)


def test_each_choice_can_be_taken_back() -> None:
    plain = build_network("lenet5", 64, {"norm": "none", "activation": "tanh", "pool": "average"})
    assert not [layer for layer in plain.layers if "norm" in layer.name]
    assert plain.get_layer("C1").use_bias
    assert isinstance(plain.get_layer("S2"), keras.layers.AveragePooling2D)
    assert float(np.abs(plain.get_layer("F6_tanh")(np.array([-9, 9], np.float32))).max()) == pytest.approx(1)
    assert build_network("lenet5", 64, {}).count_params() == 123_868  # as the header of recipes/lenet5.toml says
    assert build_network("lenet5", 64, {"channels": "G"}).get_layer("C1").kernel.shape == (5, 5, 1, 16)
    assert build_network("lenet5-1998", 64, {}).count_params() == 62_830
    assert build_network("lenet5-1998", 64, {"channels": "G"}).get_layer("C1").count_params() == PUBLISHED["C1"]


def test_the_1998_network_is_the_published_one_on_its_own_size() -> None:
    network = build_network("lenet5-1998", 32, {})
    assert network.get_layer("F6").output.shape == (None, 1, 1, 84)
    published = lenet5_published()
    for name in ("S2", "S4", "C5", "F6"):
        assert network.get_layer(name).count_params() == published.get_layer(name).count_params()


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("lenet", {}, "Did you mean 'lenet5'"),
        ("lenet5", {"widht": 2}, "Did you mean 'width'"),
        ("lenet5", {"width": 100.0}, "0.1–8"),
        ("lenet5", {"dropout": 1.0}, "0–0.9"),
        ("lenet5", {"downsample": 3}, "one of 1, 2"),
        ("lenet5", {"pooling": "median"}, "average, max, lse"),
        ("lenet5", {"width": "wide"}, "cannot be built"),
        ("lenet5", {"norm": "layer"}, "batch, none"),
        ("lenet5", {"pool": "min"}, "max, average"),
        ("lenet5", {"activation": "gelu"}, "relu, tanh"),
        ("lenet5", {"channels": "RB"}, "G among them"),
        ("lenet5-1998", {"width": 2}, "has no option 'width'"),
    ],
)
def test_wrong_networks_are_refused(name: str, options: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        build_network(name, 64, options)


def test_too_small_for_lenet() -> None:
    with pytest.raises(UsageError, match="at least 32 px"):
        build_network("lenet5-1998", 16, {})


@pytest.mark.slow
def test_layers_survive_a_keras_archive_and_export(tmp_path: Path) -> None:
    network = build_network("lenet5-1998", 32, {})
    network.save(tmp_path / "network.keras")
    x = np.random.default_rng(2).random((2, 32, 32, 4), np.float32)
    again = load_network(tmp_path / "network.keras")
    expected = network(x, training=False)
    np.testing.assert_array_equal(again(x, training=False)["probabilities"], expected["probabilities"])
    session = onnxruntime.InferenceSession(to_onnx(again), providers=["CPUExecutionProvider"])
    for name, value in expected.items():
        (found,) = session.run([name], {session.get_inputs()[0].name: x})
        np.testing.assert_allclose(found, value, atol=1e-5)
