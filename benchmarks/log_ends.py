"""Every command ends within 10 s of SIGTERM while the prediction log's database is unavailable.

Claim: `predict`, `serve`, `watch` and `microscope run` end within 10 s of the first SIGTERM while PostgreSQL is frozen
(SIGSTOP), stopped, killed or unreachable.

    python benchmarks/log_ends.py [--only predict|serve|watch|microscope]

The command predicts, the fault begins, the command predicts another field, and a second later it receives SIGTERM.
`seconds` is the time from there to its exit, `exit` its code; `none` is the same without a fault. Skipped where
PostgreSQL's server is not installed.
"""

from __future__ import annotations

import argparse
import http.client
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from itertools import product
from pathlib import Path
from socket import create_connection, create_server, socket
from typing import TYPE_CHECKING, Any

from log import fields_in, server  # type: ignore[import-not-found] # the script beside this one

from lociscope.channels import CHANNEL_NAMES
from lociscope.images.io.write import write_planes
from lociscope.simulate import simulate_field

if TYPE_CHECKING:
    from fixtures.postgres import Postgres

WAIT = 120
COMMANDS = ("predict", "serve", "watch", "microscope")
FAULTS = ("none", "frozen", "stopped", "killed", "out of reach")
SMALL_PARTS = "from lociscope.cli import main; from lociscope.predict import batch; batch.CALLS_PER_PART = 1; main()"
"""The command line, but `predict` keeps and logs every call of the network by itself: a fault finds it at work."""


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
            "serve": ["serve", "--port", "0", "--keep-days", "0"],
            "microscope": ["microscope", "run", "simulated", "-o", "out"],
        }[name]
        if name == "predict":
            fields_in(folder / "fields", 800, simulated=4, size=128)
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
            write_planes(
                self.folder / "fields", f"f{self.number}", simulate_field(self.number, seed=3, size=128).pixels
            )
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
        pixels = simulate_field(self.number, seed=3, size=128).pixels
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
            decisions = self.folder / "out" / "decisions.jsonl"
            return len(decisions.read_text("utf-8").splitlines()) if decisions.exists() else 0
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
    parser = argparse.ArgumentParser(description="How soon commands end while the log's database is away.")
    parser.add_argument("--only", choices=COMMANDS, action="append", help="one command; may be given again")
    commands = parser.parse_args().only or COMMANDS
    found: dict[str, dict[str, Any]] = {name: {} for name in commands}
    with server() as postgres:
        if postgres is None:
            print("PostgreSQL's server is not installed. Install the package 'postgresql'.", file=sys.stderr)
            sys.exit(77)  # skipped
        for name, fault in product(commands, FAULTS):
            found[name][fault] = end_of(name, fault, postgres)
            print(name, fault, found[name][fault], file=sys.stderr, flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
