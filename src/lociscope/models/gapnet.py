"""GapNet-PL: averages of filters at several depths, side by side, for proteins in cells.

Source: Rumetshofer, Hofmarcher, Röhrl, Hochreiter and Klambauer, *Human-level protein localization with convolutional
neural networks*, ICLR 2019, whose abstract says: global averages of filters at different abstraction levels. All else
is taken from the authors' own code (github.com/ml-jku/gapnet-pl): maps, kernels, strides, SELU and units from
`tensorflow_models/architectures.py`, dropout from `configs/gapnet-pl.json`; nothing had to be guessed. With its 13
classes that makes 626,221 parameters, in float32 the 2.5 MB of the checkpoint beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import keras
from keras import layers

from lociscope.labels import N_LABELS
from lociscope.models.heads import PRIOR_LOGIT, check_choice, check_options, check_units
from lociscope.models.inputs import field_input

Activation = Literal["selu", "relu", "prelu"]
Norm = Literal["none", "batch"]

BLOCKS = (((32, 2),), ((64, 2), (64, 1), (64, 1), (64, 1)), ((128, 1), (128, 1), (128, 1)))
"""Maps and stride of each 3 × 3 convolution; pooling of 2 × 2 follows the first two blocks."""


def gapnet_pl(
    size: int,
    channels: str = "RGBY",
    width: float = 1.0,
    activation: Activation = "selu",
    norm: Norm = "none",
    units: int = 256,
    dropout: float = 0.3,
) -> keras.Model:
    """Build GapNet-PL, adapted to fields; every deviation from the published network is one of these.

    1. 28 sigmoids for 13, whose biases start at the prior.
    2. Any size, for crops of 1024 px; channels scaled to 0–1 by percentiles, for mean 0 and variance 1 of each image.
    3. Whatever optimiser the recipe names, for SGD with momentum 0.9, a rate halved on plateaus, and L1 and L2
       penalties.

    The network has no `evidence`: with dense layers between averages and logits, no logit is a sum over positions.

    Args:
        size: Side of the input in px.
        channels: Letters of the channels seen, of RGBY.
        width: Factor on the 32, 64 and 128 maps, in 0.1–8.
        activation: `selu`, with the dropout that keeps mean and variance, `relu` or `prelu`.
        norm: `none`, or `batch` before the activation of each convolution.
        units: Width of the two dense layers, 16–8192.
        dropout: Share of their units dropped in training, in 0–0.9.

    Returns:
        The model, with the outputs `probabilities` (n, 28) and `embedding` (n, units), the second dense layer.
    """
    check_options(width, dropout)
    check_choice("activation", activation, get_args(Activation))
    check_choice("norm", norm, get_args(Norm))
    check_units(units, 16)

    # === Layers ===
    own = _Layers(activation, norm)

    # === Functional model ===
    inputs, x = field_input(size, channels)
    averages = []
    for number, block in enumerate(BLOCKS, start=1):
        for step, (maps, strides) in enumerate(block, start=1):
            x = own.convolution(x, round(maps * width), strides, f"conv{number}_{step}")
        if number < len(BLOCKS):
            x = layers.MaxPooling2D(2, padding="same", name=f"pool{number}")(x)
        averages.append(layers.GlobalAveragePooling2D(name=f"average{number}", dtype="float32")(x))
    x = layers.Concatenate(name="averages", dtype="float32")(averages)
    return keras.Model(inputs, own.head(x, units, dropout), name="gapnet_pl")


@dataclass(frozen=True, slots=True)
class _Layers:
    """The layers of GapNet-PL with one choice of activation and normalisation."""

    activation: Activation
    norm: Norm

    @property
    def initializer(self) -> str:
        return "lecun_normal" if self.activation == "selu" else "he_normal"

    def activate(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        if self.activation == "prelu":
            return layers.PReLU(shared_axes=list(range(1, x.ndim - 1)), name=f"{name}_prelu")(x)
        return layers.Activation(self.activation, name=f"{name}_{self.activation}")(x)

    def convolution(self, x: keras.KerasTensor, maps: int, strides: int, name: str) -> keras.KerasTensor:
        options = {"padding": "same", "use_bias": self.norm == "none", "kernel_initializer": self.initializer}
        x = layers.Conv2D(maps, 3, strides, name=name, **options)(x)
        return self.activate(layers.BatchNormalization(name=f"{name}_norm")(x) if self.norm == "batch" else x, name)

    def dense(self, x: keras.KerasTensor, units: int, name: str) -> keras.KerasTensor:
        return self.activate(layers.Dense(units, kernel_initializer=self.initializer, name=name)(x), name)

    def head(self, averages: keras.KerasTensor, units: int, dropout: float) -> dict[str, keras.KerasTensor]:
        drop = layers.AlphaDropout if self.activation == "selu" else layers.Dropout
        x = self.dense(averages, units, "fc1")
        embedding = self.dense(drop(dropout, name="dropout1")(x), units, "fc2")
        x = drop(dropout, name="dropout2", dtype="float32")(embedding)
        bias = keras.initializers.Constant(PRIOR_LOGIT)
        logits = layers.Dense(
            N_LABELS, kernel_initializer=self.initializer, bias_initializer=bias, name="logits", dtype="float32"
        )(x)
        return {
            "probabilities": layers.Activation("sigmoid", name="probabilities", dtype="float32")(logits),
            "embedding": layers.Activation("linear", name="embedding", dtype="float32")(embedding),
        }
