"""Runtimes: they agree, prove themselves on opening, and a missing one is named with its install command."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import pytest

import lociscope
from lociscope.artifacts.bundle import SELFTEST_TOLERANCE, read_bundle
from lociscope.errors import Code, LociscopeError, MissingExtraError, UsageError
from lociscope.predict import runtimes
from lociscope.predict.engine import Engine
from lociscope.simulate import simulate_field

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


needs_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="the extra 'openvino' is not installed")


@needs_openvino
def test_openvino_and_onnx_runtime_agree_on_fields() -> None:
    fields = [simulate_field(number, seed=2, size=256).pixels for number in range(2)]
    one, other = (
        lociscope.open_bundle(threads=1, runtime=name).predict(fields, embeddings=True)
        for name in ("onnxruntime", "openvino")
    )
    np.testing.assert_allclose(one.probability, other.probability, atol=2 * SELFTEST_TOLERANCE)
    assert one.embedding is not None
    assert other.embedding is not None
    np.testing.assert_allclose(one.embedding, other.embedding, atol=1e-3)
    assert one.predicted == other.predicted


@pytest.mark.parametrize("name", ["onnxruntime", pytest.param("openvino", marks=needs_openvino)])
def test_each_thread_gets_its_own_answer(tiny_bundle: Path, name: str) -> None:
    engine = Engine(read_bundle(tiny_bundle), 1, name, calls=3)
    inputs = np.random.default_rng(0).integers(0, 256, (60, 16, 16, 4), np.uint8)
    expected = engine.run(inputs)["probabilities"]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda row: engine.run(inputs[row : row + 1])["probabilities"][0], range(len(inputs))))
    np.testing.assert_array_equal(found, expected)


def test_an_unknown_runtime_is_named(tiny_bundle: Path) -> None:
    with pytest.raises(UsageError, match=r"`runtime=openvin` is unknown\. Did you mean 'openvino'") as caught:
        lociscope.open_bundle(tiny_bundle, runtime="openvin")
    assert caught.value.code == Code.UNKNOWN_NAME


def test_a_missing_extra_is_named_with_its_command(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lociscope\[openvino\]'"):
        lociscope.open_bundle(tiny_bundle, runtime="openvino")


def test_cuda_without_its_package_is_named_with_its_command(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(LociscopeError, match="pip install onnxruntime-gpu") as caught:
        lociscope.open_bundle(tiny_bundle, runtime="cuda")
    assert caught.value.code == Code.MISSING_EXTRA


def test_cuda_without_a_gpu_is_refused_rather_than_slow(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes.CudaRuntime, "providers", ("CPUExecutionProvider",))
    monkeypatch.setattr("onnxruntime.InferenceSession.get_providers", lambda self: [])
    with pytest.raises(LociscopeError, match="cannot use an NVIDIA GPU here") as caught:
        lociscope.open_bundle(tiny_bundle, runtime="cuda")
    assert caught.value.code == Code.UNAVAILABLE


@pytest.mark.parametrize(("deviation", "refused"), [(0.5 * SELFTEST_TOLERANCE, False), (3 * SELFTEST_TOLERANCE, True)])
def test_a_runtime_that_disagrees_is_refused_by_name(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, deviation: float, refused: bool
) -> None:
    class Deviating(runtimes.OnnxRuntime):
        def run(self, inputs: np.ndarray, outputs: Sequence[str]) -> list[np.ndarray]:
            return [each - np.float32(deviation) for each in super().run(inputs, outputs)]

    monkeypatch.setitem(runtimes.RUNTIMES, "openvino", Deviating)
    monkeypatch.setattr("lociscope.predict.engine.version", lambda name: "1")
    lociscope.open_bundle(tiny_bundle)
    if not refused:
        lociscope.open_bundle(tiny_bundle, runtime="openvino")
        return
    with pytest.raises(
        LociscopeError, match=r"with openvino 1, a probability differs .* Try `runtime=onnxruntime`"
    ) as caught:
        lociscope.open_bundle(tiny_bundle, runtime="openvino")
    assert caught.value.code == Code.REFUSED


@needs_openvino
def test_a_model_that_openvino_cannot_load_is_one_line(tiny_bundle: Path) -> None:
    from dataclasses import replace

    bundle = read_bundle(tiny_bundle)
    with pytest.raises(LociscopeError, match=r"with openvino \S+, its model cannot be run \(.+\)\. Export it again\.$"):
        Engine(replace(bundle, model=b"nothing"), runtime="openvino")


@needs_openvino
def test_openvino_does_not_report_its_use(tiny_bundle: Path, tmp_path: Path) -> None:
    program = (
        "import sys, lociscope; lociscope.open_bundle(sys.argv[1], runtime='openvino'); "
        "assert not [name for name in sys.modules if 'telemetry' in name or name == 'openvino.tools.ovc']"
    )
    kept = {name: value for name, value in os.environ.items() if name != "CI"}
    subprocess.run([sys.executable, "-c", program, str(tiny_bundle)], env={**kept, "HOME": str(tmp_path)}, check=True)
    assert list(tmp_path.iterdir()) == []


@needs_openvino
def test_a_pickled_predictor_keeps_its_runtime(make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    import pickle

    predictor = lociscope.open_bundle(make_bundle(tmp_path / "b"), 1, runtime="openvino", calls=2)
    again = pickle.loads(pickle.dumps(predictor))
    assert (again.engine.runtime, again.threads) == ("openvino", 1)


@needs_openvino
def test_signals_are_handled_after_two_predictors_were_freed() -> None:
    code = (
        "import signal, lociscope\n"
        "one, two = (lociscope.open_bundle(threads=1, runtime='openvino') for _ in range(2))\n"
        "del one, two\n"
        "signal.signal(signal.SIGTERM, lambda *_: print('handled'))\n"
        "signal.raise_signal(signal.SIGTERM)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "handled\n"), ended.stderr
