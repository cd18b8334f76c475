"""Networks of `keras.applications` for four channels; Keras downloads, caches and checks their weights.

Each expects differently scaled images: by `preprocess_input` of its module, or by layers in the network. Here one
affine layer in the graph scales them, so that every bundle takes fields in 0–1. Layers that cannot be exported to ONNX
are replaced by equivalent ones.
"""

from __future__ import annotations

import inspect
import math
import warnings
from typing import TYPE_CHECKING, NamedTuple

import keras
import numpy as np
from keras import layers, ops

from lociscope.errors import Code, LociscopeError, UsageError, suggest

if TYPE_CHECKING:
    from collections.abc import Callable

    Widen = Callable[[np.ndarray], np.ndarray]


class Affine(NamedTuple):
    """The rescaling of images in 0–1 before a network's first convolution, by red, green, blue: scale · x + offset.

    Attributes:
        scale: Factors.
        offset: Summands.
        reversed: Whether its first kernel takes blue, green, red.
    """

    scale: tuple[float, float, float]
    offset: tuple[float, float, float]
    reversed: bool = False


_MEAN, _SPREAD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
TORCH = Affine(tuple(1 / _SPREAD), tuple(-_MEAN / _SPREAD))
CAFFE = Affine((255.0,) * 3, (-123.68, -116.779, -103.939), reversed=True)
UNIT = Affine((2.0,) * 3, (-1.0,) * 3)
"""To −1…1; the modes `torch`, `caffe` and `tf` of keras.applications.imagenet_utils, whose figures these are."""
AFFINES = {
    **dict.fromkeys(("densenet", "efficientnet", "efficientnet_v2", "convnext"), TORCH),
    **dict.fromkeys(("resnet", "vgg16", "vgg19"), CAFFE),
    **dict.fromkeys(("mobilenet", "mobilenet_v2", "mobilenet_v3", "nasnet", "xception"), UNIT),
    **dict.fromkeys(("resnet_v2", "inception_v3", "inception_resnet_v2"), UNIT),
}
"""By module of keras.applications: all of its networks."""
LARGE_V2 = Affine((255 / 128,) * 3, (-1.0,) * 3)
"""What EfficientNetV2 S, M and L do; B0 to B3 do as `TORCH`."""


REWRITTEN = ("convnext", "efficientnet", "inception_resnet_v2", "mobilenet_v3")
"""Modules whose networks have layers that cannot be exported, that `lociscope.storage.keras_files` does not know, or
that change pictures and cannot be left out by an argument.
"""


@keras.saving.register_keras_serializable("lociscope")
class Gelu(layers.Layer):
    """x Φ(x) by the error function (Hendrycks and Gimpel, arXiv:1606.08415); Keras' own uses one that ONNX lacks."""

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Apply it to each number."""
        return 0.5 * x * (1 + ops.erf(math.sqrt(0.5) * x))


def names() -> list[str]:
    """Return the known names."""
    return [name for name in dir(keras.applications) if name[0].isupper() and _module(name) in AFFINES]


def application_features(name: str, x: keras.KerasTensor, channels: str) -> keras.KerasTensor:
    """Build the network without its classifier.

    Args:
        name: A name of `keras.applications`.
        x: (n, h, w, len(channels)) in 0–1.
        channels: Letters of its channels, some of RGBY.

    Returns:
        The last feature map, (n, h / 32, w / 32, d).

    Raises:
        UsageError: The name is not known.
    """
    if name not in names():
        raise UsageError(
            f"Backbone {name!r} is not known.{suggest(str(name), ('efficientnet-lite0', *names()))}",
            code=Code.UNKNOWN_NAME,
        )
    affine = find_affine(name)
    scale = [_find_colour(affine.scale, letter) for letter in channels]
    offset = [_find_colour(affine.offset, letter) for letter in channels]
    x = layers.Rescaling(scale, offset, name="scaled")(x)
    if _module(name) in REWRITTEN:
        return _rebuild(_built(name, input_shape=tuple(x.shape[1:])), x)
    return _built(name, input_tensor=x).output


def _rebuild(whole: keras.Model, x: keras.KerasTensor) -> keras.KerasTensor:
    """Rebuild the network on x instead of its input, without the layers that rescale images."""
    made = {}
    for each in whole.operations:
        if isinstance(each, (layers.InputLayer, layers.Rescaling, layers.Normalization)):
            made[id(each.output)] = x
            continue
        inputs = keras.tree.map_structure(lambda tensor: made[id(tensor)], each.input)
        made[id(each.output)] = _again(each, inputs)
    return made[id(whole.output)]


def _again(operation: keras.Operation, x: keras.KerasTensor | list[keras.KerasTensor]) -> keras.KerasTensor:
    """Apply an operation by a public Keras layer that has a counterpart in ONNX."""
    kind, name, config = type(operation), operation.name, operation.get_config()
    if kind.__name__ == "CustomScaleLayer":
        return layers.Add(name=name)([x[0], _times(config["scale"])(x[1])])
    if kind.__name__ == "LayerScale":
        start = keras.initializers.Constant(config["init_values"])
        return layers.DepthwiseConv2D(1, use_bias=False, depthwise_initializer=start, name=name)(x)
    if isinstance(operation, layers.Activation) and config["activation"] == "gelu":
        return Gelu(name=name)(x)
    if isinstance(operation, layers.Conv2D) and operation.groups == operation.filters == operation.input.shape[-1]:
        kept = ("name", "kernel_size", "strides", "padding", "use_bias")
        return layers.DepthwiseConv2D(**{key: config[key] for key in kept})(x)
    if isinstance(operation, layers.Layer):
        return kind.from_config(config)(x)
    numbers = [each for each in operation._inbound_nodes[0].arguments.args if isinstance(each, float)]  # noqa: SLF001
    if kind.__name__ == "Add":  # `x + y` or `x + 3.0`
        return layers.Rescaling([1.0], numbers, name=name)(x) if numbers else layers.Add(name=name)(x)
    return _times(numbers[0], name)(x)  # `x * 0.5`


def _times(factor: float, name: str | None = None) -> keras.layers.Layer:
    """Multiply by a number in a list: tf2onnx fails on a constant without an axis."""
    return layers.Rescaling([factor], [0.0], name=name)


def find_affine(name: str) -> Affine:
    """Return how the network rescales its images."""
    large = name in ("EfficientNetV2S", "EfficientNetV2M", "EfficientNetV2L")
    return LARGE_V2 if large else AFFINES[_module(name)]


def load_application(model: keras.Model, name: str, size: int, widen: Widen) -> None:
    """Load ImageNet weights, which Keras downloads and keeps, into the layers of `application_features`.

    Args:
        model: A model that holds its layers, and no other with weights.
        name: The same name.
        size: Side of the input in px.
        widen: Makes the first kernel (h, w, c, maps) of (h, w, 3, maps) for red, green, blue.

    Raises:
        LociscopeError: The weights cannot be fetched, or have another hash than Keras expects.
    """
    source = _fetched(name, size)
    order = slice(None, None, -1 if find_affine(name).reversed else 1)
    first = True
    for ours, theirs in zip(_layers_with_weights(model), _layers_with_weights(source), strict=True):
        weights = theirs.get_weights()
        if first:
            weights[0] = widen(weights[0][:, :, order])
        ours.set_weights([each.reshape(own.shape) for each, own in zip(weights, ours.weights, strict=True)])
        first = False


def _fetched(name: str, size: int) -> keras.Model:
    talks = keras.config.is_interactive_logging_enabled()
    keras.config.disable_interactive_logging()  # it would report its download on stdout
    try:
        return _built(name, weights="imagenet", input_shape=(size, size, 3))
    except ValueError as error:
        if "Input size must be" in str(error):
            raise
        raise LociscopeError(
            f"The ImageNet weights of {name} that were fetched are not the published ones ({error}). "
            f"Fetch them again, or use {_OFFLINE}.",
            code=Code.ALTERED,
        ) from error
    except Exception as error:  # Keras raises a bare Exception where an address cannot be reached
        reason = " ".join(str(error).split())[:200]
        raise LociscopeError(
            f"The ImageNet weights of {name} cannot be fetched ({reason}). Use {_OFFLINE}.", code=Code.UNAVAILABLE
        ) from error
    finally:
        if talks:
            keras.config.enable_interactive_logging()


_OFFLINE = 'backbone = "efficientnet-lite0", whose weights come with the extra \'train\', or weights = "none"'


def _built(name: str, weights: str | None = None, **arguments: object) -> keras.Model:
    function = getattr(keras.applications, name)
    if "include_preprocessing" in inspect.signature(function).parameters:
        arguments["include_preprocessing"] = False
    with warnings.catch_warnings():  # MobileNet warns of sizes other than those it was trained at
        warnings.simplefilter("ignore", UserWarning)
        return function(include_top=False, weights=weights, **arguments)


def _layers_with_weights(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the layers with weights, except a Normalization, which `scaled` replaces."""
    return [layer for layer in model.layers if layer.weights and not isinstance(layer, layers.Normalization)]


def _find_colour(numbers: tuple[float, float, float], letter: str) -> float:
    """Return a colour's number; for the fourth channel, their mean."""
    return float(np.mean(numbers) if letter == "Y" else numbers["RGB".index(letter)])


def _module(name: str) -> str:
    return str(getattr(getattr(keras.applications, name), "__module__", "")).rpartition(".")[2]
