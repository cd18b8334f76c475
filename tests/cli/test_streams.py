"""Streams and signals: closed streams cost nothing, and an interrupt keeps what was predicted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lociscope.artifacts.predictions import Predictions
from lociscope.cli.streams import ResultStream

Command = Callable[..., tuple[int, str, str]]
WriteField = Callable[..., Path]

HANGS = """
import os, signal, sys, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background job is born without
from lociscope.cli import streams
from lociscope.predict import loading
from lociscope.predict.predictor import Predictor
loading.CALL_FIELDS = 2
streams.MAX_END_SECONDS = float(os.environ.get("MAX_END_SECONDS", 600))
run, calls = Predictor.run, []
def wait(*words, **options):
    calls.append(words)
    if len(calls) > 3:
        open("waiting", "w").close()
        time.sleep(600)
    return run(*words, **options)
Predictor.run = wait
from lociscope.cli import main
main()
"""
"""Calls of two fields; the fourth does not return, as that of a large network on a slow computer."""


def slow(*values: object) -> object:
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.fixture
def fields(write_field: WriteField) -> Path:
    for number in range(9):
        folder = write_field(f"f{number}", seed=number, size=16)
    return folder


@pytest.mark.skipif(os.name != "posix", reason="closes streams as a shell does")
@pytest.mark.parametrize("closed", [">&-", "2>&-", slow("<&-"), slow(">&- 2>&-"), "<&- >&- 2>&-"])
def test_closed_streams_cost_nothing(environment: dict[str, str], fields: Path, tmp_path: Path, closed: str) -> None:
    command = f"{sys.executable} -W error -m lociscope -v predict fields -o out.csv {closed}"
    done = subprocess.run(command, shell=True, env=environment, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(Predictions.read(tmp_path / "out.csv")) == 9
    assert bool(done.stdout) == (">&-" not in closed.split())
    assert bool(done.stderr) == ("2>&-" not in closed)


def test_closed_streams_leave_the_exit_code(environment: dict[str, str], tmp_path: Path) -> None:
    command = f"{sys.executable} -W error -m lociscope predict nowhere -o out.csv >&- 2>&-"
    assert subprocess.run(command, shell=True, env=environment, cwd=tmp_path, check=False).returncode == 1


@pytest.mark.parametrize(
    ("gone", "unbuffered"), [("stdout", ""), ("stderr", "1"), slow("stdout", "1"), slow("stderr", "")]
)
def test_a_reader_that_has_gone_leaves_the_table_and_the_exit_code(
    environment: dict[str, str], fields: Path, tmp_path: Path, gone: str, unbuffered: str
) -> None:
    (fields / "f3_green.png").write_text("no picture")
    with subprocess.Popen(
        [sys.executable, "-m", "lociscope", "-v", "predict", "fields", "-o", "out.csv"],
        env=environment | {"PYTHONUNBUFFERED": unbuffered}, cwd=tmp_path,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as started:  # fmt: skip
        stream = getattr(started, gone)
        stream.close()
        other = started.stderr if gone == "stdout" else started.stdout
        assert other is not None
        said = other.read()
    assert len(Predictions.read(tmp_path / "out.csv")) == 8
    assert b"Traceback" not in said
    assert started.returncode == 3


@pytest.mark.parametrize("write_through", [False, True])
def test_a_result_without_reader_is_dropped_and_reported_once(write_through: bool) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with ResultStream(open(writer, "wb", buffering=0), write_through=write_through) as stream:
        for _ in range(3):
            assert stream.write("x" * 9000) == 9000  # more than is buffered
        with pytest.raises(BrokenPipeError):
            stream.flush()
        stream.write("more")
        stream.flush()


def test_a_command_that_streams_ends_with_its_reader(environment: dict[str, str], fields: Path, tmp_path: Path) -> None:
    words = ["watch", "fields", "-o", "out.csv", "--settle", "0", "--every", "0.05", "--json"]
    with subprocess.Popen(
        [sys.executable, "-m", "lociscope", *words],
        env=environment | {"PYTHONUNBUFFERED": "1"}, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as started:  # fmt: skip
        assert started.stdout is not None
        started.stdout.close()
        assert started.wait(60) == 0


def interrupted(environment: dict[str, str], folder: Path, *signals: signal.Signals, **changed: str) -> tuple[int, str]:
    """Starts a prediction whose fourth call hangs, sends the signals, and gives exit code and stderr."""
    with subprocess.Popen(
        [sys.executable, "-c", HANGS, "predict", "fields", "-o", "out.csv", "--workers", "1"],
        env=environment | changed, cwd=folder, stderr=subprocess.PIPE, text=True,
    ) as started:  # fmt: skip
        while started.poll() is None and not (folder / "waiting").exists():
            time.sleep(0.01)
        for number in signals:
            started.send_signal(number)
            time.sleep(0.5)
        try:
            _, err = started.communicate(timeout=60)
        finally:
            started.kill()
    return started.returncode, err


@pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")
@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_an_interrupt_keeps_what_was_predicted(
    process: Command, environment: dict[str, str], fields: Path, tmp_path: Path, name: str
) -> None:
    code, err = interrupted(environment, tmp_path, getattr(signal, name), MAX_END_SECONDS="1")
    assert (code, err) == (130, "lociscope: interrupted. Give the same command again to resume.\n")
    assert process("predict", "fields", "-o", "out.csv") == (0, "9 fields in out.csv, 3 new\n", "")
    assert process("predict", "fields", "-o", "whole.csv")[0] == 0
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")
@pytest.mark.parametrize("name", [slow("SIGINT"), "SIGTERM"])
def test_a_second_interrupt_ends_at_once(environment: dict[str, str], fields: Path, tmp_path: Path, name: str) -> None:
    """After the first one alone, the process would wait for its thread, longer than `interrupted` waits for it."""
    code, _ = interrupted(environment, tmp_path, getattr(signal, name), getattr(signal, name))
    assert code == 130


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no named pipes")
def test_a_file_that_never_comes_does_not_keep_it_from_ending(
    environment: dict[str, str], fields: Path, tmp_path: Path
) -> None:
    """A plane on a mount that does not answer, here a pipe that nobody writes."""
    (fields / "f8_red.png").unlink()
    os.mkfifo(fields / "f8_red.png")
    (tmp_path / "waiting").touch()
    with subprocess.Popen(
        [sys.executable, "-c", HANGS, "predict", "fields", "-o", "out.csv", "--workers", "1"],
        env=environment | {"MAX_END_SECONDS": "1"}, cwd=tmp_path, stderr=subprocess.PIPE, text=True,
    ) as started:  # fmt: skip
        while started.poll() is None and not list(tmp_path.glob("out.parts")):
            time.sleep(0.01)
        time.sleep(1)
        started.send_signal(signal.SIGINT)
        _, err = started.communicate(timeout=60)
    assert started.returncode == 130
    assert err.startswith("lociscope: interrupted.")
