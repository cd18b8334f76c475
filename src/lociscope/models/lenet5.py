"""LeNet-5: as LeCun, Bottou, Bengio and Haffner published it in 1998, and brought up to date.

Source: *Gradient-based learning applied to document recognition*, Proc. IEEE 86(11), section II.B.
"""

from __future__ import annotations

from functools import partial
from typing import Literal, get_args

import keras
import numpy as np
from keras import layers, ops

from lociscope.models.heads import Pooling, check_choice, check_options, location_head
from lociscope.models.inputs import MapSubset, field_input

Activation = Literal["relu", "tanh"]
Pool = Literal["max", "average"]
Norm = Literal["batch", "none"]

# Table I of the paper: which of S2's six maps each of C3's sixteen maps sees.
C3_TABLE: tuple[tuple[int, ...], ...] = (
    *[tuple((first + step) % 6 for step in range(3)) for first in range(6)],
    *[tuple((first + step) % 6 for step in range(4)) for first in range(6)],
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)  # fmt: skip


@keras.saving.register_keras_serializable("lociscope")
def scaled_tanh(x: keras.KerasTensor) -> keras.KerasTensor:
    """Return the paper's squashing function, 1.7159 tanh(2x/3) (appendix A)."""
    return 1.7159 * ops.tanh(2 / 3 * x)


@keras.saving.register_keras_serializable("lociscope")
class Subsampling(layers.Layer):
    """S2 and S4: the sum of each 2 × 2 block times a trainable coefficient, plus a bias; two numbers a map."""

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Create the two numbers of each map."""
        self.coefficient = self.add_weight(shape=(shape[-1],), initializer=keras.initializers.Constant(0.25))
        self.bias = self.add_weight(shape=(shape[-1],), initializer="zeros")

    def call(self, maps: keras.KerasTensor) -> keras.KerasTensor:
        """Halve (n, h, w, c) in height and width."""
        blocks = 4 * ops.average_pool(maps, 2, strides=2)
        return blocks * self.coefficient + self.bias


@keras.saving.register_keras_serializable("lociscope")
class RadialBasis(layers.Layer):
    """The published output: squared distance of F6's state to a fixed code of ±1 for each class.

    Args:
        classes: Number of classes.
    """

    def __init__(self, classes: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.classes = classes

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Create the codes: bitmaps of 7 × 12 in the paper, fixed random signs here."""
        signs = np.sign(np.random.default_rng(1998).standard_normal((self.classes, int(shape[-1] or 0))))
        self.codes = self.add_weight(
            shape=signs.shape, initializer=lambda *_, **__: ops.convert_to_tensor(signs, "float32"), trainable=False
        )

    def call(self, state: keras.KerasTensor) -> keras.KerasTensor:
        """Return (n, classes), small where the state is near a class's code."""
        return ops.sum(ops.square(state[:, None, :] - self.codes), axis=-1)

    def get_config(self) -> dict[str, object]:
        """Return Keras' description of the layer."""
        return {**super().get_config(), "classes": self.classes}


def _published_features(inputs: keras.KerasTensor) -> keras.KerasTensor:
    """Apply C1 to F6; the output map is 1 × 1 for 32 × 32 pixels; on larger inputs F6 is computed at each position."""
    x = layers.Conv2D(6, 5, activation=scaled_tanh, name="C1")(inputs)
    x = layers.Activation(scaled_tanh, name="S2_tanh")(Subsampling(name="S2")(x))
    maps = [
        layers.Conv2D(1, 5, name=f"C3_{number}")(MapSubset(seen, name=f"S2_for_C3_{number}")(x))
        for number, seen in enumerate(C3_TABLE)
    ]
    x = layers.Activation(scaled_tanh, name="C3")(layers.Concatenate(name="C3_maps")(maps))
    x = layers.Activation(scaled_tanh, name="S4_tanh")(Subsampling(name="S4")(x))
    x = layers.Conv2D(120, 5, activation=scaled_tanh, name="C5")(x)
    return layers.Conv2D(84, 1, activation=scaled_tanh, name="F6")(x)


def lenet5_published(classes: int = 10) -> keras.Model:
    """Build LeNet-5 for its published input and classes: 32 × 32 grey pixels, ten digits, 60,000 trainable parameters.

    Args:
        classes: Number of classes.

    Returns:
        A model from (n, 32, 32, 1) to squared distances (n, classes).
    """
    # === Layers and functional model ===
    inputs = layers.Input((32, 32, 1), name="digit")
    state = layers.Flatten(name="state")(_published_features(inputs))
    return keras.Model(inputs, RadialBasis(classes, name="output")(state), name="lenet5_published")


def lenet5_1998(size: int, channels: str = "RGBY") -> keras.Model:
    """Build LeNet-5 of 1998, adapted to fields; every deviation from the paper is one of these.

    1. Four input channels for one (C1 has 606 parameters for 156), in 0–1 for −0.1…1.175.
    2. Any size from 32 px up: C5 and F6 stand at each position, as in the paper's own replicated networks
       (section VII), and their evidence is averaged.
    3. 28 independent sigmoids for ten distances to codes: several classes can be true at once; their biases start at
       the prior.
    4. Keras' Glorot initialisation for uniform ±2.4/fan-in, and ¼ for the coefficients of S2 and S4.
    5. Whatever loss, optimiser, batch and augmentation the recipe names, for the paper's criterion on distances
       (section II.C) and stochastic diagonal Levenberg–Marquardt, one pattern at a time.

    Args:
        size: Side of the input in px, at least 32.
        channels: Letters of the channels seen, of RGBY.

    Returns:
        The model; see `lociscope.models.build_network`.
    """
    if size < 32:
        raise ValueError(f"LeNet-5 needs at least 32 px, received size {size}")
    # === Layers and functional model ===
    inputs, x = field_input(size, channels)
    outputs = location_head(_published_features(x), "average", dropout=0.0)
    return keras.Model(inputs, outputs, name="lenet5_1998")


def _convolution(
    maps: int, kernel: int, name: str, strides: int = 1, *, width: float, activation: Activation, norm: Norm
) -> list[layers.Layer]:
    """Return the layers of a convolution of `lenet5`."""
    normalization = [layers.BatchNormalization(name=f"{name}_norm")] if norm == "batch" else []
    return [
        layers.Conv2D(round(maps * width), kernel, strides, padding="same", use_bias=not normalization, name=name),
        *normalization,
        layers.Activation(activation, name=f"{name}_{activation}"),
    ]


def lenet5(
    size: int,
    channels: str = "RGBY",
    width: float = 1.0,
    pooling: Pooling = "average",
    dropout: float = 0.2,
    downsample: int = 1,
    activation: Activation = "relu",
    pool: Pool = "max",
    norm: Norm = "batch",
) -> keras.Model:
    """Build LeNet-5 with each choice brought up to date: C1, S2, C3, S4, C5, F6 remain.

    ReLU for tanh, batch normalisation before it, maximum for trainable subsampling, full for partial connection,
    16 and 32 maps for 6 and 16 in C1 and C3, same for valid padding, C5 and F6 as convolutions with dropout, and a
    head that pools the evidence of all positions. The options take single choices back.

    Args:
        size: Side of the input in px.
        channels: Letters of the channels seen, of RGBY.
        width: Factor on the 16, 32, 120 and 84 maps, in 0.1–8.
        pooling: How the head pools evidence; see `lociscope.models.heads.location_head`.
        dropout: Share of F6's features dropped in training, in 0–0.9.
        downsample: Stride of C1, 1 or 2.
        activation: `relu` or `tanh`.
        pool: What S2 and S4 keep of 2 × 2 pixels, `max` or `average`.
        norm: `batch`, or `none` for a bias alone.

    Returns:
        The model; see `lociscope.models.build_network`.
    """
    check_options(width, dropout)
    check_choice("downsample", downsample, (1, 2))
    check_choice("activation", activation, get_args(Activation))
    check_choice("pool", pool, get_args(Pool))
    check_choice("norm", norm, get_args(Norm))
    subsampling = layers.MaxPooling2D if pool == "max" else layers.AveragePooling2D

    # === Layers ===
    convolution = partial(_convolution, width=width, activation=activation, norm=norm)
    body = [
        *convolution(16, 5, "C1", downsample),
        subsampling(2, name="S2"),
        *convolution(32, 5, "C3"),
        subsampling(2, name="S4"),
        *convolution(120, 5, "C5"),
        *convolution(84, 1, "F6"),
    ]

    # === Functional model ===
    inputs, x = field_input(size, channels)
    for layer in body:
        x = layer(x)
    return keras.Model(inputs, location_head(x, pooling, dropout), name="lenet5")
