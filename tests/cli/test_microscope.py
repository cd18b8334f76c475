"""`lociscope microscope` on the command line."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.artifacts.predictions import Predictions

if TYPE_CHECKING:
    from pathlib import Path

Command = Callable[..., tuple[int, str, str]]
PLAN = """
[microscope]
config = "simulated"
frame = [32, 32]
timeout_s = 20

[[objectives]]
name = "10x"
pixel_size = 5.12

[channels]
red = {preset = "red", exposure_ms = 100}
green = {preset = "green", exposure_ms = 100}
blue = {preset = "blue", exposure_ms = 100}
yellow = {preset = "yellow", exposure_ms = 100}

[plate]
a1 = [0.0, 0.0]
wells = ["A1"]
sites = [1, 2]
z = 0.0

[[rules]]
when = "Nucleoli >= 0"
most = 1

"""
LIMITS = """[limits]
x = [-1000, 1000]
y = [-1000, 1000]
z = [-10, 10]
"""
PLAN += LIMITS
CRASHES = "from lociscope.microscope.simulated.devices import SimulatedCamera as C\ngood = C.snap\n"


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.toml"
    path.write_text(PLAN)
    return path


def test_a_dry_run_describes_the_run_and_writes_nothing(lociscope: Command, plan: Path, tmp_path: Path) -> None:
    code, out, _ = lociscope("microscope", "run", plan.name, "--dry-run")
    assert code == 0
    assert "field       A1_02: x 81.9, y 0.0 µm, z 0.0" in out
    assert "rule 1      if Nucleoli ≥ 0.0" in out
    assert {path.name for path in tmp_path.iterdir()} == {"plan.toml"}
    code, out, _ = lociscope("microscope", "run", plan.name, "--dry-run", "--json")
    assert [field["id"] for field in json.loads(out)["fields"]] == ["A1_01", "A1_02"]


def test_a_plan_runs_and_is_complete_the_second_time(lociscope: Command, plan: Path, tmp_path: Path) -> None:
    code, out, err = lociscope("microscope", "run", plan.name, "-o", "here")
    assert (code, err) == (0, "")
    assert out == "3 fields in here, 1 requested by rules; 1 field not imaged, see left.csv\n"
    code, out, _ = lociscope("microscope", "run", plan.name, "-o", "here")
    assert (code, out) == (0, "3 fields in here, already complete\n")
    code, out, _ = lociscope("microscope", "run", plan.name, "-o", "here", "--json")
    assert json.loads(out) == {
        "output": "here", "fields": 3, "new": 0, "again": 1, "failed": 0, "left": 0, "unlogged": 0, "error": None,
        "code": None,
    }  # fmt: skip
    code, out, _ = lociscope("predict", "here/catalog.parquet", "-o", "again.parquet")
    made, again = (Predictions.read(tmp_path / name) for name in ("here/predictions.parquet", "again.parquet"))
    assert code == 0
    assert np.abs(made.take([made.ids.index(name) for name in again.ids]).probability - again.probability).max() < 1e-6


@pytest.mark.parametrize(
    ("old", "new", "code", "message"),
    [
        ('"A1"]', '"J1"]', 2, "has no well 'J1'. It has A1 to H12."),
        ('preset = "green"', 'preset = "gren"', 2, "channels.green.preset: the simulated microscope has no 'gren'."),
        ("most = 1", "mots = 1", 2, "unknown key 'rules.1.mots'. Did you mean 'most'?"),
        ("Nucleoli", "Nucleolli", 2, "there is no location 'Nucleolli'. Did you mean 'Nucleoli'?"),
        ("a1 = [0.0,", "a1 = [2000.0,", 1, "Field 'A1_01' is at x 1918.1 µm, outside the limits -1000 to 1000."),
        ("pixel_size = 5.12", "pixel_size = 20.0", 2, "too coarse for the bundle"),
        ('config = "simulated"', 'config = "scope.cfg"', 2, "microscope.config: there is no file 'scope.cfg'."),
        (LIMITS, "", 2, "has no [limits], and without them nothing moves"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_error_message(
    lociscope: Command, plan: Path, tmp_path: Path, old: str, new: str, code: int, message: str
) -> None:
    assert old in PLAN
    plan.write_text(PLAN.replace(old, new))
    given, out, err = lociscope("microscope", "run", plan.name)
    assert (given, out) == (code, "")
    assert message in err
    assert err.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"plan.toml"}


def test_a_missing_extra_is_named(process: Command, plan: Path) -> None:
    code = "import sys; sys.modules['pymmcore_plus'] = None\nfrom lociscope.cli import main; main()"
    given, _, err = process("microscope", "run", plan, code=code)
    assert given == 1
    assert "needs the extra 'microscope'. Install it: pip install 'lociscope[microscope]'." in err


def test_missing_adapters_are_an_error_with_a_remedy(process: Command) -> None:
    code = (
        "import pymmcore_plus; pymmcore_plus.find_micromanager = lambda *_, **__: None\n"
        "from lociscope.cli import main; main()"
    )
    given, _, err = process("microscope", "run", "demo", "--dry-run", code=code, PYMM_LOG_FILE=os.devnull)
    assert given == 1
    assert "device adapters are not installed" in err
    assert "mmcore install" in err


@pytest.mark.slow
def test_a_camera_that_times_out_is_one_error_message_and_keeps_the_rest(
    process: Command, plan: Path, tmp_path: Path
) -> None:
    crash = (
        "def snap(self, buffer):\n"
        "    if self._state.images >= 5: raise TimeoutError('no frame in 5 s')\n"
        "    return good(self, buffer)\n"
        "C.snap = snap\nfrom lociscope.cli import main; main()"
    )
    imported = "from lociscope.microscope.hardware import import_core; import_core()\n"
    given, out, err = process("microscope", "run", plan, "-o", "here", code=imported + CRASHES + crash)
    assert given == 3
    assert out.startswith("1 field in here")
    assert err == ("lociscope: Field 'A1_02': the camera gave no image (no frame in 5 s). Look at the camera.\n")
    assert Predictions.read(tmp_path / "here" / "predictions.parquet").ids == ["A1_01"]
    given, out, _ = process("microscope", "run", plan, "-o", "here")
    assert (given, out.split(",")[0]) == (0, "3 fields in here")


def test_a_driver_that_never_comes_back_does_not_keep_the_process(process: Command, plan: Path) -> None:
    plan.write_text(PLAN.replace("timeout_s = 20", "timeout_s = 0.5"))
    hang = (
        "import threading\n"
        "C.snap = lambda self, buffer: threading.Event().wait()\n"
        "from lociscope.cli import main; main()"
    )
    imported = "from lociscope.microscope.hardware import import_core; import_core()\n"
    given, _, err = process("microscope", "run", plan, "-o", "here", code=imported + CRASHES + hang)
    assert given == 1
    assert "The microscope gave no image within 0.6 s." in err


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(
    "kind", [signal.SIGTERM, *(pytest.param(kind, marks=pytest.mark.slow) for kind in (signal.SIGINT, signal.SIGHUP))]
)
def test_an_interrupt_closes_the_shutter_and_keeps_what_was_acquired(
    environment: dict[str, str], plan: Path, tmp_path: Path, kind: signal.Signals
) -> None:
    plan.write_text(PLAN.replace("sites = [1, 2]", "sites = [1, 9]") + "\n[specimen]\npace = 1.0\n")
    script = (
        "from lociscope.microscope.hardware import import_core; import_core()\n"
        "from lociscope.microscope import acquire, hardware\n"
        "close = hardware.close_shutters\n"
        "def say(core):\n"
        "    done = close(core); print('open' if core.getShutterOpen() else 'closed'); return done\n"
        "hardware.close_shutters = say\n"
        "from lociscope.cli import main; main()"
    )
    words = [sys.executable, "-W", "error", "-c", script, "microscope", "run", str(plan), "-o", "here"]
    running = subprocess.Popen(
        words, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    lines = tmp_path / "here" / "decisions.jsonl"
    until = time.monotonic() + 60
    while not (lines.exists() and lines.read_text().count("\n")) and time.monotonic() < until:
        time.sleep(0.05)
    running.send_signal(kind)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert err == "lociscope: interrupted. Give the same command again to resume.\n"
    assert "closed" in out
    held = Predictions.read(tmp_path / "here" / "predictions.parquet").ids
    assert 1 <= len(held) < 9


def test_a_shipped_plan_is_printed_or_written_once(lociscope: Command, tmp_path: Path) -> None:
    code, out, _ = lociscope("microscope", "plan")
    assert code == 0
    assert 'config = "simulated"' in out
    assert lociscope("microscope", "plan", "demo", "-o", "mine.toml")[0] == 0
    assert 'config = "demo"' in (tmp_path / "mine.toml").read_text()
    code, _, err = lociscope("microscope", "plan", "-o", "mine.toml")
    assert (code, "exists. Pass another file" in err) == (1, True)
    code, _, err = lociscope("microscope", "plan", "simulate")
    assert (code, "Did you mean 'simulated'?" in err) == (2, True)


@pytest.mark.slow
def test_the_example_of_the_docs_runs(lociscope: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCISCOPE_BUNDLE")
    assert lociscope("microscope", "run", "simulated", "--dry-run")[0] == 0
    code, out, err = lociscope("--quiet", "microscope", "run", "simulated")
    assert (code, err) == (0, "")
    assert "10 requested by rules" in out
    asked = [json.loads(line) for line in (tmp_path / "acquired" / "decisions.jsonl").read_text().splitlines()][12:]
    assert {line["objective"] for line in asked} == {"20x"}
    assert {line["well"] for line in asked[:8]} == {"A1"}  # the well of the nucleolar antibody


@pytest.mark.slow
def test_proposals_are_answered_on_stdin(process: Command, plan: Path, tmp_path: Path) -> None:
    given, out, err = process("microscope", "run", plan, "-o", "here", "--mode", "propose", stdin="y\nn\n")
    assert (given, out.split(";")[0].strip()) == (0, "3 fields in here, 1 requested by rules")
    assert "rule 1 (Nucleoli" in err
    answers = [json.loads(line)["accepted"] for line in (tmp_path / "here" / "answers.jsonl").read_text().splitlines()]
    assert answers == [True, False]


def test_a_mode_that_does_not_exist(lociscope: Command, plan: Path) -> None:
    code, _, err = lociscope("microscope", "run", plan.name, "--mode", "observ")
    assert (code, "Unknown mode 'observ'. Did you mean 'observe'?" in err) == (2, True)
    code, out, _ = lociscope("microscope", "run", plan.name, "--mode", "observe", "--dry-run")
    assert (code, "mode        observe" in out) == (0, True)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(
    "end",
    ["page", "SIGTERM", "SIGHUP", "SIGINT", "run"],
)
def test_a_run_with_a_live_page_is_ended_by_the_page_or_a_signal(
    environment: dict[str, str], plan: Path, tmp_path: Path, end: str
) -> None:
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    if end != "run":
        plan.write_text(PLAN.replace("sites = [1, 2]", "sites = [1, 9]") + "\n[specimen]\npace = 1.0\n")
    words = [sys.executable, "-W", "error", "-m", "lociscope", "microscope", "serve", str(plan), "-o", "here"]
    running = subprocess.Popen(
        [*words, "--port", "0"],
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    address = running.stdout.readline().strip()
    assert address.startswith("http://127.0.0.1:")
    until = time.monotonic() + 120
    while end != "run" and time.monotonic() < until:
        with urllib.request.urlopen(f"{address}/status.json", timeout=30) as answer:
            if json.load(answer)["fields"]:
                break
        time.sleep(0.2)
    if end == "page":
        urllib.request.urlopen(urllib.request.Request(f"{address}/stop", method="POST"), timeout=30).close()
    elif end != "run":
        running.send_signal(getattr(signal, end))
    out, err = running.communicate(timeout=120)
    if end == "run":
        assert (running.returncode, err, out.startswith("3 fields in here, 1 requested by rules")) == (0, "", True)
        return
    assert running.returncode == 130
    assert err == "lociscope: interrupted. Give the same command again to resume.\n"
    assert 1 <= len(Predictions.read(tmp_path / "here" / "predictions.parquet").ids) < 9


def test_a_page_whose_port_is_taken_starts_no_run(lociscope: Command, plan: Path, tmp_path: Path) -> None:
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, _, err = lociscope("microscope", "serve", plan.name, "-o", "here", "--port", str(taken.getsockname()[1]))
    assert (code, "Cannot listen at 127.0.0.1" in err) == (1, True)
    assert not (tmp_path / "here").exists()


def test_a_check_prints_and_writes_what_it_found(lociscope: Command, plan: Path, tmp_path: Path) -> None:
    code, out, _ = lociscope("microscope", "check", plan.name, "-o", "found.json")
    written = json.loads((tmp_path / "found.json").read_text("utf-8"))
    assert (code, written["passed"]) in ((0, True), (4, False))
    assert out.startswith("ok    devices: ")
    assert len(out.splitlines()) == len(written["findings"])
    plan.write_text(PLAN.replace(LIMITS, ""))
    code, _, err = lociscope("microscope", "check", plan.name)
    assert (code, "has no [limits]" in err) == (2, True)
