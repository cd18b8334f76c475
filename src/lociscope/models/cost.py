"""Cost of a network: multiply-accumulates counted from its layers, and the record that a Run keeps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Iterator

    import keras

SCHEMA = 1
FILE = "cost.json"
"""Where a Run keeps what was measured of its network."""


class Cost(BaseModel):
    """`cost.json` of a Run: figures of a network that take long to measure."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_: Annotated[int, Field(alias="schema")] = SCHEMA
    network: str = Field(description="sha256 of the network that was measured.")
    macs: int | None = Field(None, ge=0, description="Multiply-accumulates for one field; null where not countable.")
    latency_ms: float | None = Field(None, ge=0, description="Least time of one field, ONNX Runtime on one core.")
    where: str = Field("", description="Machine and runtime that took the time.")
    reason: str = Field("", description="Why a figure is missing.")


def count_macs(network: keras.Model) -> int | None:
    """Count the multiply-accumulates of one field: convolutions (also grouped, depthwise, transposed), dense layers.

    What costs next to nothing beside them is left out: biases, normalisation, activations, pooling. A 5 × 5
    convolution from 1 map to 6 on 32 × 32 pixels without padding counts 28 × 28 × 5 × 5 × 1 × 6 = 117,600.

    Args:
        network: A built functional or sequential model; nested models are counted too.

    Returns:
        The number; None where a layer's size depends on the input's, which is not fixed.
    """
    total = 0
    for layer, calls in _calls(network):
        each = count_layer_macs(layer)
        if each is None:
            return None
        total += calls * each
    return total


def _calls(network: keras.Model) -> Iterator[tuple[keras.layers.Layer, int]]:
    """Return every layer, and how often it is applied."""
    config: dict[str, Any] = network.get_config()
    applied = {each["config"]["name"]: len(each.get("inbound_nodes", ())) for each in config["layers"]}
    for layer in network.layers:
        calls = max(applied.get(layer.name, 1), 1)
        if hasattr(layer, "layers"):
            yield from ((inner, calls * times) for inner, times in _calls(layer))
        else:
            yield layer, calls


def count_layer_macs(layer: keras.layers.Layer) -> int | None:
    """Return the multiply-accumulates of one application: each kernel's weights, once for each position."""
    kernels, shape = _kernels(layer)
    if not kernels:
        return 0
    first = getattr(layer, "data_format", "channels_last") == "channels_first"
    positions = shape[2:] if first else shape[1:-1]
    known = [side for side in positions if side is not None]
    if len(known) < len(positions):
        return None
    return math.prod(known) * sum(int(math.prod(kernel.shape)) for kernel in kernels)


def _kernels(layer: keras.layers.Layer) -> tuple[list[Any], tuple[int | None, ...]]:
    """Return the kernels of a layer, and the shape they are applied to: a transposed convolution's is its input."""
    from keras import layers

    if isinstance(layer, layers.Conv1DTranspose | layers.Conv2DTranspose | layers.Conv3DTranspose):
        return [layer.kernel], layer.input.shape
    if isinstance(layer, layers.SeparableConv1D | layers.SeparableConv2D):
        return [layer.depthwise_kernel, layer.pointwise_kernel], layer.output.shape
    kinds = layers.Conv1D | layers.Conv2D | layers.Conv3D | layers.DepthwiseConv1D | layers.DepthwiseConv2D
    if isinstance(layer, kinds | layers.Dense):
        return [layer.kernel], layer.output.shape
    return [], ()
