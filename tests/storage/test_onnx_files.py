"""ONNX files are checked before a runtime loads them; the onnx package reads the same bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from lociscope.errors import LociscopeError
from lociscope.storage.onnx_files import check_onnx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LOCAL, FOREIGN = 17, "com.example"


def value(name: str, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, [2])


def weights(name: str = "w") -> TensorProto:
    return numpy_helper.from_array(np.array([1, 2], np.float32), name)


def external(name: str = "w") -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="weights.bin")
    return tensor


def sparse(values: TensorProto) -> onnx.SparseTensorProto:
    indices = numpy_helper.from_array(np.array([0, 1], np.int64), "indices")
    return helper.make_sparse_tensor(values, indices, [2])


def branch(tensor: TensorProto, domain: str = "") -> GraphProto:
    node = helper.make_node("Add", [tensor.name, tensor.name], ["out"], domain=domain)
    return helper.make_graph([node], "branch", [], [value("out")], [tensor])


def make(
    nodes: list[NodeProto] | None = None,
    initializers: list[TensorProto] | None = None,
    domains: tuple[str, ...] = ("",),
) -> ModelProto:
    """A valid model: `y = x + w`, or the given nodes."""
    nodes = [helper.make_node("Add", ["x", "w"], ["y"])] if nodes is None else nodes
    initializers = [weights()] if initializers is None else initializers
    graph = helper.make_graph(nodes, "graph", [value("x")], [value("y")], initializers)
    imports = [helper.make_opsetid(domain, LOCAL) for domain in domains]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def branching(tensor: TensorProto, domain: str = "") -> ModelProto:
    condition = numpy_helper.from_array(np.array(True), "c")
    inner = helper.make_node("If", ["c"], ["out"], then_branch=branch(tensor, domain), else_branch=branch(weights("v")))
    loop_body = helper.make_graph(
        [helper.make_node("Identity", ["k"], ["k_out"]), inner],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("k", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("k_out", TensorProto.BOOL, []), value("out")],
    )
    trips = numpy_helper.from_array(np.array(1), "n")
    nodes = [helper.make_node("Loop", ["n", "c"], ["all"], body=loop_body), helper.make_node("Add", ["x", "x"], ["y"])]
    return make(nodes, [condition, trips])


def constant(**attribute: Any) -> ModelProto:
    nodes = [helper.make_node("Constant", [], ["w"], **attribute), helper.make_node("Add", ["x", "w"], ["y"])]
    return make(nodes, [])


def with_attribute(fill: Callable[[AttributeProto], object], kind: int) -> ModelProto:
    model = make()
    attribute = model.graph.node[0].attribute.add(name="more", type=kind)
    fill(attribute)
    return model


def with_model(change: Callable[[ModelProto], object]) -> ModelProto:
    model = make()
    change(model)
    return model


VALID = {
    "add": make(),
    "ai.onnx": make(domains=("ai.onnx",)),
    "constant": constant(value=weights()),
    "sparse constant": constant(sparse_value=sparse(weights("values"))),
    "sparse initializer": with_model(lambda model: model.graph.sparse_initializer.append(sparse(weights("values")))),
    "branches in a loop": branching(weights("u")),
    "metadata": with_model(lambda model: model.metadata_props.add(key="location", value="weights.bin")),
}

REFUSED = {
    "initializer": (make(initializers=[external()]), "external data"),
    "attribute": (constant(value=external()), "external data"),
    "attribute's list": (
        with_attribute(lambda a: a.tensors.append(external()), AttributeProto.TENSORS),
        "external data",
    ),
    "sparse initializer": (
        with_model(lambda model: model.graph.sparse_initializer.append(sparse(external("values")))),
        "external data",
    ),
    "sparse attribute": (constant(sparse_value=sparse(external("values"))), "external data"),
    "sparse attributes": (
        with_attribute(lambda a: a.sparse_tensors.append(sparse(external())), AttributeProto.SPARSE_TENSORS),
        "external data",
    ),
    "a loop's branch": (branching(external("u")), "external data"),
    "a list of graphs": (
        with_attribute(lambda a: a.graphs.append(branch(external())), AttributeProto.GRAPHS),
        "external data",
    ),
    "only the location": (
        make(initializers=[TensorProto(name="w", dims=[2], data_type=1, data_location=TensorProto.EXTERNAL)]),
        "external data",
    ),
    "a node's domain": (make([helper.make_node("Add", ["x", "w"], ["y"], domain=FOREIGN)]), f"the domain '{FOREIGN}'"),
    "a branch's domain": (branching(weights("u"), FOREIGN), f"the domain '{FOREIGN}'"),
    "an imported domain": (make(domains=("", FOREIGN)), f"the domain '{FOREIGN}'"),
    "Microsoft's domain": (make(domains=("", "com.microsoft")), "the domain 'com.microsoft'"),
    "functions": (
        with_model(
            lambda model: model.functions.append(
                helper.make_function("", "F", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], [])
            )
        ),
        "functions",
    ),
    "training": (with_model(lambda model: model.training_info.add()), "training steps"),
}


@pytest.mark.parametrize("name", VALID)
def test_models_of_onnx_alone_are_let_through(name: str) -> None:
    data = VALID[name].SerializeToString()
    onnx.checker.check_model(onnx.load_model_from_string(data))
    check_onnx(data, "It")


@pytest.mark.parametrize("name", REFUSED)
def test_what_reaches_outside_is_refused(name: str) -> None:
    model, thing = REFUSED[name]
    with pytest.raises(LociscopeError, match=r"^It holds .*, which lociscope never loads") as caught:
        check_onnx(model.SerializeToString(), "It")
    assert thing in str(caught.value)


@pytest.mark.parametrize(
    "data", [b"", b"PK\x03\x04", b"\x00", b"\x08", b"\x08\x08", b"\x3a\x05", b"\x38\x01", b"\xff" * 20]
)
def test_bytes_that_are_not_a_model(data: bytes) -> None:
    with pytest.raises(LociscopeError, match=r"^It is (empty|not an ONNX model)"):
        check_onnx(data, "It")


def test_graphs_nested_without_end() -> None:
    data = b""
    for _ in range(2000):
        # graph in attribute (6) in node (5) in graph (1)
        for key in (0x32, 0x2A, 0x0A):
            data = bytes([key]) + varint(len(data)) + data
    with pytest.raises(LociscopeError, match="deep"):
        check_onnx(b"\x3a" + varint(len(data)) + data, "It")


# === Where another parser sees something else ===


def varint(number: int) -> bytes:
    data = bytearray()
    while number > 0x7F:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*data, number])


def field(number: int, content: bytes, more: int = 0) -> bytes:
    return varint((number << 3 | 2) + more) + varint(len(content)) + content


def test_a_key_that_onnx_runtime_would_truncate_to_32_bits() -> None:
    inner = external()
    plain = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2]).SerializeToString()
    hidden = (
        plain + field(13, inner.external_data[0].SerializeToString(), 1 << 32) + varint((14 << 3) + (1 << 32)) + b"\1"
    )
    model = make(initializers=[])
    model.graph.initializer.clear()
    graph = model.graph.SerializeToString() + field(5, hidden)
    model.ClearField("graph")
    with pytest.raises(LociscopeError, match="is not an ONNX model"):
        check_onnx(model.SerializeToString() + field(7, graph), "It")


def test_bytes_that_onnx_runtime_takes_for_its_own_format() -> None:
    disguised = field(2, b"\0\0ORTM" + bytes(12)) + make().SerializeToString()
    assert onnx.load_model_from_string(disguised).graph.name == "graph"
    assert disguised[4:8] == b"ORTM"
    with pytest.raises(LociscopeError, match="holds ONNX Runtime's own format"):
        check_onnx(disguised, "It")


def test_a_second_graph_is_looked_into_as_well() -> None:
    # protobuf merges a message that comes twice
    data = make().SerializeToString() + field(7, GraphProto(initializer=[external()]).SerializeToString())
    assert onnx.load_model_from_string(data).graph.initializer[1].data_location == TensorProto.EXTERNAL
    with pytest.raises(LociscopeError, match="external data"):
        check_onnx(data, "It")


# === Damaged ===


def tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for each in graph.sparse_initializer:
        yield from (each.values, each.indices)
    for attribute in (attribute for node in graph.node for attribute in node.attribute):
        yield from (attribute.t, *attribute.tensors)
        for each in (attribute.sparse_tensor, *attribute.sparse_tensors):
            yield from (each.values, each.indices)
        for inner in (attribute.g, *attribute.graphs):
            yield from tensors(inner)


def domains(graph: GraphProto) -> Iterator[str]:
    for node in graph.node:
        yield node.domain
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from domains(inner)


def is_harmless(data: bytes) -> bool:
    """What onnx reads from the bytes; True also where it reads nothing."""
    try:
        model = onnx.load_model_from_string(data)
    except Exception:
        return True
    found = {*domains(model.graph), *(each.domain for each in model.opset_import)}
    return (
        not (model.functions or model.training_info)
        and found <= {"", "ai.onnx"}
        and not any(tensor.data_location or tensor.external_data for tensor in tensors(model.graph))
    )


@pytest.mark.parametrize("name", VALID)
def test_every_beginning_of_a_model_is_checked_or_refused(name: str) -> None:
    data = VALID[name].SerializeToString()
    for length in range(len(data)):
        try:
            check_onnx(data[:length], "It")
        except LociscopeError as error:
            assert str(error).startswith("It ")
        else:
            onnx.load_model_from_string(data[:length])


SAMPLES = [model.SerializeToString() for model in (*VALID.values(), *(model for model, _ in REFUSED.values()))]


@settings(max_examples=800)
@given(
    st.sampled_from(SAMPLES), st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4)
)
def test_nothing_harmful_passes_and_nothing_else_is_raised(data: bytes, changes: list[tuple[float, int]]) -> None:
    damaged = bytearray(data)
    for position, byte in changes:
        damaged[int(position * len(damaged))] = byte
    try:
        check_onnx(bytes(damaged), "It")
    except LociscopeError:
        return
    assert is_harmless(bytes(damaged))


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    try:
        check_onnx(data, "It")
    except LociscopeError as error:
        assert str(error).startswith("It ")


@pytest.mark.slow
def test_a_model_that_keras_exported(tmp_path: Path) -> None:
    import warnings

    import keras

    inputs = keras.Input((8, 8, 4))
    hidden = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(3, 3, activation="relu")(inputs))
    network = keras.Model(inputs, keras.layers.Dense(28, activation="sigmoid")(hidden))
    network(np.zeros((1, 8, 8, 4), np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras patches tf2onnx for numpy 2, and says so
        network.export(tmp_path / "model.onnx", format="onnx", verbose=False)
    exported = onnx.load_model_from_string((tmp_path / "model.onnx").read_bytes())
    for unused in [each for each in exported.opset_import if each.domain]:  # the converter leaves `ai.onnx.ml` behind
        exported.opset_import.remove(unused)
    onnx.checker.check_model(exported)
    assert is_harmless(exported.SerializeToString())
    check_onnx(exported.SerializeToString(), "It")
