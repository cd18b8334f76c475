"""Keras archives are checked before Keras loads them."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lociscope.errors import LociscopeError
from lociscope.storage.keras_files import check_keras

if TYPE_CHECKING:
    from pathlib import Path


def layer(name: Any, module: Any, **more: Any) -> dict[str, Any]:
    return {"module": module, "class_name": name, "config": {"name": "x"}, "registered_name": None, **more}


CONV = layer("Conv2D", "keras.layers")
OURS = layer("Subsampling", "lociscope.models.lenet5", registered_name="lociscope>Subsampling")
RELU = {"module": "builtins", "class_name": "function", "config": "relu", "registered_name": "function"}


def archive(*layers: Any, config: bytes | None = None, **members: bytes) -> bytes:
    model = layer("Functional", "keras.src.models.functional", config={"layers": list(layers)})
    files = {"config.json": json.dumps(model).encode() if config is None else config}
    files |= {"metadata.json": b"{}", "model.weights.h5": b"weights", **members}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        for name, data in files.items():
            zipped.writestr(name, data)
    return buffer.getvalue()


def refused(data: bytes, message: str) -> None:
    with pytest.raises(LociscopeError, match=message) as caught:
        check_keras(data, "It")
    assert str(caught.value).startswith("It ")


@pytest.mark.parametrize(
    "layers",
    [
        [],
        [CONV, OURS, RELU],
        [layer("AdamW", "keras.optimizers"), layer("DTypePolicy", "keras"), layer("Sequential", "keras")],
        [layer("__keras_tensor__", None), {"class_name": "__numpy__", "config": {"value": [1], "dtype": "float32"}}],
        [{"class_name": None}, {"module": "os"}, "os.system", 3, None],
    ],
)
def test_layers_of_keras_and_of_lociscope_are_let_through(layers: list[Any]) -> None:
    check_keras(archive(*layers), "It")


@pytest.mark.parametrize(
    "bad",
    [
        layer("Lambda", "keras.layers"),
        layer("__lambda__", "builtins"),
        layer("TFSMLayer", "keras.layers"),
        layer("TorchModuleWrapper", "keras.layers"),
        layer("JaxLayer", "keras.layers"),
        layer("system", "os"),
        layer("function", "os", config="system"),
        layer("system", "builtins"),
        layer("get_file", "keras.utils"),
        layer("Sequence", "keras.utils"),
        layer("load_model", "keras.saving"),
        layer("enable_unsafe_deserialization", "keras.config"),
        layer("import_module", "keras"),
        layer("Conv2D", "keras.layersx"),
        layer("Conv2D", "keras"),
        layer("Conv2D", None),
        {"class_name": "Conv2D", "config": {}},
        layer("__typespec__", "keras.layers", spec_name="TensorSpec"),
        # Keras looks a name up in the module if nobody registered it
        layer("system", "os", registered_name="lociscope>Subsampling"),
        layer("Popen", "subprocess", registered_name="lociscope>x"),
        layer("x", "lociscope.models.lenet5", registered_name="other>x"),
        layer("Lambda", "lociscope.models.lenet5", registered_name="lociscope>Lambda"),
        layer(["Lambda"], "keras.utils"),
        layer({"Lambda": 1}, "os"),
        layer("Conv2D", ["keras.layers"]),
        layer(3, "keras.optimizer"),
    ],
    ids=lambda bad: f"{bad['class_name']}-{bad.get('module')}",
)
def test_code_and_foreign_classes_are_refused_wherever_they_hide(bad: dict[str, Any]) -> None:
    message = "holds code or a foreign class: .*Only layers of Keras and of lociscope are loaded"
    refused(archive(CONV, bad), message)
    refused(archive({**CONV, "config": {"initializer": [{"deep": bad}]}}), message)
    refused(archive(config=json.dumps({**CONV, "compile_config": {"loss": bad}}).encode()), message)


@pytest.mark.parametrize("name", ["evil.py", "assets/x.txt", "../config.json", "model.weights.npz", "config.json/"])
def test_an_extra_member(name: str) -> None:
    refused(archive(**{name: b""}), f"holds the file '{name}', which Keras does not write")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_doubled_member() -> None:
    buffer = io.BytesIO(archive())
    with zipfile.ZipFile(buffer, "a") as zipped:
        zipped.writestr("config.json", json.dumps(CONV))
    refused(buffer.getvalue(), "holds two files of one name")


def test_a_configuration_and_weights_of_bomb_size(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as zipped, zipped.open("config.json", "w") as member:
        for _ in range(17):
            member.write(b" " * (1 << 20))
    refused(buffer.getvalue(), "unpacks to 17 MiB, more than lociscope loads")
    monkeypatch.setattr("lociscope.storage.keras_files.MAX_ARCHIVE_BYTES", 1 << 20)
    refused(archive(**{"model.weights.h5": bytes(3 << 20)}), "unpacks to 3 MiB, more than lociscope loads")


def test_a_configuration_nested_without_end() -> None:
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
        refused(archive(config=opening * 200_000 + b"1" + closing * 200_000), "is not a Keras archive")


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n", b"nonsense"])
def test_bytes_that_are_not_an_archive(data: bytes) -> None:
    refused(data, "is not a Keras archive, or is truncated .* Save it again")


@pytest.mark.parametrize("config", [b"", b"{", b"\xff\xfe\xfa", b"9" * 5000])
def test_a_configuration_that_is_not_json(config: bytes) -> None:
    refused(archive(config=config), "is not a Keras archive, or is truncated")


def test_a_missing_configuration() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        zipped.writestr("metadata.json", "{}")
    refused(buffer.getvalue(), "is not a Keras archive")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["Lambda", "keras.layers", "os"]),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["class_name", "module", "config", "registered_name"]), inner)
    ),
)


@given(JSON)
def test_any_configuration_is_let_through_or_refused(config: Any) -> None:
    try:
        check_keras(archive(config=json.dumps(config).encode()), "It")
    except LociscopeError as error:
        assert str(error).startswith("It holds code or a foreign class")
    else:
        assert '"Lambda"' not in json.dumps(config) or '"class_name": "Lambda"' not in json.dumps(config)


@settings(max_examples=250)
@given(st.data())
def test_random_bytes_are_let_through_or_refused(data: st.DataObject) -> None:
    whole = archive(CONV, OURS, RELU)
    damaged = bytearray(whole[: data.draw(st.just(len(whole)) | st.integers(0, len(whole)))])
    for _ in range(data.draw(st.integers(0, 4)) if damaged else 0):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        check_keras(bytes(damaged), "It")
    except LociscopeError as error:
        assert str(error).startswith("It ")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lenet5", "lenet5-1998"])
def test_archives_that_keras_writes_of_our_networks(tmp_path: Path, name: str) -> None:
    from lociscope.models import build_network

    model = build_network(name, 32, {})
    model.save(tmp_path / "model.keras")
    check_keras((tmp_path / "model.keras").read_bytes(), "It")


@pytest.mark.slow
def test_an_archive_that_keras_writes_with_code_in_it(tmp_path: Path) -> None:
    import keras

    def double(x: Any) -> Any:
        return 2 * x

    model = keras.Sequential([keras.Input((3,)), keras.layers.Lambda(double)])
    model.save(tmp_path / "model.keras")
    refused((tmp_path / "model.keras").read_bytes(), "holds code or a foreign class: 'Lambda'")
