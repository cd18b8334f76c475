"""Networks of keras.applications: what each does to its pictures, and weights that come, or do not, over HTTP."""

from __future__ import annotations

import http.server
import threading
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

import h5py  # type: ignore[import-untyped]
import keras
import numpy as np
import pytest
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

from lociscope.errors import LociscopeError
from lociscope.models import applications as ours
from lociscope.models import build_network

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OWN = {"convnext", "efficientnet", "efficientnet_v2", "mobilenet_v3"}
"""Modules whose networks bring layers that prepare their pictures: their `preprocess_input` does nothing."""
X = np.random.default_rng(1).random((2, 64, 64, 4), np.float32)


def slow(*values: object) -> object:
    return pytest.param(*values, marks=pytest.mark.slow)


def test_every_network_of_keras_is_known() -> None:
    networks = [name for name in dir(keras.applications) if name[0].isupper()]
    assert len(networks) > 30
    assert ours.names() == networks


@pytest.mark.parametrize("module", sorted(set(ours.AFFINES) - OWN))
def test_affines_are_what_keras_does(module: str) -> None:
    affine = ours.AFFINES[module]
    expected = import_module(f"keras.applications.{module}").preprocess_input(X[..., :3] * 255)
    found = X[..., :3] * affine.scale + affine.offset
    np.testing.assert_allclose(found[..., :: -1 if affine.reversed else 1], expected, atol=2e-4)


@pytest.mark.parametrize(
    "name", ["MobileNetV3Small", slow("EfficientNetV2B0"), slow("EfficientNetV2S"), slow("ConvNeXtTiny")]
)
def test_affines_are_those_of_networks_that_bring_their_own(name: str) -> None:
    whole = with_pictures(name)
    kinds = (keras.layers.Rescaling, keras.layers.Normalization)
    last = [layer for layer in whole.layers if isinstance(layer, kinds)][-1]
    affine = ours.find_affine(name)
    expected = keras.Model(whole.input, last.output)(X[..., :3] * 255)
    np.testing.assert_allclose(X[..., :3] * affine.scale + affine.offset, expected, atol=1e-5)


def with_pictures(name: str, size: int = 64) -> keras.Model:
    """The network of colour pictures as Keras gives it, with numbers that can be distinguished."""
    model = getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(size, size, 3))
    rng = np.random.default_rng(2)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization) or type(layer).__name__ == "LayerScale":
            layer.set_weights([weight + rng.random(weight.shape) * 0.2 for weight in layer.get_weights()])
        if isinstance(layer, keras.layers.Normalization) and layer.weights:
            layer.set_weights([ours._MEAN, ours._SPREAD**2, np.zeros((), "int64")])
            layer.finalize_state()
    return model


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("MobileNetV3Small", 64),
        *(slow(name, 64) for name in ("ResNet50", "DenseNet121", "EfficientNetB0", "EfficientNetV2B0")),
        slow("ConvNeXtTiny", 32),
        slow("InceptionResNetV2", 75),
    ],
)
def test_weights_arrive_where_they_belong(name: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """On colour fields, first and last features are those of Keras' own network on its own preprocessed pictures."""
    pictures = with_pictures(name, size)
    monkeypatch.setattr(ours, "_fetched", lambda *_: pictures)
    network = build_network("pretrained", size, {"backbone": name, "channels": "RGB"})
    x = np.random.default_rng(1).random((2, size, size, 4), np.float32)
    colour = import_module(f"keras.applications.{ours._module(name)}").preprocess_input(x[..., :3] * 255)
    first, *others = zip(
        ours._layers_with_weights(network), ours._layers_with_weights(pictures), strict=False
    )  # ours has a head besides
    theirs = keras.Model(pictures.input, [first[1].output, pictures.output])(colour)
    mine = keras.Model(network.input, [first[0].output, network.get_layer("dropout").input])(x)
    for found, expected in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    assert others
    for layer, source in others:
        for here, there in zip(layer.get_weights(), source.get_weights(), strict=True):
            np.testing.assert_array_equal(here.ravel(), there.ravel())  # a rewritten layer's have other axes


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A host of weights on this machine: its address, and the folder that it serves."""
    folder = tmp_path / "host"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    host = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=host.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{host.server_port}/", folder
    host.shutdown()
    thread.join()
    host.server_close()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keras' folder, for this test alone."""
    from keras.src.backend import config

    folder = tmp_path / "keras"
    folder.mkdir()
    monkeypatch.setattr(config, "_KERAS_DIR", str(folder))
    return folder


@pytest.mark.slow
def test_weights_are_fetched_once_and_kept(
    server: tuple[str, Path], cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    address, folder = server
    monkeypatch.setattr("keras.src.applications.mobilenet.BASE_WEIGHT_PATH", address)
    source = with_pictures("MobileNet")
    file = folder / "mobilenet_1_0_224_tf_no_top.h5"
    with h5py.File(file, "w") as weights:
        save_weights_to_hdf5_group(weights, source)
    options = {"backbone": "MobileNet", "channels": "RGB"}
    network = build_network("pretrained", 64, options)
    assert (cache / "models" / file.name).is_file()
    assert capsys.readouterr().out == ""
    assert keras.config.is_interactive_logging_enabled()
    np.testing.assert_array_equal(network.get_layer("conv1").kernel, source.get_layer("conv1").kernel)
    np.testing.assert_array_equal(network.get_layer("conv_pw_13").kernel, source.get_layer("conv_pw_13").kernel)
    file.unlink()
    build_network("pretrained", 64, options)
    (cache / "models" / file.name).write_bytes(b"cut short")
    with pytest.raises(LociscopeError, match="weights of MobileNet cannot be"):
        build_network("pretrained", 64, options)


def test_weights_of_another_hash_are_refused(
    server: tuple[str, Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, folder = server
    (folder / "weights.h5").write_bytes(b"another file")
    monkeypatch.setattr("keras.src.applications.vgg16.WEIGHTS_PATH_NO_TOP", f"{address}weights.h5")
    with pytest.raises(LociscopeError, match=r"not the published ones.*hash does not match.*efficientnet-lite0"):
        build_network("pretrained", 64, {"backbone": "VGG16"})


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # urllib leaves the socket of a connection that failed
@pytest.mark.parametrize("there", [True, False], ids=["no such file", "no such host"])
def test_weights_out_of_reach_name_the_offline_backbone(
    there: bool, server: tuple[str, Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = server[0] if there else "http://127.0.0.1:9/"  # the port of the discard service: nobody listens
    monkeypatch.setattr("keras.src.applications.vgg16.WEIGHTS_PATH_NO_TOP", f"{address}weights.h5")
    with pytest.raises(LociscopeError, match=r'cannot be fetched.*efficientnet-lite0.*weights = "none"') as raised:
        build_network("pretrained", 64, {"backbone": "VGG16"})
    assert "\n" not in str(raised.value)


@pytest.mark.slow
def test_a_size_too_small_is_no_matter_of_weights(cache: Path) -> None:
    with pytest.raises(LociscopeError, match=r"cannot be built: .*Input size must be at least 32x32"):
        build_network("pretrained", 16, {"backbone": "MobileNetV2"})


CUTS = [
    *(("ResNet50V2", 1024), ("MobileNetV2", 576), ("MobileNetV3Small", 288), ("VGG16", 512)),
    slow("ConvNeXtTiny", 384),  # not the 1536 within its last block
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "maps"), CUTS)
def test_the_finer_grid_is_cut_before_the_last_halving(name: str, maps: int) -> None:
    network = build_network("pretrained", 64, {"backbone": name, "weights": "none", "stride": 16})
    assert network.get_layer("evidence").input.shape == (None, 4, 4, maps)
