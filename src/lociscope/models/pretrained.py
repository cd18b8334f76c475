"""Transfer learning: a network pre-trained on ImageNet, its first convolution widened, with lociscope's head."""

from __future__ import annotations

from typing import Literal

import keras
import numpy as np

from lociscope.models.applications import application_features, load_application
from lociscope.models.efficientnet_lite import lite_features, load_lite
from lociscope.models.heads import Pooling, check_options, location_head
from lociscope.models.inputs import LETTERS, field_input

LITE = "efficientnet-lite0"
"""The backbone whose weights come with the extra `train`."""
COLOURS = "RGB"
"""The colours of ImageNet's pictures, in the order of their kernels."""
FOURTH = ("mean", "yellow", "zero")


def pretrained(
    size: int,
    backbone: str = LITE,
    weights: Literal["imagenet", "none"] = "imagenet",
    stem: Literal["mean", "yellow", "zero"] = "mean",
    stride: Literal[16, 32] = 32,
    pooling: Pooling = "average",
    dropout: float = 0.2,
    channels: str = LETTERS,
) -> keras.Model:
    """Build a pre-trained network with a stem for four channels and lociscope's head.

    Args:
        size: Side of the input in px.
        backbone: `efficientnet-lite0`, or a name of `keras.applications` such as `DenseNet121`.
        weights: `imagenet`, or `none` to start from nothing.
        stem: What the fourth channel's first kernels are; see `widen_kernel`.
        stride: Pixels of the field to one position of the features: 32, or 16 without the last stage, whose finer
            grid suits small bright structures.
        pooling: How evidence over the positions becomes one logit; see `lociscope.models.heads`.
        dropout: Share of features dropped in training, in 0–0.9.
        channels: Letters of the channels seen.

    Returns:
        The model; see `lociscope.models.build_network`. Its layers carry the backbone's names.
    """
    check_options(1.0, dropout)
    for name, value, known in (("weights", weights, ("imagenet", "none")), ("stem", stem, FOURTH)):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, received {value!r}")
    if stride not in (16, 32):
        raise ValueError(f"stride must be 16 or 32, received {stride!r}")

    # === Functional model ===
    inputs, seen = field_input(size, channels)
    features = lite_features(seen) if backbone == LITE else application_features(backbone, seen, channels)
    body = keras.Model(inputs, features)
    if weights == "imagenet":

        def widen(kernel: np.ndarray) -> np.ndarray:
            return widen_kernel(kernel, channels, stem)

        if backbone == LITE:
            load_lite(body, widen)
        else:
            load_application(body, backbone, size, widen)
    if stride == 16:
        features = _find_last_halving(body)
    return keras.Model(inputs, location_head(features, pooling, dropout), name="pretrained")


def widen_kernel(kernel: np.ndarray, channels: str = LETTERS, stem: str = "mean") -> np.ndarray:
    """Widen the first kernel from red, green and blue to the field's channels.

    Red, green and blue are the colours in which microtubules, protein and nucleus are shown, and keep ImageNet's
    kernels for them: filters of opposed colours then distinguish the stains, which a stem with the same kernel
    four times could not, and the protein gets green, to which networks of photographs attend most. The fourth, ER,
    gets their `mean`: it is seen as brightness. `yellow` is the mean of red and green, the colour in which it is
    shown; `zero` lets the network begin without it. With `mean` and `yellow` all four are scaled by ¾, so that about
    as much comes in: with `mean` a field whose channels are all alike is seen exactly as a grey picture. The kernels
    of colours that are not looked at are shared out evenly.

    Args:
        kernel: (h, w, 3, maps) for red, green and blue.
        channels: Letters of the channels seen.
        stem: `mean`, `yellow` or `zero`.

    Returns:
        (h, w, len(channels), maps).
    """
    colours = [letter for letter in channels if letter in COLOURS]
    rest = sum(kernel[:, :, COLOURS.index(letter)] for letter in COLOURS if letter not in colours)
    wide = {letter: kernel[:, :, COLOURS.index(letter)] + rest / len(colours) for letter in colours}
    fourth = {"mean": kernel.mean(axis=2), "yellow": kernel[:, :, :2].mean(axis=2), "zero": 0 * kernel[:, :, 0]}[stem]
    scale = 0.75 if "Y" in channels and stem != "zero" else 1.0
    return np.stack([scale * wide.get(letter, fourth) for letter in channels], axis=2)


def _find_last_halving(body: keras.Model) -> keras.KerasTensor:
    """Return the input of the last halving, the widest map of the last stage but one: a grid twice as fine.

    Only from where the stage's last branches meet: within a block a map lacks what goes past it.
    """
    made = [each for each in body.operations if not isinstance(each, keras.layers.ZeroPadding2D)]
    made = [each for each in made if len(each.output.shape) == 4 and each.output.shape[1] > 1.5 * body.output.shape[1]]
    side = min(each.output.shape[1] for each in made)
    finest = [each for each in made if each.output.shape[1] == side]
    met = max((index for index, each in enumerate(finest) if _joins(each)), default=0)
    widest = max(each.output.shape[-1] for each in finest[met:])
    return [each.output for each in finest[met:] if each.output.shape[-1] == widest][-1]


def _joins(operation: keras.Operation) -> bool:
    """Return whether a layer combines several maps."""
    return len(keras.tree.flatten(operation.input)) > 1
