"""Read an ONNX model that was made elsewhere: its input, its layout, its outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from lociscope.artifacts.bundle_files import MAX_FILE_BYTES
from lociscope.errors import Code, LociscopeError, MissingExtraError, UsageError, suggest
from lociscope.storage.file_errors import unreadable_error
from lociscope.storage.onnx_files import check_onnx

if TYPE_CHECKING:
    from pathlib import Path

Layout = Literal["NHWC", "NCHW"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
OLDEST_OPSET = 11
MOST_CHANNELS = 4


@dataclass(frozen=True, slots=True)
class ModelInput:
    """What a model expects.

    Attributes:
        name: Name of the tensor.
        type: Its ONNX element type.
        batch: Number of inputs per call that the model was exported for; 0 for any.
        layout: Where the channels are.
        size: Rows and columns, px.
        channels: Number of channels.
    """

    name: str
    type: int
    batch: int
    layout: Layout
    size: tuple[int, int]
    channels: int


def read_onnx(path: Path) -> Any:  # noqa: ANN401 - onnx has no types for what it generates
    """Read an ONNX file, refuse what lociscope never loads, and return the parsed model.

    Operator sets that the file declares and no node uses, as Keras writes them, are removed.

    Raises:
        LociscopeError: The file cannot be read, is not an ONNX model, holds external data, functions, operators of a
            foreign domain, weights that are not numbers, or operators of a version before `OLDEST_OPSET`.
        MissingExtraError: The onnx package is not installed.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise LociscopeError(
                f"'{path}' is larger than {MAX_FILE_BYTES >> 20} MiB, the most for a bundle's file. Export a smaller "
                "model.",
                code=Code.TOO_LARGE,
            )
        data = path.read_bytes()
    except OSError as error:
        raise unreadable_error(path, error, "Model") from error
    return parse_onnx(data, f"'{path}'")


def parse_onnx(data: bytes, what: str) -> Any:  # noqa: ANN401 - as above
    """Parse the bytes of an ONNX model; see `read_onnx`."""
    onnx = import_onnx()
    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's error has no public name
        raise LociscopeError(
            f"{what} is not an ONNX model, or is truncated ({error}). Export or copy it again.", code=Code.CORRUPT
        ) from error
    used = {node.domain for node in model.graph.node} | {""}
    opsets = [opset for opset in model.opset_import if opset.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    check_onnx(model.SerializeToString(), what)
    if opset_of(model) < OLDEST_OPSET:
        raise LociscopeError(
            f"{what} uses version {opset_of(model)} of ONNX's operators; {OLDEST_OPSET} is the oldest that can be "
            "converted. Export it again with a newer version, such as opset_version=17.",
            code=Code.UNSUPPORTED_VERSION,
        )
    _check_weights(model, what)
    return model


def import_onnx() -> Any:  # noqa: ANN401 - it may be missing
    """Import the onnx package.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import onnx.compose
        import onnx.helper
        import onnx.numpy_helper
    except ImportError:
        raise MissingExtraError("Converting a model", "convert") from None
    return onnx


def opset_of(model: Any) -> int:  # noqa: ANN401 - an onnx.ModelProto
    """Return the version of ONNX's own operators that a model uses."""
    return next((int(opset.version) for opset in model.opset_import if opset.domain in ("", "ai.onnx")), 1)


def _check_weights(model: Any, what: str) -> None:  # noqa: ANN401 - an onnx.ModelProto
    onnx = import_onnx()
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise LociscopeError(
                f"{what} has weights that are not finite numbers, in '{tensor.name}'. Train the model again, with a "
                "lower learning rate.",
                code=Code.INVALID_VALUE,
            )


def describe_input(model: Any, layout: str | None = None, size: int | None = None) -> ModelInput:  # noqa: ANN401
    """Return what a model expects, from the shape of its input.

    Args:
        model: An onnx.ModelProto.
        layout: `NHWC` or `NCHW`; None for the one that the shape shows.
        size: Side of the input in px, where the model leaves it open.

    Raises:
        UsageError: The layout is unknown or must be named, or the size must be.
        LociscopeError: The model has several inputs, or one that is not a picture of 1–4 channels.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in weights]
    if len(inputs) != 1:
        names = ", ".join(each.name for each in inputs) or "none"
        raise LociscopeError(
            f"The model has {len(inputs)} inputs ({names}); a bundle's model has one, the field. Export it with one.",
            code=Code.INVALID_VALUE,
        )
    kind = inputs[0].type.tensor_type
    dims = [int(each.dim_value) for each in kind.shape.dim]  # 0 where it is open
    if len(dims) != 4:
        raise LociscopeError(
            f"The model's input {inputs[0].name!r} has the shape {tuple(dims)}; expected a batch of pictures with four "
            "axes. Export it with such an input.",
            code=Code.INVALID_VALUE,
        )
    chosen = _find_layout(dims, layout)
    channels, sides = (dims[3], dims[1:3]) if chosen == "NHWC" else (dims[1], dims[2:])
    if not 1 <= channels <= MOST_CHANNELS:
        raise LociscopeError(
            f"The model's input has the shape {tuple(dims)}, which as {chosen} is {channels or 'any number of'} "
            f"channels; a field has {MOST_CHANNELS}. Pass the other `layout`, or export it with 1–4 channels.",
            code=Code.INVALID_VALUE,
        )
    return ModelInput(inputs[0].name, int(kind.elem_type), dims[0], chosen, _find_size(sides, size), channels)


def _find_layout(dims: list[int], layout: str | None) -> Layout:
    if layout is not None:
        for known in LAYOUTS:
            if layout == known:
                return known
        raise UsageError(f"`layout={layout}` is unknown.{suggest(layout, LAYOUTS)}", code=Code.UNKNOWN_NAME)
    last, first = (1 <= dims[axis] <= MOST_CHANNELS for axis in (3, 1))
    if last == first:
        raise UsageError(
            f"The shape of the model's input, {tuple(dims)}, does not show where its channels are. Pass `layout=NHWC` "
            "or `layout=NCHW`.",
            code=Code.INVALID_VALUE,
        )
    return "NHWC" if last else "NCHW"


def _find_size(sides: list[int], size: int | None) -> tuple[int, int]:
    found = tuple(side or size or 0 for side in sides)
    if 0 in found:
        raise UsageError(
            "The model takes inputs of any size. Pass `size`, the side of the input in px that it was trained with.",
            code=Code.INVALID_VALUE,
        )
    if size is not None and found != (size, size):
        raise UsageError(
            f"`size` is {size}, but the model takes {found[0]} × {found[1]} px. Omit it.", code=Code.INVALID_VALUE
        )
    return found[0], found[1]
