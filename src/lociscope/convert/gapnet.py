"""GapNet-PL as its authors published it: from the arrays of their checkpoint to an ONNX model.

Rumetshofer, Hofmarcher, Röhrl, Hochreiter and Klambauer, *Human-level protein localization with convolutional neural
networks*, ICLR 2019. The architecture is that of `tensorflow_models/architectures.py` in the authors' repository: eight
3 × 3 convolutions with SELU in three blocks, of which the global averages go through three dense layers. Every
convolution pads one pixel of zeros on each side; at stride 2 this is not TensorFlow's 'SAME'.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from lociscope.convert.onnx_model import import_onnx
from lociscope.convert.wrap import Preparation
from lociscope.errors import Code, LociscopeError, MissingExtraError
from lociscope.storage.schema import CORRUPT_FILE_ERRORS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SIDE = 1024
"""Side of its crops in px."""
FIELD_UM = 82.0
"""Side of a crop in µm: half a field of the Human Protein Atlas, 0.08 µm a pixel."""
PREPARATION = Preparation(channels="BGRY", standardise=True)
LABEL_MAP = (12, 19, 25, 6, 7, 11, 14, 23, 1, 2, 0, 21, None)
"""Actin filaments, Centrosome, Cytosol, Endoplasmic reticulum, Golgi apparatus, Intermediate filaments, Microtubules,
Mitochondria, Nuclear membrane, Nucleoli, Nucleus, Plasma membrane; Vesicles has no single class."""
_MAPS = (4, 32, 64, 64, 64, 64, 128, 128, 128)
_STRIDES = (2, 2, 1, 1, 1, 1, 1, 1)
_POOLED_AFTER = (1, 5)
_BLOCK_ENDS = (1, 5, 8)
_UNITS = (224, 256, 256, len(LABEL_MAP))
_CONVOLUTION, _DENSE = "ConvLayer-{}.{}_conv", "FC-{}.{}_dense"


def array_shapes() -> dict[str, tuple[int, ...]]:
    """Return the shape of each array by its name in the checkpoint."""
    shapes: dict[str, tuple[int, ...]] = {}
    for number in range(1, len(_MAPS)):
        shapes[_CONVOLUTION.format(number, "W")] = (3, 3, *_MAPS[number - 1 : number + 1])
        shapes[_CONVOLUTION.format(number, "b")] = (_MAPS[number],)
    for number in range(1, len(_UNITS)):
        shapes[_DENSE.format(number, "W")] = _UNITS[number - 1 : number + 1]
        shapes[_DENSE.format(number, "b")] = (_UNITS[number],)
    return shapes


def read_checkpoint(prefix: Path) -> dict[str, np.ndarray]:
    """Read the arrays of the authors' TensorFlow checkpoint; nothing in it is executed.

    Args:
        prefix: The path of its files without `.index` and `.data-00000-of-00001`.

    Raises:
        LociscopeError: It is not a checkpoint, or lacks an array.
        MissingExtraError: TensorFlow is not installed.
    """
    try:
        import tensorflow as tf
    except ImportError:
        raise MissingExtraError("Reading a TensorFlow checkpoint", "train") from None
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        stored = {name.replace("/", "."): name for name in reader.get_variable_to_shape_map()}
        arrays = {}
        for name in array_shapes():
            found = [each for each in stored if each == name or each.endswith(f".{name}")]
            if len(found) == 1:
                arrays[name] = np.asarray(reader.get_tensor(stored[found[0]]))
    except (*CORRUPT_FILE_ERRORS, tf.errors.OpError) as error:
        raise LociscopeError(
            f"'{prefix}' is not a TensorFlow checkpoint, or is damaged ({error}). Fetch it again.", code=Code.CORRUPT
        ) from error
    return check_arrays(arrays, f"'{prefix}'")


def read_npz(data: bytes, what: str) -> dict[str, np.ndarray]:
    """Read the same arrays from an `.npz` file, whose contents are given.

    Raises:
        LociscopeError: It is damaged, or lacks an array.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except CORRUPT_FILE_ERRORS as error:
        raise LociscopeError(f"{what} is damaged ({error}). Copy it again.", code=Code.CORRUPT) from error
    return check_arrays(arrays, what)


def check_arrays(arrays: Mapping[str, np.ndarray], what: str) -> dict[str, np.ndarray]:
    """Return the arrays of the network as float32.

    Raises:
        LociscopeError: One is missing, has another shape, or is not finite.
    """
    for name, shape in array_shapes().items():
        if name not in arrays or arrays[name].shape != shape or not np.isfinite(arrays[name]).all():
            found = arrays[name].shape if name in arrays else "no such array"
            raise LociscopeError(
                f"{what}: {name} should be {shape} of finite numbers; found {found}. It is another network.",
                code=Code.WRONG_FILE,
            )
    return {name: np.asarray(arrays[name], np.float32) for name in array_shapes()}


def build_onnx(arrays: Mapping[str, np.ndarray], side: int = SIDE) -> Any:  # noqa: ANN401 - onnx has no types
    """Return the network as an onnx.ModelProto: standardised crops in NCHW to 13 logits, `scores`, and `embedding`.

    Args:
        arrays: The arrays of `check_arrays`.
        side: Side of the crops in px.
    """
    onnx = import_onnx()
    helper, weights, nodes = onnx.helper, [], []

    def constant(name: str, values: np.ndarray) -> str:
        weights.append(onnx.numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def add(operator: str, inputs: list[str], output: str, **attributes: Any) -> str:  # noqa: ANN401 - as above
        nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    x, averages = "crop", []
    for number, stride in enumerate(_STRIDES, start=1):
        kernel = constant(f"kernel{number}", arrays[_CONVOLUTION.format(number, "W")].transpose(3, 2, 0, 1))
        bias = constant(f"bias{number}", arrays[_CONVOLUTION.format(number, "b")])
        x = add("Conv", [x, kernel, bias], f"conv{number}", pads=[1, 1, 1, 1], strides=[stride, stride])
        x = add("Selu", [x], f"selu{number}")
        if number in _POOLED_AFTER:
            x = add("MaxPool", [x], f"pool{number}", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
        if number in _BLOCK_ENDS:
            average = add("GlobalAveragePool", [x], f"average{number}")
            averages.append(add("Flatten", [average], f"flat{number}", axis=1))
    x = add("Concat", averages, "averages", axis=1)
    for number in range(1, len(_UNITS)):
        kernel = constant(f"dense_kernel{number}", arrays[_DENSE.format(number, "W")])
        bias = constant(f"dense_bias{number}", arrays[_DENSE.format(number, "b")])
        last = number + 1 == len(_UNITS)
        x = add("Gemm", [x, kernel, bias], "scores" if last else f"dense{number}")
        if not last:
            x = add("Selu", [x], "embedding" if number + 2 == len(_UNITS) else f"dense_selu{number}")
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "gapnet_pl",
        [helper.make_tensor_value_info("crop", kind, ["n", _MAPS[0], side, side])],
        [
            helper.make_tensor_value_info("scores", kind, ["n", _UNITS[-1]]),
            helper.make_tensor_value_info("embedding", kind, ["n", _UNITS[-2]]),
        ],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
