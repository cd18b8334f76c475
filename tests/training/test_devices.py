"""Devices: asked for and absent, and two that do the work of one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from lociscope.artifacts.recipe import Recipe
from lociscope.errors import LociscopeError
from lociscope.training import devices
from lociscope.training.devices import choose_device, make_strategy, read_cpu_flags, warn_of_slow_precision

TRAIN = """
import json, sys
from pathlib import Path
import numpy as np
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
sys.path.insert(0, sys.argv[1])
from test_keras_trainer import Cut, cut_at, train, weights
made = {}
for devices in (1, 2):
    options = dict(devices=devices, ema=0.9, epochs=2, dropout=0.0)
    folder = Path(sys.argv[2]) / str(devices)
    try:
        train(folder, cut_at(4), **options)
    except Cut:
        pass
    run = train(folder, **options)
    made[devices] = run.read_predictions().probability, [row["val_loss"] for row in run.read_history()], weights(run)
try:
    train(Path(sys.argv[2]) / "odd", devices=2, batch=7)
except Exception as error:
    refused = str(error)
print(json.dumps({
    "probability": float(np.abs(made[1][0] - made[2][0]).max()),
    "moved": float(max(np.abs(a - b).max() for a, b in zip(made[1][2], made[2][2]))),
    "losses": [made[1][1], made[2][1]],
    "refused": refused,
}))
"""


@pytest.mark.slow
def test_two_devices_do_as_one(tmp_path: Path) -> None:
    """Without dropout, whose masks are sampled for each device; with batch normalisation over the whole batch."""
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, str(Path(__file__).parent), str(tmp_path)],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["probability"] < 1e-4
    assert said["moved"] < 1e-3
    assert said["losses"][0] == pytest.approx(said["losses"][1], abs=1e-5)
    assert said["refused"] == "A batch of 7 cannot be shared by 2 devices. Choose train.batch so that 2 divides it."


def test_more_devices_than_there_are() -> None:
    found = len(tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU"))
    with pytest.raises(
        LociscopeError, match=rf"train.devices is 64, and TensorFlow finds {found} .*Set train.devices={found}"
    ):
        make_strategy(Recipe.from_dict({"train": {"devices": 64}}, "test"))


def test_a_gpu_that_is_not_there() -> None:
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("there is a GPU")
    choose_device("auto")
    with pytest.raises(LociscopeError, match="`device=gpu` was asked for, and TensorFlow finds no GPU"):
        choose_device("gpu")


def test_the_cpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    choose_device("cpu")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "-1"


@pytest.mark.parametrize(
    ("precision", "flags", "warned"),
    [
        ("mixed_bfloat16", "fpu avx2", True),
        ("mixed_bfloat16", "fpu avx2 avx512f", False),
        ("mixed_bfloat16", "", False),
        ("float32", "fpu avx2", False),
    ],
)
def test_a_precision_that_is_slow_here_is_a_warning(
    precision: str, flags: str, warned: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    monkeypatch.setattr("lociscope.training.devices.read_cpu_flags", lambda: frozenset(flags.split()))
    devices._warn_once.cache_clear()
    for _ in range(2):
        warn_of_slow_precision(Recipe.from_dict({"train": {"precision": precision}}, "test"))
    assert caplog.text.count("train.precision=float32") == warned


def test_cpu_flags(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nflags\t\t: fpu avx2\n\nprocessor\t: 1\nflags\t: x\n")
    assert read_cpu_flags(tmp_path / "cpuinfo") == {"fpu", "avx2"}
    assert read_cpu_flags(tmp_path / "absent") == frozenset()
