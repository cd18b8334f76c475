"""Networks of keras.applications: what each does to its pictures, and weights that come, or do not, over HTTP."""

import http.server
import threading
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from pathlib import Path

import h5py  # type: ignore[import-untyped]
import keras
import numpy as np
import pytest
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

from lociscope.errors import LociscopeError
from lociscope.models import applications as ours
from lociscope.models import build_network

X = np.random.default_rng(1).random((2, 64, 64, 4), np.float32)


@pytest.mark.parametrize("module", sorted(set(ours.AFFINES) - {"efficientnet", "efficientnet_v2"}))
def test_affines_are_what_keras_does(module: str) -> None:
    affine = ours.AFFINES[module]
    expected = import_module(f"keras.applications.{module}").preprocess_input(X[..., :3] * 255)
    found = X[..., :3] * affine.scale + affine.offset
    np.testing.assert_allclose(found[..., :: -1 if affine.reversed else 1], expected, atol=2e-4)


@pytest.mark.parametrize("name", ["EfficientNetV2B0", pytest.param("EfficientNetV2S", marks=pytest.mark.slow)])
def test_affines_are_those_of_networks_that_bring_their_own(name: str) -> None:
    whole = with_pictures(name)
    kinds = (keras.layers.Rescaling, keras.layers.Normalization)
    last = [layer for layer in whole.layers if isinstance(layer, kinds)][-1]
    affine = ours.affine_of(name)
    expected = keras.Model(whole.input, last.output)(X[..., :3] * 255)
    np.testing.assert_allclose(X[..., :3] * affine.scale + affine.offset, expected, atol=1e-5)


def with_pictures(name: str) -> keras.Model:
    """The network of colour pictures as Keras gives it, with numbers that can be told apart."""
    model = getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(64, 64, 3))
    rng = np.random.default_rng(2)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([weight + rng.random(weight.shape) * 0.2 for weight in layer.get_weights()])
        if isinstance(layer, keras.layers.Normalization) and layer.weights:
            layer.set_weights([ours._MEAN, ours._SPREAD**2, np.zeros((), "int64")])
            layer.finalize_state()
    return model


def first_convolution(model: keras.Model) -> keras.layers.Layer:
    return next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D))


@pytest.mark.parametrize("name", ["DenseNet121", "ResNet50", "EfficientNetV2B0", "EfficientNetB0"])
def test_weights_arrive_where_they_belong(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On colour fields, the first convolution sees what Keras' own network sees of its own preprocessed pictures."""
    pictures = with_pictures(name)
    monkeypatch.setattr(ours, "_fetched", lambda *_: pictures)
    network = build_network("pretrained", 64, {"backbone": name, "channels": "RGB"})
    colour = import_module(f"keras.applications.{ours._module(name)}").preprocess_input(X[..., :3] * 255)
    theirs, mine = first_convolution(pictures), first_convolution(network)
    expected = np.asarray(keras.Model(pictures.input, theirs.output)(colour))
    found = np.asarray(keras.Model(network.input, mine.output)(X))
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    for layer in ours._weighty(pictures):
        if layer is not theirs:
            for here, there in zip(network.get_layer(layer.name).get_weights(), layer.get_weights(), strict=True):
                np.testing.assert_array_equal(here, there)


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


def test_weights_are_fetched_once_and_kept(
    server: tuple[str, Path], cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    address, folder = server
    monkeypatch.setattr("keras.src.applications.mobilenet_v2.BASE_WEIGHT_PATH", address)
    source = with_pictures("MobileNetV2")
    file = folder / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
    with h5py.File(file, "w") as weights:
        save_weights_to_hdf5_group(weights, source)
    options = {"backbone": "MobileNetV2", "channels": "RGB"}
    network = build_network("pretrained", 64, options)
    assert (cache / "models" / file.name).is_file()
    assert capsys.readouterr().out == ""
    assert keras.config.is_interactive_logging_enabled()
    np.testing.assert_array_equal(network.get_layer("Conv1").kernel, source.get_layer("Conv1").kernel)
    np.testing.assert_array_equal(network.get_layer("Conv_1").kernel, source.get_layer("Conv_1").kernel)
    file.unlink()
    build_network("pretrained", 64, options)
    (cache / "models" / file.name).write_bytes(b"cut short")
    with pytest.raises(LociscopeError, match="weights of MobileNetV2 cannot be"):
        build_network("pretrained", 64, options)


def test_weights_of_another_hash_are_refused(
    server: tuple[str, Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, folder = server
    (folder / "weights.h5").write_bytes(b"another file")
    monkeypatch.setattr("keras.src.applications.vgg16.WEIGHTS_PATH_NO_TOP", f"{address}weights.h5")
    with pytest.raises(LociscopeError, match=r"not the published ones.*hash does not match.*efficientnet-lite0"):
        build_network("pretrained", 64, {"backbone": "VGG16"})


@pytest.mark.parametrize("there", [True, False], ids=["no such file", "no such host"])
def test_weights_out_of_reach_name_the_offline_backbone(
    there: bool, server: tuple[str, Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = server[0] if there else "http://127.0.0.1:9/"  # the port of the discard service: nobody listens
    monkeypatch.setattr("keras.src.applications.vgg16.WEIGHTS_PATH_NO_TOP", f"{address}weights.h5")
    with pytest.raises(LociscopeError, match=r'cannot be fetched.*efficientnet-lite0.*weights = "none"') as raised:
        build_network("pretrained", 64, {"backbone": "VGG16"})
    assert "\n" not in str(raised.value)


def test_a_size_too_small_is_no_matter_of_weights(cache: Path) -> None:
    with pytest.raises(LociscopeError, match=r"cannot be built: .*Input size must be at least 32x32"):
        build_network("pretrained", 16, {"backbone": "MobileNetV2"})


@pytest.mark.parametrize(("name", "maps"), [("ResNet50V2", 1024), ("MobileNetV2", 576), ("VGG16", 512)])
def test_the_finer_grid_is_cut_before_the_last_halving(name: str, maps: int) -> None:
    network = build_network("pretrained", 64, {"backbone": name, "weights": "none", "stride": 16})
    assert network.get_layer("evidence").input.shape == (None, 4, 4, maps)
