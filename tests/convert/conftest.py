"""ONNX models of every layout, made in a millisecond."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

SIDE = 16
MakeModel = Callable[..., Path]


def channel_means(
    path: Path,
    *,
    layout: str = "NCHW",
    channels: int = 4,
    outputs: int = 28,
    opset: int = 17,
    batch: int | str = "n",
    side: int | str = SIDE,
    kind: int = TensorProto.FLOAT,
    weights: np.ndarray | None = None,
    name: str = "scores",
) -> Path:
    """Writes a model that gives the channels' means times a matrix, without a sigmoid."""
    values = np.random.default_rng(1).normal(0, 4, (channels, outputs)) if weights is None else weights
    axes = [2, 3] if layout == "NCHW" else [1, 2]
    shape = [batch, channels, side, side] if layout == "NCHW" else [batch, side, side, channels]
    initializers = [numpy_helper.from_array(values.astype(np.float32), "w")]
    reduce: dict[str, Any] = {"axes": axes}
    inputs = ["float_x"]
    if opset >= 18:
        initializers.append(numpy_helper.from_array(np.array(axes, np.int64), "axes"))
        inputs.append("axes")
        reduce = {}
    nodes = [
        helper.make_node("Cast", ["x"], ["float_x"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", inputs, ["means"], keepdims=0, **reduce),
        helper.make_node("MatMul", ["means", "w"], [name]),
    ]
    graph = helper.make_graph(
        nodes,
        "means",
        [helper.make_tensor_value_info("x", kind, shape)],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, outputs]),
            helper.make_tensor_value_info("means", TensorProto.FLOAT, [batch, channels]),
        ],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def make_model(tmp_path: Path) -> MakeModel:
    """`make_model(**options)` writes a model of `channel_means`."""
    return lambda **options: channel_means(tmp_path / "model.onnx", **options)
