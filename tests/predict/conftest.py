"""A bundle small enough to be made in a millisecond: mean of each channel, a matrix, a sigmoid."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from lociscope.bundle import Card, Decision, InputSpec, Selftest, write_bundle
from lociscope.labels import N_LABELS

SIDE = 16
MakeBundle = Callable[..., Path]


def tiny_model(weights: np.ndarray, *, embedding: bool = True) -> bytes:
    """Gives `probabilities` (n, 28), sigmoid of the channels' means times `weights`, and `embedding`, the means."""
    nodes = [
        helper.make_node("ReduceMean", ["field"], ["embedding"], axes=[1, 2], keepdims=0),
        helper.make_node("MatMul", ["embedding", "weights"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["probabilities"]),
    ]
    outputs = {"probabilities": N_LABELS} | ({"embedding": 4} if embedding else {})
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("field", TensorProto.FLOAT, ["n", SIDE, SIDE, 4])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", wide]) for name, wide in outputs.items()],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    serialized: bytes = model.SerializeToString()
    return serialized


def tiny_bundle_at(folder: Path, seed: int = 0, *, embedding: bool = True, threshold: float = 0.5) -> Path:
    """Makes a tiny bundle of random weights; another seed is another bundle."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(0, 4, (4, N_LABELS)).astype(np.float32)
    inputs = rng.random((2, SIDE, SIDE, 4), np.float32)
    selftest = Selftest(inputs, (1 / (1 + np.exp(-inputs.mean((1, 2)) @ weights))).astype(np.float32))
    card = Card(
        name=f"tiny{seed}",
        version="0",
        created="2026-01-01T00:00:00+00:00",
        licence="Apache-2.0",
        input=InputSpec(height=SIDE, width=SIDE, low=0.5, high=99.9, floor=0.04),
        decide=Decision(policy="constant", thresholds=(threshold,) * N_LABELS),
        limits="For tests.",
    )
    write_bundle(folder, card, tiny_model(weights, embedding=embedding), selftest, {})
    return folder


@pytest.fixture(scope="session")
def make_bundle() -> MakeBundle:
    """`make_bundle(folder, seed=0, embedding=True, threshold=0.5)` makes a tiny bundle."""
    return tiny_bundle_at


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One tiny bundle, for all tests that only read it."""
    return tiny_bundle_at(tmp_path_factory.mktemp("bundle") / "tiny")
