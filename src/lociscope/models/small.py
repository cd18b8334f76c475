"""A small residual network, which trains on fields of 0.64 µm/px in an hour on two cores.

Residual blocks with the normalisation before the addition, after He, Zhang, Ren and Sun, *Deep residual learning for
image recognition*, CVPR 2016, figure 2 and section 4.2. The stem looks at 7 × 7 pixels, 4.5 µm, and moves by four: at
full resolution it is one layer deep, which is where most of a network's time goes.
"""

from __future__ import annotations

import keras
from keras import layers

from lociscope.models.heads import Pooling, check_options, location_head
from lociscope.models.inputs import field_input

STAGES = ((64, 2), (128, 2), (128, 1))
"""Maps and stride of each block."""


def small(
    size: int, channels: str = "RGBY", width: float = 1.0, pooling: Pooling = "average", dropout: float = 0.3
) -> keras.Model:
    """Build the network of `recipes/small.toml`.

    Args:
        size: Side of the input in px; the evidence has a sixteenth of it.
        channels: Letters of the channels seen, of RGBY.
        width: Factor on the numbers of maps, in 0.1–8.
        pooling: How the head pools evidence; see `lociscope.models.heads.location_head`.
        dropout: Share of features dropped in training, in 0–0.9.

    Returns:
        The model; see `lociscope.models.build_network`.
    """
    check_options(width, dropout)

    # === Layers ===
    def convolution(x: keras.KerasTensor, maps: int, kernel: int, name: str, strides: int = 1) -> keras.KerasTensor:
        x = layers.Conv2D(maps, kernel, strides, padding="same", use_bias=False, name=name)(x)
        return layers.BatchNormalization(name=f"{name}_norm")(x)

    def block(x: keras.KerasTensor, maps: int, name: str, strides: int) -> keras.KerasTensor:
        y = layers.ReLU(name=f"{name}_relu1")(convolution(x, maps, 3, f"{name}_conv1", strides))
        y = convolution(y, maps, 3, f"{name}_conv2")
        past = layers.AveragePooling2D(strides, padding="same", name=f"{name}_pool")(x) if strides > 1 else x
        past = convolution(past, maps, 1, f"{name}_past")
        return layers.ReLU(name=f"{name}_relu2")(layers.Add(name=f"{name}_add")([y, past]))

    # === Functional model ===
    inputs, x = field_input(size, channels)
    x = layers.ReLU(name="stem_relu")(convolution(x, round(48 * width), 7, "stem", strides=4))
    for number, (maps, strides) in enumerate(STAGES):
        x = block(x, round(maps * width), f"block{number + 1}", strides)
    return keras.Model(inputs, location_head(x, pooling, dropout), name="small")
