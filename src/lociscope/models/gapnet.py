"""GapNet-PL: averages of filters at several depths, side by side, for proteins in cells.

Source: Rumetshofer, Hofmarcher, Röhrl, Hochreiter and Klambauer, *Human-level protein localization with convolutional
neural networks*, ICLR 2019, whose abstract says: global averages of filters at different abstraction levels. All else
is taken from the authors' own code (github.com/ml-jku/gapnet-pl): maps, kernels, strides, SELU and units from
`tensorflow_models/architectures.py`, dropout from `configs/gapnet-pl.json`; nothing had to be guessed. With its 13
classes that makes 626,221 parameters, in float32 the 2.5 MB of the checkpoint beside it.
"""

from __future__ import annotations

from typing import Literal, get_args

import keras
from keras import layers

from lociscope.labels import N_LABELS
from lociscope.models.heads import PRIOR_LOGIT, check_choice, check_options
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
    if not 16 <= units <= 8192:
        raise ValueError(f"units must be in 16–8192, received {units}")
    start = "lecun_normal" if activation == "selu" else "he_normal"
    drop = layers.AlphaDropout if activation == "selu" else layers.Dropout

    # === Layers ===
    def active(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        if activation == "prelu":
            return layers.PReLU(shared_axes=list(range(1, x.ndim - 1)), name=f"{name}_prelu")(x)
        return layers.Activation(activation, name=f"{name}_{activation}")(x)

    def convolution(x: keras.KerasTensor, maps: int, strides: int, name: str) -> keras.KerasTensor:
        x = layers.Conv2D(
            round(maps * width),
            3,
            strides,
            padding="same",
            use_bias=norm == "none",
            kernel_initializer=start,
            name=name,
        )(x)
        return active(layers.BatchNormalization(name=f"{name}_norm")(x) if norm == "batch" else x, name)

    def dense(x: keras.KerasTensor, number: int) -> keras.KerasTensor:
        return active(layers.Dense(units, kernel_initializer=start, name=f"fc{number}")(x), f"fc{number}")

    # === Functional model ===
    inputs, x = field_input(size, channels)
    averages = []
    for number, block in enumerate(BLOCKS, start=1):
        for step, (maps, strides) in enumerate(block, start=1):
            x = convolution(x, maps, strides, f"conv{number}_{step}")
        if number < len(BLOCKS):
            x = layers.MaxPooling2D(2, padding="same", name=f"pool{number}")(x)
        averages.append(layers.GlobalAveragePooling2D(name=f"average{number}", dtype="float32")(x))
    x = layers.Concatenate(name="averages", dtype="float32")(averages)
    x = dense(x, 1)
    embedding = dense(drop(dropout, name="dropout1")(x), 2)
    x = drop(dropout, name="dropout2", dtype="float32")(embedding)
    logits = layers.Dense(
        N_LABELS,
        kernel_initializer=start,
        bias_initializer=keras.initializers.Constant(PRIOR_LOGIT),
        name="logits",
        dtype="float32",
    )(x)
    outputs = {
        "probabilities": layers.Activation("sigmoid", name="probabilities", dtype="float32")(logits),
        "embedding": layers.Activation("linear", name="embedding", dtype="float32")(embedding),
    }
    return keras.Model(inputs, outputs, name="gapnet_pl")
