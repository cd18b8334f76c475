"""What the prediction log costs each prediction, and how soon every command ends while the log is away.

Claims: with `--log`, a prediction costs at most 2 % more, in an SQLite file and in PostgreSQL; `predict`, `serve`,
`watch` and `microscope run` end within 10 s of the first SIGTERM while PostgreSQL is frozen, stopped, killed or out of
reach.

    python benchmarks/log.py [--fields 64] [--rounds 20] [--only cost|ends]

The cost: the same simulated fields of 512 px are predicted without a log and with each, one after the other, and that
is repeated. Waiting for the log at the end is part of it; `open_seconds`, once a command, is not. `seconds` and
`cpu_seconds` (all threads of the command) are those of the fastest lap, which other work on the machine disturbs least,
`more` and `more_cpu` their ratios to no log, minus 1; `more_cpu_median` is the median of the ratios within a round. The
ends: the command predicts, the fault comes, it is given another field, and then SIGTERM; `exit` is its code,
`rows` what it predicted. Where PostgreSQL's server is not installed, its rows are left out.
"""

import argparse
import http.client
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import product
from pathlib import Path
from socket import create_connection, create_server, socket
from typing import TYPE_CHECKING, Any

from lociscope.channels import CHANNEL_NAMES
from lociscope.images.sources import find_fields
from lociscope.images.write import write_planes
from lociscope.log import PredictionLog, open_log
from lociscope.predict.batch import predict_to_file
from lociscope.predict.job import Options
from lociscope.predict.predictor import Predictor, open_bundle
from lociscope.simulate import draw_field

if TYPE_CHECKING:
    from tests.fixtures.postgres import Postgres, program
else:
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from fixtures.postgres import Postgres, program

DRAWN = 25
WAIT = 120
SMALL_PARTS = "from lociscope.cli import main; from lociscope.predict import batch; batch.PART = 1; main()"
"""The command line, but `predict` keeps and logs every call of the network by itself: a fault finds it at work."""

FAULTS = ("frozen", "stopped", "killed", "out of reach")


@contextmanager
def server() -> Iterator[Postgres | None]:
    """A PostgreSQL of its own, or None where it is not installed."""
    if program("initdb") is None:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="lociscope-log-"))
    user = "postgres" if os.geteuid() == 0 else None
    if user is not None:
        shutil.chown(folder, user)
    made = Postgres(folder, user)
    try:
        made.start()
        yield made
    finally:
        made.thaw()
        made.kill()
        shutil.rmtree(folder, ignore_errors=True)


# === What it costs ===


def fields_in(folder: Path, number: int, drawn: int = DRAWN, size: int = 512) -> None:
    """Draws a few fields, and names each as often as it takes."""
    for first in range(min(drawn, number)):
        write_planes(folder, f"f{first}", draw_field(2 * first, seed=3, size=size).pixels)
        for again in range(first + drawn, number, drawn):
            for name in CHANNEL_NAMES:
                os.link(folder / f"f{first}_{name}.png", folder / f"f{again}_{name}.png")


def timed(predictor: Predictor, fields: Path, out: Path, log: PredictionLog | None) -> tuple[float, float]:
    """Seconds, and seconds of all threads, of predicting a folder to a file."""
    found, _ = find_fields([fields])
    began, cpu = time.perf_counter(), time.process_time()
    outcome = predict_to_file(predictor, found, out, Options(), log=log)
    spent = time.perf_counter() - began, time.process_time() - cpu
    if (outcome.new, outcome.unlogged) != (len(found), 0):
        raise AssertionError(f"{outcome.new} predicted, {outcome.unlogged} not logged, of {len(found)}")
    return spent


def cost(number: int, rounds: int, postgres: Postgres | None) -> dict[str, Any]:
    """Compares no log with each."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        fields_in(folder / "fields", number)
        urls = {"SQLite": str(folder / "log.db")}
        if postgres is not None:
            urls["PostgreSQL"] = postgres.new_database()
        open_log(str(folder / "first.db")).close()  # imports what opening needs
        logs: dict[str, PredictionLog | None] = {"none": None}
        opened: dict[str, float] = {"none": 0.0}
        for kind, url in urls.items():
            began = time.perf_counter()
            logs[kind] = stack.enter_context(open_log(url))
            opened[kind] = round(time.perf_counter() - began, 3)
        predictor = open_bundle()
        spent: dict[str, list[tuple[float, float]]] = {kind: [] for kind in logs}
        timed(predictor, folder / "fields", folder / "warm.csv", logs["SQLite"])
        for turn in range(rounds):
            for kind in (*logs,) if turn % 2 else reversed((*logs,)):
                spent[kind].append(timed(predictor, folder / "fields", folder / f"{turn}-{kind}.csv", logs[kind]))
    none = spent["none"]
    found = {}
    for kind, laps in spent.items():
        seconds, cpu = (min(lap[of] for lap in laps) for of in (0, 1))
        found[kind] = {
            "open_seconds": opened[kind],
            "seconds": round(seconds, 3),
            "cpu_seconds": round(cpu, 3),
            "more": round(seconds / min(lap[0] for lap in none) - 1, 4),
            "more_cpu": round(cpu / min(lap[1] for lap in none) - 1, 4),
            "more_cpu_median": round(statistics.median(a[1] / b[1] - 1 for a, b in zip(laps, none, strict=True)), 4),
        }
    return {"fields": number, "rounds": rounds, **found}


# === How soon it ends ===


class Cable:
    """Forwards to a port until it is cut: then nothing comes through, and nothing is refused."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._here = create_server(("127.0.0.1", 0))
        self.port: int = self._here.getsockname()[1]
        self._whole = threading.Event()
        self._whole.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Lets everything that is sent from now on get lost."""
        self._whole.clear()

    def _accept(self) -> None:
        while True:
            near, _ = self._here.accept()
            self._whole.wait()
            try:
                far = create_connection(("127.0.0.1", self._to))
            except OSError:
                near.close()
                continue
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._forward, args=(one, other), daemon=True).start()

    def _forward(self, one: socket, other: socket) -> None:
        with suppress(OSError), one, other:
            while data := one.recv(65536):
                self._whole.wait()
                other.sendall(data)


class Command:
    """A command that is given fields while it runs."""

    def __init__(self, name: str, folder: Path, log: str) -> None:
        self.name, self.folder = name, folder
        self.number = 0
        words = {
            "predict": ["predict", "fields", "-o", "out.csv", "--workers", "1"],
            "watch": ["watch", "fields", "-o", "out.csv", "--json", "--settle", "0.1", "--every", "0.1"],
            "serve": ["serve", "--port", "0"],
            "microscope": ["microscope", "run", "simulated", "-o", "out"],
        }[name]
        if name == "predict":
            fields_in(folder / "fields", 800, drawn=4, size=128)
        (folder / "fields").mkdir(exist_ok=True)
        command = [sys.executable, "-c", SMALL_PARTS, *words, "--log", log]
        self.process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if name == "serve" and self.process.stdout is not None:
            address = self.process.stdout.readline().decode().strip()
            self.client = http.client.HTTPConnection(address.removeprefix("http://"), timeout=WAIT)

    def more(self) -> None:
        """Lets it predict another field, and waits until it has."""
        before = self.predicted()
        if self.name == "watch":
            write_planes(self.folder / "fields", f"f{self.number}", draw_field(self.number, seed=3, size=128).pixels)
        elif self.name == "serve":
            self.post()
        self.number += 1
        ends = time.monotonic() + WAIT
        while self.predicted() <= before:
            if self.process.poll() is not None or time.monotonic() > ends:
                raise AssertionError(f"{self.name} predicts nothing more (exit {self.process.poll()})")
            time.sleep(0.02)

    def post(self) -> None:
        """Uploads a field."""
        pixels = draw_field(self.number, seed=3, size=128).pixels
        write_planes(self.folder / "fields", "f", pixels)
        parts = [
            f'--edge\r\nContent-Disposition: form-data; name="files"; filename="f_{name}.png"\r\n\r\n'.encode()
            + (self.folder / "fields" / f"f_{name}.png").read_bytes()
            for name in CHANNEL_NAMES
        ]
        body = b"\r\n".join([*parts, b"--edge--\r\n"])
        self.client.request("POST", "/predict", body, {"content-type": "multipart/form-data; boundary=edge"})
        answer = self.client.getresponse()
        answer.read()
        if answer.status != 200:
            raise AssertionError(f"{answer.status}")

    def predicted(self) -> int:
        """Fields that are predicted, as far as files tell."""
        if self.name == "serve":
            return self.number
        if self.name == "microscope":
            return len(list(self.folder.glob("out/**/*.tif*")))
        return len(list(self.folder.glob("out.parts/*.npz"))) + (self.folder / "out.csv").exists()

    def end(self) -> tuple[float, int]:
        """Seconds from SIGTERM to the exit, and its code."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(WAIT)
        return round(time.monotonic() - began, 2), code


def end_of(name: str, fault: str, postgres: Postgres) -> dict[str, Any]:
    """Runs a command, lets a fault come, and ends it."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cable, url = Cable(postgres.port), postgres.new_database()
        if fault == "out of reach":
            url = url.replace(f":{postgres.port}/", f":{cable.port}/")
        command = Command(name, folder, url)
        stack.callback(command.process.kill)
        command.more()
        bring = {
            "none": lambda: None,
            "frozen": postgres.freeze,
            "stopped": postgres.stop,
            "killed": postgres.kill,
            "out of reach": cable.cut,
        }[fault]
        bring()
        command.more()
        time.sleep(1)  # it has found out
        seconds, code = command.end()
        postgres.thaw()
        if not postgres.processes():
            postgres.start()
        return {"seconds": seconds, "exit": code}


def main() -> None:
    """Measures and prints JSON."""
    parser = argparse.ArgumentParser(description="The cost of the prediction log, and how soon commands end.")
    parser.add_argument("--fields", type=int, default=64, help="fields of 512 px that are predicted in each lap")
    parser.add_argument("--rounds", type=int, default=20, help="laps without a log, and with each")
    parser.add_argument("--only", choices=("cost", "ends"), help="one of the two")
    given = parser.parse_args()
    found: dict[str, Any] = {}
    with server() as postgres:
        if given.only != "ends":
            found["cost"] = cost(given.fields, given.rounds, postgres)
        if given.only != "cost" and postgres is not None:
            commands = ("predict", "serve", "watch", "microscope")
            found["ends"] = {name: {} for name in commands}
            for name, fault in product(commands, ("none", *FAULTS)):
                found["ends"][name][fault] = end_of(name, fault, postgres)
                print(name, fault, found["ends"][name][fault], file=sys.stderr, flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
