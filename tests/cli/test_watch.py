"""`lociscope watch`, as a person or a program gives it: what it prints, how it ends, and what a kill costs."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lociscope.cli.watch import _stop_on_signals

Command = Callable[..., tuple[int, str, str]]
WriteField = Callable[..., Path]
QUICK = ("--settle", "0.05", "--every", "0.05", "--incomplete-after", "0.2", "--until-idle", "0.5")


def ids_of(path: Path) -> list[str]:
    with path.open(newline="", encoding="utf-8") as lines:
        return [row["id"] for row in csv.DictReader(lines)]


@pytest.fixture
def fields(write_field: WriteField) -> Path:
    for number, name in enumerate(("a1", "b2", "c3")):
        folder = write_field(name, seed=number)
    return folder


def test_until_idle_and_again_and_predict_resumes(lociscope: Command, fields: Path, tmp_path: Path) -> None:
    code, out, err = lociscope("watch", fields, "-o", "out.csv", *QUICK)
    assert (code, out) == (0, "3 fields in out.csv, 3 new\n")
    assert [line.split(":")[0] for line in err.splitlines()] == ["a1", "b2", "c3"]
    assert lociscope("watch", fields, "-o", "out.csv", *QUICK) == (0, "3 fields in out.csv, 0 new\n", "")
    assert lociscope("predict", fields, "-o", "out.csv") == (0, "3 fields in out.csv, complete already\n", "")
    assert ids_of(tmp_path / "out.csv") == ["a1", "b2", "c3"]


def test_lines_for_programs(lociscope: Command, fields: Path) -> None:
    (fields / "b2_red.png").unlink()
    (fields / "c3_red.png").write_bytes(b"")
    code, out, err = lociscope("watch", fields, "-o", "out.csv", "--json", *QUICK)
    lines: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (3, "")
    assert [line["event"] for line in lines] == ["predicted", "incomplete", "incomplete", "ended"]
    assert lines[0]["id"] == "a1"
    assert len(lines[0]["probability"]) == 28
    assert {line["id"] for line in lines[1:3]} == {"b2", "c3"}
    ended = {key: value for key, value in lines[3].items() if key != "time"}
    assert ended == {"event": "ended", "output": "out.csv", "rows": 1, "new": 1, "failed": 2, "unlogged": 0}


def test_what_is_incomplete_is_reported_once_and_listed(lociscope: Command, fields: Path, tmp_path: Path) -> None:
    (fields / "b2_red.png").unlink()
    code, out, err = lociscope("watch", fields, "-o", "out.csv", *QUICK)
    assert (code, out) == (3, "2 fields in out.csv, 2 new\n")
    reason = "Field 'b2' has no _red file (found green, blue, yellow). Add 'b2_red.png'."
    assert err.count(f"lociscope: b2: {reason}\n") == 1
    assert f"1 field failed, listed in out.failures.csv; the first: {reason}" in err
    assert (tmp_path / "out.failures.csv").read_text().count("\nb2,") == 1


def test_nothing_but_failures(lociscope: Command, fields: Path) -> None:
    for path in fields.glob("*_green.png"):
        path.unlink()
    code, out, _ = lociscope("watch", fields, "-o", "out.csv", *QUICK)
    assert (code, out) == (1, "0 fields in out.csv, 0 new\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("-o", "out.txt"), "expected .csv or .parquet"),
        (("-o", "out.csv", "--embeddings"), "--embeddings needs Parquet"),
        (("-o", "out.csv", "--pixel-size", "-1"), "--pixel-size -1.0 is not possible"),
        (("-o", "out.csv", "--pattern", "{plate}"), "does not separate fields and channels"),
    ],
)
def test_wrong_usage(lociscope: Command, fields: Path, words: tuple[str, ...], sentence: str) -> None:
    code, out, err = lociscope("watch", fields, *words)
    assert (code, out) == (2, "")
    assert sentence in err


def test_a_folder_that_is_none(lociscope: Command, tmp_path: Path) -> None:
    code, out, err = lociscope("watch", "nowhere", "-o", "out.csv")
    assert (code, out) == (1, "")
    assert err == "lociscope: 'nowhere' does not exist. Name the folder that the microscope writes to.\n"
    assert not list(tmp_path.glob("out*"))


def test_a_folder_that_may_not_be_read(process: Command, fields: Path) -> None:
    prefix: tuple[str, ...] = ()
    if os.geteuid() == 0:  # permissions do not bind root
        prefix = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all")
        if shutil.which("setpriv") is None or subprocess.run([*prefix, "true"], check=False).returncode:
            pytest.skip("the tests run as root, and setpriv cannot take its rights")
    fields.chmod(0)
    try:
        code, out, err = process("watch", fields, "-o", "out.csv", prefix=prefix)
    finally:
        fields.chmod(0o755)
    assert (code, out) == (1, "")
    assert "Permission denied" in err
    assert err.count("\n") == 1


def test_the_log_keeps_what_is_watched(lociscope: Command, fields: Path, tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy")
    assert lociscope("watch", fields, "-o", "out.csv", "--log", tmp_path / "log.sqlite", *QUICK)[0] == 0
    from lociscope.prediction_log.log import open_log

    with open_log(str(tmp_path / "log.sqlite")) as log:
        window = log.read()
    assert sorted(window.predictions.ids) == ["a1", "b2", "c3"]
    assert set(window.commands) == {"watch"}


# === Ended, and killed ===


class Watch:
    """A watch in a process of its own."""

    def __init__(self, environment: dict[str, str], folder: Path, *words: str) -> None:
        settings = ("--settle", "0.05", "--every", "0.05", "--json", *words)
        self.started = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "lociscope", "watch", "fields", "-o", "out.csv", *settings],
            cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def until_predicted(self, number: int) -> None:
        """Waits until so many fields have been told."""
        assert self.started.stdout is not None
        for _ in range(number):
            assert json.loads(self.started.stdout.readline())["event"] == "predicted"

    def end(self, how: signal.Signals) -> tuple[int, str, str]:
        self.started.send_signal(how)
        out, err = self.started.communicate()
        return self.started.returncode, out, err


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ended_it_leaves_the_table_whole(
    environment: dict[str, str], fields: Path, tmp_path: Path, how: signal.Signals
) -> None:
    watch = Watch(environment, tmp_path)
    watch.until_predicted(3)
    code, out, err = watch.end(how)
    assert (code, err) == (0, "")
    assert json.loads(out)["event"] == "ended"
    assert ids_of(tmp_path / "out.csv") == ["a1", "b2", "c3"]
    assert not (tmp_path / "out.parts").exists()


def test_a_signal_that_comes_within_a_wait_is_heard() -> None:
    """It used to hang, once in many thousand runs: a wait that is interrupted may hold the event's lock."""
    with _stop_on_signals() as stop, stop._cond:  # type: ignore[attr-defined]
        signal.raise_signal(signal.SIGTERM)
        assert stop.is_set()
    assert stop.wait(60)


@pytest.mark.slow
def test_killed_at_random_while_fields_come(
    process: Command, environment: dict[str, str], write_field: WriteField, tmp_path: Path
) -> None:
    """Fields come while the watch is killed four times; in the end each is there once, and few were done twice."""
    chance = random.Random(5)
    source = write_field("f00", tmp_path / "source", size=16)
    (tmp_path / "fields").mkdir()
    told: list[str] = []
    for number in range(4):
        for each in range(6):
            write_field(f"f{6 * number + each:02d}", source, size=16, seed=6 * number + each)
        watch = Watch(environment, tmp_path)
        waiting = sorted(path for path in source.iterdir() if not (tmp_path / "fields" / path.name).exists())
        chance.shuffle(waiting)
        for path in waiting[:-3]:
            (tmp_path / "fields" / path.name).write_bytes(path.read_bytes())
        if number % 3:
            watch.until_predicted(1)
        time.sleep(chance.random() / 4)
        code, out, _ = watch.end(signal.SIGKILL)
        assert code == -signal.SIGKILL
        told += [line for line in out.splitlines() if line.endswith("}")]
    for path in source.iterdir():
        (tmp_path / "fields" / path.name).write_bytes(path.read_bytes())
    code, out, _ = process("watch", "fields", "-o", "out.csv", *QUICK)
    assert (code, out.split(",")[0]) == (0, "24 fields in out.csv")
    assert ids_of(tmp_path / "out.csv") == [f"f{number:02d}" for number in range(24)]
    assert process("predict", "source", "-o", "whole.csv")[0] == 0
    assert ids_of(tmp_path / "whole.csv") == ids_of(tmp_path / "out.csv")
    assert not (tmp_path / "out.parts").exists()
