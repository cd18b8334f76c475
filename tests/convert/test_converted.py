"""A converted model gives what the original gives for inputs prepared as it expects."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from fixtures.codes import raises_code
from onnx import TensorProto

from lociscope.convert.converted import OutputOptions, convert_onnx
from lociscope.convert.onnx_model import describe_input, parse_onnx, read_onnx
from lociscope.convert.wrap import Preparation
from lociscope.decide.logistic import sigmoid
from lociscope.errors import Code
from lociscope.storage.onnx_files import check_onnx

if TYPE_CHECKING:
    from collections.abc import Callable

    MakeModel = Callable[..., Path]

MODELS = Path(__file__).parent / "models"
SCORES = OutputOptions("scores")


def run(data: bytes, inputs: np.ndarray, output: str = "probabilities") -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].name == "field"
    return np.concatenate([session.run([output], {"field": row[None]})[0] for row in inputs])


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("opset", [11, 13, 17, 18, 21])
def test_layouts_and_opsets(make_model: MakeModel, layout: str, opset: int) -> None:
    model = read_onnx(make_model(layout=layout, opset=opset))
    expected = describe_input(model)
    assert (expected.layout, expected.size, expected.channels) == (layout, (16, 16), 4)
    made = convert_onnx(model, Preparation(), SCORES)
    check_onnx(made.data, "the conversion")
    assert made.given.activation == "sigmoid"
    weights = np.random.default_rng(1).normal(0, 4, (4, 28)).astype(np.float32)
    inputs = np.random.default_rng(2).random((3, 16, 16, 4), np.float32)
    np.testing.assert_allclose(run(made.data, inputs), sigmoid(inputs.mean((1, 2)) @ weights), atol=1e-5)


def test_channels_scale_mean_and_std_are_in_the_graph(make_model: MakeModel) -> None:
    model = read_onnx(make_model(channels=2, outputs=3))
    preparation = Preparation("YG", 255, (10.0, 20.0), (50.0, 60.0))
    made = convert_onnx(model, preparation, SCORES, (3, None, 3))
    inputs = np.random.default_rng(2).random((3, 16, 16, 4), np.float32)
    prepared = (inputs[..., [3, 1]] * 255 - (10, 20)) / (50, 60)
    weights = np.random.default_rng(1).normal(0, 4, (2, 3)).astype(np.float32)
    scores = sigmoid(prepared.mean((1, 2)) @ weights)
    np.testing.assert_allclose(run(made.data, inputs), scores[:, [0, 2]].max(axis=1, keepdims=True), atol=1e-5)
    np.testing.assert_allclose(made.probabilities, run(made.data, made.inputs), atol=1e-6)
    assert made.difference < 1e-5


def test_a_model_of_raw_crops_is_standardised_in_the_graph(make_model: MakeModel) -> None:
    model = read_onnx(make_model(opset=18))
    made = convert_onnx(model, Preparation(standardise=True), SCORES)
    inputs = np.random.default_rng(2).random((2, 16, 16, 4), np.float32)
    np.testing.assert_allclose(run(made.data, inputs), 0.5, atol=1e-4)  # the means of a standardised picture are 0
    np.testing.assert_allclose(
        run(made.data, np.full_like(inputs, 0.3)), 0.5, atol=0.05
    )  # an empty channel is not noise


def test_softmax_and_integers(make_model: MakeModel) -> None:
    model = read_onnx(make_model(outputs=4, kind=TensorProto.UINT8))
    made = convert_onnx(model, Preparation(scale=255), OutputOptions("scores", "softmax", "means"), (0, 1, 2, 3))
    inputs = np.rint(np.random.default_rng(2).random((2, 16, 16, 4)) * 255).astype(np.float32) / 255
    np.testing.assert_allclose(run(made.data, inputs).sum(axis=1), 1, atol=1e-5)
    assert run(made.data, inputs, "embedding").shape == (2, 4)


@pytest.mark.parametrize("name", ["torch_dynamo.onnx", "torch_script.onnx"])
def test_what_pytorch_exports(name: str) -> None:
    path = MODELS / name
    assert path.stat().st_size < 100_000
    expected = np.load(MODELS / "torch.npz")
    made = convert_onnx(read_onnx(path), Preparation("", 255), label_map=(0, 2, 7, 12, 25))
    assert made.expected.layout == "NCHW"
    assert made.expected.batch == (1 if name == "torch_script.onnx" else 0)
    pictures = np.moveaxis(expected["input"], 1, -1).astype(np.float32) / 255
    inputs = np.concatenate([pictures, np.zeros_like(pictures[..., :1])], axis=-1)  # RGB, and yellow, which is not used
    np.testing.assert_allclose(run(made.data, inputs), sigmoid(expected["logits"]), atol=1e-5)


def test_unused_opsets_are_no_reason_to_refuse(make_model: MakeModel) -> None:
    model = onnx.load(make_model())
    model.opset_import.append(onnx.helper.make_opsetid("ai.onnx.ml", 2))  # as Keras writes it
    assert [each.domain for each in parse_onnx(model.SerializeToString(), "it").opset_import] == [""]


def test_foreign_operators_and_opsets_are_refused(make_model: MakeModel) -> None:
    model = onnx.load(make_model())
    model.graph.node[0].domain = "com.example"
    model.opset_import.append(onnx.helper.make_opsetid("com.example", 1))
    with raises_code(Code.REFUSED_CONTENT):
        parse_onnx(model.SerializeToString(), "it")
    model = onnx.load(make_model(opset=17))
    model.opset_import[0].version = 9
    with raises_code(Code.UNSUPPORTED_VERSION):
        parse_onnx(model.SerializeToString(), "it")
    model.opset_import[0].version = 999
    with raises_code(Code.CORRUPT):
        convert_onnx(parse_onnx(model.SerializeToString(), "it"), Preparation(), SCORES)


def test_files_that_are_no_models(tmp_path: Path) -> None:
    with raises_code(Code.NOT_FOUND):
        read_onnx(tmp_path / "absent.onnx")
    (tmp_path / "text.onnx").write_text("no model", encoding="utf-8")
    with raises_code(Code.CORRUPT):
        read_onnx(tmp_path / "text.onnx")


def test_weights_that_are_not_numbers(make_model: MakeModel) -> None:
    with raises_code(Code.INVALID_VALUE):
        read_onnx(make_model(weights=np.full((4, 28), np.nan)))
    huge = read_onnx(make_model(weights=np.full((4, 28), 3e38)))
    with raises_code(Code.INVALID_VALUE):
        convert_onnx(huge, Preparation(scale=1000), SCORES)


@pytest.mark.parametrize(
    ("options", "preparation", "code"),
    [
        ({"outputs": 13}, Preparation(), Code.INVALID_LABELS),
        ({"channels": 2}, Preparation(), Code.INVALID_VALUE),
        ({"channels": 5}, Preparation(), Code.INVALID_VALUE),
        ({}, Preparation("RGB"), Code.INVALID_VALUE),
        ({}, Preparation("RGBX"), Code.INVALID_VALUE),
        ({}, Preparation(mean=(1.0, 2.0)), Code.INVALID_VALUE),
        ({}, Preparation(std=(0.0,)), Code.INVALID_VALUE),
        ({"side": "s"}, Preparation(), Code.INVALID_VALUE),
        ({"side": 4}, Preparation(), Code.INVALID_VALUE),
    ],
    ids=["outputs", "two channels", "five", "letters", "unknown letter", "mean", "std", "open size", "layout"],
)
def test_a_model_that_does_not_fit(
    make_model: MakeModel, options: dict[str, int], preparation: Preparation, code: Code
) -> None:
    with raises_code(code):
        convert_onnx(read_onnx(make_model(**options)), preparation, SCORES)


def test_outputs_must_be_named_or_be_probabilities(make_model: MakeModel) -> None:
    model = read_onnx(make_model())
    with raises_code(Code.INVALID_VALUE):  # two outputs
        convert_onnx(model, Preparation())
    with raises_code(Code.UNKNOWN_NAME):
        convert_onnx(model, Preparation(), OutputOptions("score"))
    with raises_code(Code.INVALID_VALUE):
        convert_onnx(model, Preparation(), OutputOptions("scores", "none"))
    with raises_code(Code.UNKNOWN_NAME):
        convert_onnx(model, Preparation(), OutputOptions("scores", "relu"))
