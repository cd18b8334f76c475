"""What a network sees of a field."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest

from lociscope.models import build_network, load_network
from lociscope.models.inputs import LETTERS, field_input

if TYPE_CHECKING:
    from pathlib import Path

PIXELS = np.random.default_rng(0).random((2, 8, 8, 4), np.float32)


@pytest.mark.parametrize("channels", ["G", "RGB", "GBY", "RGBY", "YG"])
def test_only_the_named_channels_are_seen(channels: str) -> None:
    inputs, seen = field_input(8, channels)
    assert inputs.shape == (None, 8, 8, 4)
    given = np.asarray(keras.Model(inputs, keras.layers.Identity()(seen))(PIXELS))
    np.testing.assert_array_equal(given, PIXELS[..., [LETTERS.index(letter) for letter in channels]])


def test_all_channels_need_no_layer() -> None:
    inputs, seen = field_input(8)
    assert seen is inputs
    assert inputs.name == "field"


@pytest.mark.parametrize("channels", ["", "RBY", "GG", "RGX", "rgb", 4, None, ["G"]])
def test_other_channels_are_refused(channels: str) -> None:
    with pytest.raises(ValueError, match="some of RGBY, each once, with G among them"):
        field_input(8, channels)


def test_the_choice_survives_a_keras_archive(tmp_path: Path) -> None:
    inputs, seen = field_input(8, "GB")
    keras.Model(inputs, keras.layers.GlobalMaxPooling2D()(seen)).save(tmp_path / "network.keras")
    again = load_network(tmp_path / "network.keras")
    np.testing.assert_array_equal(again(PIXELS), PIXELS[..., 1:3].max(axis=(1, 2)))


@pytest.mark.parametrize("name", ["lenet5-1998", "lenet5", "alexnet-2012", "alexnet", "gapnet-pl", "small"])
def test_every_network_has_the_option(name: str) -> None:
    """What is not seen has no part in the answer."""
    small = {"units": 16} if name == "alexnet-2012" else {}
    network = build_network(name, 67, {"channels": "G", **small})
    field = np.random.default_rng(1).random((1, 67, 67, 4), np.float32)
    blank = field * np.array([0, 1, 0, 0], np.float32)
    np.testing.assert_array_equal(network(field)["probabilities"], network(blank)["probabilities"])
