"""The engine: it proves itself before it is used, and what ONNX Runtime says becomes a sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.artifacts.bundle import Selftest, read_bundle
from lociscope.errors import LociscopeError
from lociscope.predict.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

INPUT = np.full((3, 16, 16, 4), 0.5, np.float32)


def test_outputs_come_by_name_and_bytes_are_scaled(tiny_bundle: Path) -> None:
    engine = Engine(read_bundle(tiny_bundle))
    pixels = np.zeros((3, 16, 16, 4), np.uint8)
    pixels[1] = 255
    made = engine.run(pixels, ("embedding", "probabilities"))
    assert set(engine.outputs) == {"probabilities", "embedding"}
    assert made["probabilities"].shape == (3, 28)
    assert made["probabilities"].dtype == np.float32
    np.testing.assert_allclose(made["embedding"], [[0] * 4, [1] * 4, [0] * 4])
    np.testing.assert_allclose(made["probabilities"][0], 0.5)
    assert list(engine.run(pixels)) == ["probabilities"]


def test_threads_do_not_matter(tiny_bundle: Path) -> None:
    bundle = read_bundle(tiny_bundle)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 4), np.uint8)
    one, all_of_them = (Engine(bundle, threads).run(pixels)["probabilities"] for threads in (1, 0))
    np.testing.assert_array_equal(one, all_of_them)


def test_a_missing_output_is_named_with_what_there_is(make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    engine = Engine(read_bundle(make_bundle(tmp_path / "b", embedding=False)))
    with pytest.raises(LociscopeError, match=r"no output 'embedding' \(it has probabilities\)"):
        engine.run(np.zeros((1, 16, 16, 4), np.uint8), ("embedding",))


@pytest.mark.parametrize(
    ("selftest", "sentence"),
    [
        (Selftest(INPUT, np.zeros((3, 28), np.float32)), "fails its self-test on this machine: with onnxruntime"),
        (Selftest(INPUT, np.full((3, 28), np.nan, np.float32)), "fails its self-test"),
        (Selftest(INPUT, np.zeros((3, 27), np.float32)), r"holds \(3, 27\) probabilities, its model gives \(3, 28\)"),
        (Selftest(INPUT[:, 1:], np.zeros((3, 28), np.float32)), r"cannot be run \(.+\)\. Export it again\."),
    ],
    ids=["wrong", "not a number", "fewer classes", "another size"],
)
def test_a_model_that_fails_its_selftest_is_refused(tiny_bundle: Path, selftest: Selftest, sentence: str) -> None:
    with pytest.raises(LociscopeError, match=sentence):
        Engine(replace(read_bundle(tiny_bundle), selftest=selftest))


def test_what_runtime_cannot_load_is_one_line(tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = read_bundle(tiny_bundle)
    with pytest.raises(LociscopeError, match=r"cannot be run \(.+\)\. Export it again\.$") as caught:
        Engine(replace(bundle, model=bundle.model.replace(b"Sigmoid", b"Sigmoit")))
    assert "\n" not in str(caught.value)


def test_a_model_without_probabilities_is_refused(tiny_bundle: Path) -> None:
    bundle = read_bundle(tiny_bundle)
    with pytest.raises(LociscopeError, match="no output 'probabilities'"):
        Engine(replace(bundle, model=bundle.model.replace(b"probabilities", b"probabilitiez")))


def test_nothing_is_sent_to_the_maker_of_the_runtime(tiny_bundle: Path, tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if name not in ("ORT_DISABLE_TELEMETRY", "CI")}
    home = tmp_path / "home"
    home.mkdir()
    program = "import sys, lociscope; lociscope.open_bundle(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", program, str(tiny_bundle)],
        env={**kept, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")},
        check=True,
    )
    assert not list(home.rglob("*onnxruntime*"))
