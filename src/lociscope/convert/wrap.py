"""Put what a model expects and gives into its graph: channels, scale, layout and label map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from lociscope.channels import CHANNEL_NAMES
from lociscope.convert.label_map import LabelMap, check_label_map, list_classes, list_outputs, merge_outputs
from lociscope.convert.onnx_model import ModelInput, import_onnx, opset_of
from lociscope.decide.logistic import sigmoid
from lociscope.errors import Code, LociscopeError, UsageError, suggest

if TYPE_CHECKING:
    from collections.abc import Sequence

Activation = Literal["none", "sigmoid", "softmax"]
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)
LETTERS = "".join(name[0].upper() for name in CHANNEL_NAMES)
"""R, G, B and Y, the letters of the channels."""
EPSILON = 1e-5
"""Added to the standard deviation of a channel, in units of its full range, so that an empty one stays empty."""
FIELD, PREFIX = "field", "model/"
_AXES_ARE_INPUTS = 18
"""First version of ONNX's operators in which the axes of ReduceMean and ReduceMax are an input."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """How an input in 0–1, channels RGBY, becomes what a model was trained with.

    Attributes:
        channels: Letters of its channels, in its order.
        scale: Factor on the pixels: 255 for a model of 8-bit pixels.
        mean: Subtracted from each channel after scaling.
        std: What each channel is divided by then.
        standardise: Whether each channel of each input is first brought to mean 0 and variance 1.
    """

    channels: str = LETTERS
    scale: float = 1.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    standardise: bool = False

    def check(self, expected: ModelInput) -> None:
        """Raise a UsageError where this does not fit the input of a model."""
        if set(self.channels) - set(LETTERS) or len(set(self.channels)) != len(self.channels):
            raise UsageError(
                f"`channels` is {self.channels!r}; expected letters of {LETTERS}, each once.", code=Code.INVALID_VALUE
            )
        if len(self.channels) != expected.channels:
            raise UsageError(
                f"`channels` names {len(self.channels)} channels ({self.channels}), but the model takes "
                f"{expected.channels}. Name the channels that it was trained with, in their order.",
                code=Code.INVALID_VALUE,
            )
        for name, values in (("mean", self.mean), ("std", self.std)):
            if values and len(values) not in (1, expected.channels):
                raise UsageError(
                    f"`{name}` has {len(values)} numbers; expected one, or one for each of the {expected.channels} "
                    "channels.",
                    code=Code.INVALID_VALUE,
                )
        if any(not np.isfinite(each) for each in (self.scale, *self.mean)) or any(not each > 0 for each in self.std):
            raise UsageError(
                f"`scale` {self.scale}, `mean` {self.mean} and `std` {self.std} must be finite, and `std` above 0.",
                code=Code.INVALID_VALUE,
            )

    def apply(self, inputs: np.ndarray) -> np.ndarray:
        """Return inputs (n, height, width, 4) as the model expects them, in NHWC: what the graph does, in numpy."""
        x = np.asarray(inputs, np.float64)[..., [LETTERS.index(letter) for letter in self.channels]]
        if self.standardise:
            x = x - x.mean(axis=(1, 2), keepdims=True)
            x = x / (np.sqrt(np.square(x).mean(axis=(1, 2), keepdims=True)) + EPSILON)
        x = x * self.scale - np.array(self.mean or 0.0)
        return np.asarray(x / np.array(self.std or 1.0))


class _Graph:
    """Appends nodes to a graph; each has its own name."""

    def __init__(self, model: Any) -> None:  # noqa: ANN401 - an onnx.ModelProto
        self._onnx, self._model = import_onnx(), model
        self.opset = opset_of(model)
        self.nodes: list[Any] = []

    def constant(self, name: str, values: Any) -> str:  # noqa: ANN401 - whatever numpy takes
        array = np.asarray(values)
        self._model.graph.initializer.append(self._onnx.numpy_helper.from_array(array, name))
        return name

    def add(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:  # noqa: ANN401
        self.nodes.append(self._onnx.helper.make_node(operator, list(inputs), [output], name=output, **attributes))
        return output

    def reduce(self, operator: str, value: str, axes: Sequence[int], output: str, *, keepdims: int) -> str:
        if self.opset >= _AXES_ARE_INPUTS:
            at = self.constant(f"{output}/axes", np.array(axes, np.int64))
            return self.add(operator, [value, at], output, keepdims=keepdims)
        return self.add(operator, [value], output, axes=list(axes), keepdims=keepdims)


def wrap_input(model: Any, expected: ModelInput, preparation: Preparation) -> Any:  # noqa: ANN401 - onnx.ModelProto
    """Return a model whose input is a bundle's: (n, height, width, 4) of float32 in 0–1, channels RGBY.

    The names of the model's own tensors get the prefix `model/`.

    Raises:
        UsageError: The preparation does not fit the model.
    """
    preparation.check(expected)
    onnx = import_onnx()
    wrapped = onnx.compose.add_prefix(model, PREFIX)
    graph = _Graph(wrapped)
    x = FIELD
    numbers = [LETTERS.index(letter) for letter in preparation.channels]
    if preparation.channels != LETTERS:
        x = graph.add("Gather", [x, graph.constant("channels", np.array(numbers, np.int64))], "chosen", axis=3)
    if preparation.standardise:
        x = _add_standardisation(graph, x)
    for operator, name, value, idle in (
        ("Mul", "scale", (preparation.scale,), 1.0),
        ("Sub", "mean", preparation.mean, 0.0),
        ("Div", "std", preparation.std, 1.0),
    ):
        if any(each != idle for each in value):
            x = graph.add(operator, [x, graph.constant(name, np.array(value, np.float32))], f"after_{name}")
    if expected.layout == "NCHW":
        x = graph.add("Transpose", [x], "channels_first", perm=[0, 3, 1, 2])
    graph.add("Cast", [x], PREFIX + expected.name, to=expected.type)
    nodes = [*graph.nodes, *wrapped.graph.node]
    del wrapped.graph.node[:]
    wrapped.graph.node.extend(nodes)
    shape = [expected.batch or "n", *expected.size, len(LETTERS)]
    del wrapped.graph.input[:]  # older files list their weights here, too
    wrapped.graph.input.append(onnx.helper.make_tensor_value_info(FIELD, onnx.TensorProto.FLOAT, shape))
    del wrapped.graph.value_info[:]
    return wrapped


def _add_standardisation(graph: _Graph, x: str) -> str:
    centred = graph.add("Sub", [x, _add_mean(graph, x, "channel_mean")], "centred")
    variance = _add_mean(graph, graph.add("Mul", [centred, centred], "squares"), "variance")
    deviation = graph.add("Sqrt", [variance], "deviation")
    floor = graph.constant("epsilon", np.array(EPSILON, np.float32))
    return graph.add("Div", [centred, graph.add("Add", [deviation, floor], "spread")], "standardised")


def _add_mean(graph: _Graph, x: str, output: str) -> str:
    """Add the mean of each channel, over columns and then over rows: one sum of a million float32 loses four digits."""
    columns = graph.reduce("ReduceMean", x, (2,), f"{output}_of_rows", keepdims=1)
    return graph.reduce("ReduceMean", columns, (1,), output, keepdims=1)


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """What a model gives.

    Attributes:
        name: Name of the output with one number for each class.
        outputs: How many numbers.
        activation: What makes probabilities of them.
        embedding: Name of the output (n, d) that describes the field, if it has one.
    """

    name: str
    outputs: int
    activation: Activation
    embedding: str | None = None

    def apply(self, values: np.ndarray, label_map: LabelMap) -> np.ndarray:
        """Return the probabilities (n, classes) of outputs (n, k): what the graph does, in numpy."""
        x = np.asarray(values, np.float64)
        if self.activation == "sigmoid":
            x = sigmoid(x)
        elif self.activation == "softmax":
            x = np.exp(x - x.max(axis=1, keepdims=True))
            x = x / x.sum(axis=1, keepdims=True)
        return merge_outputs(x, label_map)


def find_output(model: Any, name: str | None) -> str:  # noqa: ANN401 - an onnx.ModelProto
    """Return the name of the output with the classes: the one that is named, the only one, or `probabilities`.

    Raises:
        UsageError: The model has no output of that name, or several and none is named.
    """
    names = [each.name for each in model.graph.output]
    if name is not None:
        if name not in names:
            raise UsageError(f"The model has no output {name!r}.{suggest(name, names)}", code=Code.UNKNOWN_NAME)
        return name
    if len(names) == 1 or "probabilities" in names:
        return names[0] if len(names) == 1 else "probabilities"
    raise UsageError(
        f"The model has the outputs {', '.join(names)}. Pass `output_name`, the one with a number for each class.",
        code=Code.INVALID_VALUE,
    )


def parse_activation(name: str) -> Activation:
    """Return the activation of that name; raise a UsageError where there is none."""
    for known in ACTIVATIONS:
        if name == known:
            return known
    raise UsageError(f"`activation={name}` is unknown.{suggest(name, ACTIVATIONS)}", code=Code.UNKNOWN_NAME)


def wrap_output(
    model: Any,  # noqa: ANN401 - an onnx.ModelProto
    given: ModelOutput,
    label_map: LabelMap | None,
) -> bytes:
    """Return the bytes of a model of `wrap_input` with the outputs of a bundle.

    Args:
        model: The model with a bundle's input.
        given: What it gives.
        label_map: The class of each output; None for the 28 classes in order.

    Returns:
        A model with the outputs `probabilities` (n, classes) and, where it has one, `embedding` (n, d).
    """
    chosen = check_label_map(label_map, given.outputs)
    onnx = import_onnx()
    wrapped = onnx.ModelProto()
    wrapped.CopyFrom(model)
    graph = _Graph(wrapped)
    x = graph.add("Cast", [PREFIX + given.name], "outputs", to=onnx.TensorProto.FLOAT)
    if given.activation == "sigmoid":
        x = graph.add("Sigmoid", [x], "activated")
    elif given.activation == "softmax":
        x = graph.add("Softmax", [x], "activated", axis=1)
    merged = graph.add("Gather", [x, graph.constant("label_map", list_outputs(chosen))], "outputs_of_classes", axis=1)
    graph.reduce("ReduceMax", merged, (2,), "probabilities", keepdims=0)
    outputs: dict[str, int | str] = {"probabilities": len(list_classes(chosen))}
    if given.embedding is not None:
        outputs["embedding"] = "d"
        graph.add("Cast", [PREFIX + given.embedding], "embedding", to=onnx.TensorProto.FLOAT)
    wrapped.graph.node.extend(graph.nodes)
    del wrapped.graph.output[:]
    for name, wide in outputs.items():
        wrapped.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", wide]))
    serialised: bytes = wrapped.SerializeToString()
    return serialised


def check_finite(values: np.ndarray, what: str) -> None:
    """Raise a LociscopeError where a model gives numbers that are not finite."""
    if not np.isfinite(values).all():
        raise LociscopeError(
            f"{what} gives outputs that are not finite numbers. Check the scale, mean and std of its input, and its "
            "weights.",
            code=Code.INVALID_VALUE,
        )
