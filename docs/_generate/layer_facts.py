"""Analyze a network layer by layer: shapes, parameters, multiply-accumulates, and receptive fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lociscope.models.cost import count_layer_macs

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, slots=True)
class LayerFacts:
    """One layer of a network.

    Attributes:
        name: Its name.
        kind: Its class, such as `Conv2D`.
        shape: Its output for one field: (h, w, maps), or (numbers,).
        window: Side of its window in positions of its input; 1 where it uses single positions.
        stride: Positions that the window moves by.
        parameters: Number of its weights, trainable or not.
        macs: Multiply-accumulates for one field.
        receptive_field: Side in px of the part of the field that one output position depends on; None for all of it.
        receptive_field_um: The same in µm.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    window: int
    stride: int
    parameters: int
    macs: int
    receptive_field: int | None
    receptive_field_um: float | None


def analyze_layers(network: keras.Model, field_um: float = 164.0) -> list[LayerFacts]:
    """Return the layers of a functional network, from its input to its outputs.

    The receptive field follows from the windows and strides of the layers before (Araujo, Norris and Sim, *Computing
    receptive fields of convolutional neural networks*, Distill 2019, eq. 2): a window of k positions that are j px
    apart adds (k − 1) j. Where branches meet, the widest counts. Part of it may be padding.

    Args:
        network: A functional model of fixed input size.
        field_um: Side of the input in µm; 164 in the competition's fields.

    Returns:
        Its layers in the order of computation, without the input.
    """
    side = network.input.shape[1]
    known: dict[int, tuple[int | None, int]] = {id(network.input): (1, 1)}
    facts = []
    for layer in network.operations:
        if layer.output is network.input:
            continue
        given = _tensors(layer.input)
        before = [known[id(tensor)] for tensor in given if id(tensor) in known]
        window, stride = _window(layer, given)
        field = _widest([field for field, _ in before])
        jump = max((jump for _, jump in before), default=1)
        field = None if window is None or field is None else field + (window - 1) * jump
        for tensor in _tensors(layer.output):
            known[id(tensor)] = (field, jump * stride)
        facts.append(
            LayerFacts(
                layer.name, type(layer).__name__, tuple(layer.output.shape[1:]), window or 0, stride,
                layer.count_params() if hasattr(layer, "count_params") else 0, count_layer_macs(layer) or 0,
                field, None if field is None else round(field * field_um / side, 1),
            )
        )  # fmt: skip
    return facts


def _widest(sides: list[int | None]) -> int | None:
    return None if None in sides else max((side for side in sides if side is not None), default=1)


def _tensors(value: Any) -> list[Any]:  # noqa: ANN401
    return list(value) if isinstance(value, list | tuple) else [value]


def _window(layer: Any, given: list[Any]) -> tuple[int | None, int]:  # noqa: ANN401
    """Return side and stride of a layer's window; None for a layer that uses all positions at once."""
    for name in ("kernel_size", "pool_size"):
        if hasattr(layer, name):
            dilation = getattr(layer, "dilation_rate", (1, 1))[0]
            return (getattr(layer, name)[0] - 1) * dilation + 1, layer.strides[0]
    before, after = given[0].shape, layer.output.shape
    if len(before) == 4 and (len(after) < 4 or after[1] == 1 < before[1]):
        return None, 1
    stride = round(before[1] / after[1]) if len(before) == 4 and after[1] else 1
    return stride, stride  # other layers that shrink a map use the positions that they combine
