"""Convert an ONNX model to that of a bundle, and check that both give the same."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lociscope.convert.label_map import LabelMap, check_label_map
from lociscope.convert.onnx_model import ModelInput, describe_input, import_onnx
from lociscope.convert.wrap import (
    LETTERS,
    ModelOutput,
    Preparation,
    check_finite,
    find_output,
    parse_activation,
    wrap_input,
    wrap_output,
)
from lociscope.errors import Code, LociscopeError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_DIFFERENCE = 1e-4
"""Largest difference of a probability between a model and its conversion that is accepted."""
COMPARED_INPUTS = 4
SELFTEST_INPUTS = 2
MOST_BYTES = 1 << 28
"""Memory of the inputs that are compared, of float32."""
MOST_DETAIL = 128
DEFAULT_CHANNELS = {1: "G", 3: "RGB", 4: LETTERS}


class OutputOptions(NamedTuple):
    """Which outputs a model has, as far as it does not say: names of outputs, and an activation; None to find out."""

    name: str | None = None
    activation: str | None = None
    embedding: str | None = None


@dataclass(frozen=True, slots=True)
class ConvertedModel:
    """A converted model.

    Attributes:
        data: The bytes of an ONNX model with the input and outputs of a bundle.
        expected: What the original expects.
        given: What the original gives.
        preparation: What the conversion put before it.
        label_map: The class of each of its outputs.
        inputs: (n, height, width, 4) float32 in 0–1, a self-test.
        probabilities: (n, classes) float32, what the converted model gives for them.
        difference: Largest difference of a probability from the original.
    """

    data: bytes
    expected: ModelInput
    given: ModelOutput
    preparation: Preparation
    label_map: LabelMap
    inputs: np.ndarray
    probabilities: np.ndarray
    difference: float


def convert_onnx(
    model: Any,  # noqa: ANN401 - an onnx.ModelProto
    preparation: Preparation,
    outputs: OutputOptions = OutputOptions(),  # noqa: B008 - immutable
    label_map: LabelMap | None = None,
    *,
    layout: str | None = None,
    size: int | None = None,
) -> ConvertedModel:
    """Convert a model to that of a bundle.

    The original is run on inputs prepared in numpy, the converted one on the inputs themselves; both must agree.

    Args:
        model: The model, of `lociscope.convert.onnx_model.read_onnx`.
        preparation: What it expects; without letters of channels, the usual ones for their number.
        outputs: What it gives, as far as it does not say.
        label_map: The class of each output; None for the 28 classes in order.
        layout: `NHWC` or `NCHW`; None for the one that the shape shows.
        size: Side of the input in px, where the model leaves it open.

    Raises:
        UsageError: An option is unknown or contradicts the model.
        LociscopeError: The model cannot be run, gives numbers that are not finite, has other outputs than the label
            map, or differs from its conversion by more than `MAX_DIFFERENCE`.
    """
    expected = describe_input(model, layout, size)
    preparation = _choose_channels(preparation, expected)
    preparation.check(expected)
    name = find_output(model, outputs.name)
    embedding = None if outputs.embedding is None else find_output(model, outputs.embedding)
    inputs = make_inputs(expected.size)
    prepared = _to_layout(preparation.apply(inputs), expected)
    (values,) = _run(model.SerializeToString(), expected.name, prepared, [name])
    given = _describe_output(values, name, outputs.activation, embedding)
    chosen = check_label_map(label_map, given.outputs)
    data = wrap_output(wrap_input(model, expected, preparation), given, chosen)
    (found,) = _run(data, "field", inputs, ["probabilities"])
    difference = float(np.abs(found - given.apply(values, chosen)).max())
    if not difference <= MAX_DIFFERENCE:
        raise LociscopeError(
            f"The converted model differs from the original by {difference:.2g} in a probability, more than "
            f"{MAX_DIFFERENCE:g}; no bundle was written. Export the model with another opset_version.",
            code=Code.REFUSED,
        )
    kept = slice(SELFTEST_INPUTS)
    return ConvertedModel(data, expected, given, preparation, chosen, inputs[kept], found[kept], difference)


def _choose_channels(preparation: Preparation, expected: ModelInput) -> Preparation:
    if preparation.channels:
        return preparation
    letters = DEFAULT_CHANNELS.get(expected.channels)
    if letters is None:
        raise UsageError(
            f"The model takes {expected.channels} channels. Pass `channels`, their letters in its order, such as "
            "`channels=GB`.",
            code=Code.INVALID_VALUE,
        )
    return replace(preparation, channels=letters)


def _describe_output(values: np.ndarray, name: str, activation: str | None, embedding: str | None) -> ModelOutput:
    if values.ndim != 2:
        raise LociscopeError(
            f"The model's output {name!r} has the shape {values.shape}; expected one number for each class. Export it "
            "with such an output.",
            code=Code.INVALID_LABELS,
        )
    check_finite(values, "The model")
    inside = bool(((values >= 0) & (values <= 1)).all())
    chosen = (
        parse_activation(activation) if activation is not None else parse_activation("none" if inside else "sigmoid")
    )
    if chosen == "none" and not inside:
        raise UsageError(
            f"The model's outputs reach from {values.min():.3g} to {values.max():.3g}, so they are no probabilities. "
            "Pass `activation=sigmoid`, or `activation=softmax`.",
            code=Code.INVALID_VALUE,
        )
    return ModelOutput(name, values.shape[1], chosen, embedding)


def make_inputs(size: tuple[int, int]) -> np.ndarray:
    """Return inputs (n, height, width, 4) in 0–1 of noise at several scales, one of them empty."""
    rng = np.random.default_rng(0)
    number = max(SELFTEST_INPUTS, min(COMPARED_INPUTS, MOST_BYTES // (16 * size[0] * size[1])))
    step = -(-max(size) // MOST_DETAIL)  # repeated pixels, so that the self-test of a large input stays small
    coarse = rng.random((number, *(-(-side // step) for side in size), 4), np.float32)
    inputs = coarse.repeat(step, axis=1).repeat(step, axis=2)[:, : size[0], : size[1]]
    for place, picture in enumerate(inputs):
        for shift in (step, 2 * step, 4 * step, 8 * step)[: place + 1]:
            picture += np.roll(picture, shift, 0) + np.roll(picture, shift, 1)
            picture /= 3
        picture -= picture.min()
        picture /= max(float(picture.max()), 1e-6)
    inputs[-1, ..., 0] = 0
    return np.rint(inputs * 255).astype(np.float32) / 255


def _to_layout(prepared: np.ndarray, expected: ModelInput) -> np.ndarray:
    """Return inputs in the layout and of the type that a model expects."""
    onnx = import_onnx()
    moved = np.moveaxis(prepared, -1, 1) if expected.layout == "NCHW" else prepared
    return np.ascontiguousarray(moved, onnx.helper.tensor_dtype_to_np_dtype(expected.type))


def _run(model: bytes, name: str, inputs: np.ndarray, outputs: Sequence[str]) -> list[np.ndarray]:
    """Run a model on inputs one by one.

    Raises:
        LociscopeError: ONNX Runtime cannot load or run it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        calls = [session.run(list(outputs), {name: inputs[row : row + 1]}) for row in range(len(inputs))]
    except Exception as error:  # ONNX Runtime's errors share no public base class
        reason = next(iter(str(error).splitlines()), type(error).__name__)[:200]
        raise LociscopeError(
            f"ONNX Runtime cannot run the model ({reason}). Export it with a batch of any size, or of 1, and an opset "
            "that this version supports.",
            code=Code.CORRUPT,
        ) from error
    return [np.concatenate(parts) for parts in zip(*calls, strict=True)]
