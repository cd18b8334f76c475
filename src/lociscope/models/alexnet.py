"""AlexNet: as Krizhevsky, Sutskever and Hinton published it in 2012, and brought up to date.

Source: *ImageNet classification with deep convolutional neural networks*, NIPS 2012, sections 3–5. The paper speaks of
224 × 224 pixels; its numbers of neurons and 55 × 55 positions after the first layer want 227.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import keras
import numpy as np
from keras import layers, ops

from lociscope.models.heads import Pooling, check_choice, check_options, check_units, location_head
from lociscope.models.inputs import MapSubset, field_input

K, NEAREST, ALPHA = 2.0, 5, 1e-4
"""Of section 3.3, with beta = 0.75."""

Stem = Literal["11x11", "7x7", "5x5", "3x3"]
Norm = Literal["batch", "response", "none"]
Activation = Literal["relu", "tanh"]

KERNELS: dict[Stem, tuple[int, ...]] = {"11x11": (11,), "7x7": (7,), "5x5": (5,), "3x3": (3, 3, 3)}
"""Of the first layer, or of the stack in its place."""


@keras.saving.register_keras_serializable("lociscope")
class LocalResponse(layers.Layer):
    """Divide each map by (2 + 1e-4 Σ a²)^0.75, the sum over the five maps around it (section 3.3).

    The sum is a product with a band of ones and the power two square roots, a tenth of the time of shifting and adding.
    It is computed in float32 whatever the policy: beside 2, bfloat16 loses what is below 0.008.
    """

    def call(self, maps: keras.KerasTensor) -> keras.KerasTensor:
        """Normalise (n, h, w, c)."""
        number = np.arange(maps.shape[-1])
        band = (abs(number[:, None] - number) <= NEAREST // 2).astype(np.float32)
        x = ops.cast(maps, "float32")
        root = ops.rsqrt(K + ALPHA * ops.matmul(ops.square(x), band))
        return ops.cast(x * root * ops.sqrt(root), self.compute_dtype)


def _convolution(
    x: keras.KerasTensor,
    maps: int,
    kernel: int,
    name: str,
    groups: int = 1,
    **options: Any,  # noqa: ANN401 - of Conv2D
) -> keras.KerasTensor:
    """Apply a convolution, or with two groups one for each half of the maps, as on the paper's two GPUs.

    Keras' own groups need XLA on a CPU and cannot be exported.
    """
    if groups == 1:
        return layers.Conv2D(maps, kernel, name=name, **options)(x)
    half = x.shape[-1] // 2
    parts = [
        layers.Conv2D(maps // 2, kernel, name=f"{name}_{gpu}", **options)(
            MapSubset(tuple(range(start, start + half)), name=f"{name}_sees_{gpu}")(x)
        )
        for gpu, start in (("a", 0), ("b", half))
    ]
    return layers.Concatenate(name=name)(parts)


def _published_features(x: keras.KerasTensor, groups: int, units: int) -> keras.KerasTensor:
    """Apply layers 1 to 7; the output map is 1 × 1 for 227 × 227 pixels, and larger for larger inputs."""

    def layer(x: keras.KerasTensor, maps: int, kernel: int, number: int, **options: Any) -> keras.KerasTensor:  # noqa: ANN401
        # section 5: Gaussians of 0.01, and biases of 1 in layers 2, 4, 5 and the dense ones, so that their ReLUs learn
        bias = keras.initializers.Constant(0.0 if number in (1, 3) else 1.0)
        start = keras.initializers.RandomNormal(stddev=0.01)
        name = f"fc{number}" if number > 5 else f"conv{number}"
        x = _convolution(x, maps, kernel, name, kernel_initializer=start, bias_initializer=bias, **options)
        return layers.ReLU(name=f"relu{number}")(x)

    x = LocalResponse(name="norm1")(layer(x, 96, 11, 1, strides=4))
    x = layers.MaxPooling2D(3, 2, name="pool1")(x)
    x = LocalResponse(name="norm2")(layer(x, 256, 5, 2, groups=groups, padding="same"))
    x = layers.MaxPooling2D(3, 2, name="pool2")(x)
    x = layer(x, 384, 3, 3, padding="same")
    x = layer(x, 384, 3, 4, groups=groups, padding="same")
    x = layer(x, 256, 3, 5, groups=groups, padding="same")
    x = layers.MaxPooling2D(3, 2, name="pool5")(x)
    x = layer(x, units, min(6, x.shape[1]), 6)
    return layer(layers.Dropout(0.5, name="dropout6")(x), units, 1, 7)


def alexnet_published(classes: int = 1000, grouped: bool = True) -> keras.Model:
    """Build AlexNet for its published input and classes: 60,965,224 parameters.

    Args:
        classes: Number of classes.
        grouped: Whether layers 2, 4 and 5 see half of the maps each, as on two GPUs; 62,378,344 parameters otherwise.

    Returns:
        A model from (n, 227, 227, 3) to probabilities (n, classes).
    """
    # === Layers and functional model ===
    inputs = layers.Input((227, 227, 3), name="picture")
    x = layers.Flatten(name="flat")(_published_features(inputs, 2 if grouped else 1, 4096))
    x = layers.Dense(classes, activation="softmax", name="fc8")(layers.Dropout(0.5, name="dropout7")(x))
    return keras.Model(inputs, x, name="alexnet_published")


def alexnet_2012(size: int, channels: str = "RGBY", grouped: bool = True, units: int = 4096) -> keras.Model:
    """Build AlexNet of 2012, adapted to fields; every deviation from the paper is one of these.

    1. Four input channels for three. Pixels in 0–1 are multiplied by 255, the paper's scale, without which its first
       weights starve the layers above and the response normalisation does nothing; no mean is subtracted from them.
    2. Any size from 67 px up: fc6 spans what pool5 leaves, up to the paper's 6 × 6, and stands at each position of a
       larger map, whose evidence is averaged. At 227 px there is one position, so evidence does not say where.
    3. 28 independent sigmoids for a softmax over 1000: several classes can be true at once; their biases start at the
       prior, their weights as Keras initialises them.
    4. `units` below 4096 make a bundle that is easier to send: of 57.0 million parameters fc6 and fc7 hold 54.5.
    5. Whatever optimiser, schedule, batch and augmentation the recipe names, for SGD with momentum 0.9, decay 0.0005, a
       rate divided by ten by hand, batches of 128, random crops, mirror images and colours shifted along their
       principal components; one view for the mean of ten when it predicts.

    Args:
        size: Side of the input in px, at least 67.
        channels: Letters of the channels seen, of RGBY.
        grouped: Whether layers 2, 4 and 5 see half of the maps each.
        units: Width of fc6 and fc7, 16–8192.

    Returns:
        The model; see `lociscope.models.build_network`.
    """
    if size < 67:
        raise ValueError(f"AlexNet of 2012 needs at least 67 px, received size {size}")
    check_units(units, 16)
    # === Layers and functional model ===
    inputs, x = field_input(size, channels)
    x = layers.Rescaling(255.0, name="scale")(x)
    outputs = location_head(_published_features(x, 2 if grouped else 1, units), "average", dropout=0.5)
    return keras.Model(inputs, outputs, name="alexnet_2012")


@dataclass(frozen=True, slots=True)
class _Layers:
    """The layers of `alexnet` with one choice of normalisation, activation and pooling windows."""

    norm: Norm
    activation: Activation
    overlap: bool

    def convolution(
        self, x: keras.KerasTensor, maps: int, kernel: int, name: str, strides: int = 1, groups: int = 1
    ) -> keras.KerasTensor:
        biased = self.norm != "batch"
        x = _convolution(x, maps, kernel, name, groups, strides=strides, padding="same", use_bias=biased)
        if self.norm == "batch":
            x = layers.BatchNormalization(name=f"{name}_norm")(x)
        return layers.Activation(self.activation, name=f"{name}_{self.activation}")(x)

    def stem(self, x: keras.KerasTensor, maps: int, stem: Stem, downsample: int) -> keras.KerasTensor:
        kernels = KERNELS[stem]
        strides = (downsample,) if len(kernels) == 1 else (2, downsample // 2, 1)
        for number, (kernel, stride) in enumerate(zip(kernels, strides, strict=True), start=1):
            name = "conv1" if number == len(kernels) else f"conv0_{number}"
            x = self.convolution(x, maps if name == "conv1" else max(maps // 3, 1), kernel, name, stride)
        return x

    def pool(self, x: keras.KerasTensor, number: int) -> keras.KerasTensor:
        if self.norm == "response":
            x = LocalResponse(name=f"norm{number}")(x)
        return layers.MaxPooling2D(3 if self.overlap else 2, 2, padding="same", name=f"pool{number}")(x)


def alexnet(
    size: int,
    channels: str = "RGBY",
    width: float = 1.0,
    stem: Stem = "11x11",
    downsample: int = 4,
    norm: Norm = "batch",
    activation: Activation = "relu",
    overlap: bool = True,
    groups: int = 1,
    units: int = 0,
    pooling: Pooling = "average",
    dropout: float = 0.5,
) -> keras.Model:
    """Build AlexNet with each choice brought up to date: five convolutions and two poolings remain.

    Batch normalisation before the ReLU for local response normalisation after it, no groups, same padding everywhere,
    and for pool5, fc6 and fc7 a head that pools the evidence of all positions. The options take single choices back,
    or make the first layer look more finely (Zeiler and Fergus, ECCV 2014, section 4.1: 7 × 7 pixels, stride 2).

    Args:
        size: Side of the input in px; the evidence has a sixteenth of it, or an eighth.
        channels: Letters of the channels seen, of RGBY.
        width: Factor on the 96, 256, 384, 384 and 256 maps, in 0.1–8.
        stem: Kernel of conv1: `11x11`, `7x7`, `5x5`, or `3x3` for three such convolutions on each other.
        downsample: Stride of conv1, 2 or 4; of a stack, of its first one or two.
        norm: `batch`, `response` (as published, after conv1 and conv2) or `none`.
        activation: `relu` or `tanh`.
        overlap: Whether pooling windows overlap, 3 × 3 pixels at a stride of 2, or not, 2 × 2.
        groups: 2 lets conv2, conv4 and conv5 see half of the maps each, as published.
        units: Width of fc6 and fc7, which stand at each position, up to 8192; 0 leaves them out.
        pooling: How the head pools evidence; see `lociscope.models.heads.location_head`.
        dropout: Share of features dropped before the evidence, and before fc7, in training, in 0–0.9.

    Returns:
        The model; see `lociscope.models.build_network`.
    """
    check_options(width, dropout)
    check_choice("stem", stem, get_args(Stem))
    check_choice("downsample", downsample, (2, 4))
    check_choice("norm", norm, get_args(Norm))
    check_choice("activation", activation, get_args(Activation))
    check_choice("groups", groups, (1, 2))
    check_units(units, 0)
    maps1, maps2, maps3, maps4, maps5 = (2 * round(maps * width / 2) for maps in (96, 256, 384, 384, 256))

    # === Layers ===
    own = _Layers(norm, activation, overlap)

    # === Functional model ===
    inputs, x = field_input(size, channels)
    x = own.stem(x, maps1, stem, downsample)
    x = own.convolution(own.pool(x, 1), maps2, 5, "conv2", groups=groups)
    x = own.convolution(own.pool(x, 2), maps3, 3, "conv3")
    x = own.convolution(x, maps4, 3, "conv4", groups=groups)
    x = own.convolution(x, maps5, 3, "conv5", groups=groups)
    if units:
        x = own.convolution(x, units, 1, "fc6")
        x = own.convolution(layers.Dropout(dropout, name="dropout6")(x), units, 1, "fc7")
    return keras.Model(inputs, location_head(x, pooling, dropout), name="alexnet")
