"""The service under load: throughput, answers that belong to their field, and constant memory.

Claims: with 16 concurrent clients, `lociscope serve` predicts at least 0.8 times as many fields/s as `lociscope
predict` does from the same PNG files with as many threads (the clients run on the same cores and count against the
service); every answer is that of its own field; over 2,000 requests the resident memory of the process grows by less
than 5 %.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lociscope.artifacts.predictions import Predictions
from lociscope.channels import CHANNEL_NAMES
from lociscope.images.discovery.sources import find_fields
from lociscope.images.io.read import read_field
from lociscope.images.io.write import write_planes
from lociscope.predict.batch import predict_to_file
from lociscope.predict.output import OutputOptions
from lociscope.predict.predictor import open_bundle
from lociscope.simulate import simulate_field

if TYPE_CHECKING:
    from collections.abc import Callable

FIELDS, NAMES = 32, 10
CLIENTS = 16
ROUNDS = 5
REQUESTS = int(os.environ.get("REQUESTS", "2000"))
THREADS = 2
TOLERANCE = 1e-5


def body_of(folder: Path, name: str) -> bytes:
    """One field as a multipart form."""
    parts = []
    for channel in CHANNEL_NAMES:
        head = f'--edge\r\nContent-Disposition: form-data; name="files"; filename="{name}_{channel}.png"\r\n\r\n'
        parts += [head.encode(), (folder / f"{name}_{channel}.png").read_bytes(), b"\r\n"]
    return b"".join([*parts, b"--edge--\r\n"])


def ask(port: int, bodies: dict[str, bytes], names: list[str]) -> list[tuple[str, dict[str, object]]]:
    """Asks for fields one after the other over one connection, as one client does."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    answers = []
    for name in names:
        connection.request("POST", "/predict", bodies[name], {"content-type": "multipart/form-data; boundary=edge"})
        answer = connection.getresponse()
        said = json.loads(answer.read())
        if answer.status != 200:
            raise RuntimeError(said)
        answers.append((name, said))
    connection.close()
    return answers


def load(port: int, bodies: dict[str, bytes], requests: int) -> tuple[float, list[tuple[str, dict[str, object]]]]:
    """Seconds for a number of requests by `CLIENTS` at once, each with fields of its own, and the answers."""
    names = list(bodies)
    mine = [[names[(k + i * CLIENTS) % len(names)] for i in range(requests // CLIENTS)] for k in range(CLIENTS)]
    started = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = [each for some in pool.map(lambda some: ask(port, bodies, some), mine) for each in some]
    return time.perf_counter() - started, answers


def direct(folder: Path, number: int) -> float:
    """Seconds for all fields, ten names each, as `lociscope predict` does it in a warm process."""
    predictor = open_bundle(None)
    started = time.perf_counter()
    found, _ = find_fields([folder])
    predict_to_file(predictor, found, folder.parent / f"out{number}.csv", OutputOptions(), workers=THREADS)
    return time.perf_counter() - started


def resident_mib(process: int) -> float:
    """Resident memory of a process, MiB."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def page_faults(process: int) -> int:
    """Pages that a process was given since it began."""
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[7])


def network_ms(folder: Path) -> dict[str, float]:
    """Milliseconds of one thread for a field: to read and prepare it, and in the network, one or sixteen to a call."""
    predictor = open_bundle(None, 1)
    sources = find_fields([folder])[0][:16]

    def least(make: Callable[[], object]) -> float:
        times = []
        for _ in range(7):
            started = time.perf_counter()
            make()
            times.append(time.perf_counter() - started)
        return round(1000 * min(times) / len(sources), 2)

    prepared = [predictor.prepare(read_field(source)) for source in sources]
    return {
        "read and prepare": least(lambda: [predictor.prepare(read_field(source)) for source in sources]),
        "network, calls of 1": least(lambda: [predictor.run([each]) for each in prepared]),
        "network, calls of 16": least(lambda: predictor.run(prepared)),
    }


def wrong(answers: list[tuple[str, dict[str, object]]], truth: Predictions) -> int:
    """Answers that are not those of their field."""
    row_of = {name: truth.probability[row] for row, name in enumerate(truth.ids)}
    return sum(
        said["id"] != name or bool(np.abs(np.asarray(said["probabilities"]) - row_of[name]).max() > TOLERANCE)
        for name, said in answers
    )


def main() -> None:
    """Measures and prints JSON."""
    with tempfile.TemporaryDirectory() as name:
        once, often = Path(name) / "once", Path(name) / "often"
        for number in range(FIELDS):
            write_planes(once, f"f{number}", simulate_field(number, seed=3, size=512).pixels)
        often.mkdir()
        for number in range(FIELDS):
            for copy in range(NAMES):
                for channel in CHANNEL_NAMES:
                    (often / f"f{number}-{copy}_{channel}.png").hardlink_to(once / f"f{number}_{channel}.png")
        alone_ms = network_ms(once)
        bodies = {f"f{number}": body_of(once, f"f{number}") for number in range(FIELDS)}
        predict_to_file(open_bundle(None), find_fields([once])[0], Path(name) / "truth.parquet", OutputOptions())
        truth = Predictions.read(Path(name) / "truth.parquet")
        command = [sys.executable, "-m", "lociscope", "serve", "--port", "0", "--keep-days", "0"]
        command += ["--workers", str(THREADS)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
            port = int((server.stdout.readline() if server.stdout else "").rpartition(":")[2])
            load(port, bodies, 128)
            ratios, rates, mistaken, asked = [], [], 0, 0
            for number in range(ROUNDS):
                whole = FIELDS * NAMES
                alone = direct(often, number)
                served, answers = load(port, bodies, whole)
                ratios.append(alone / served)
                rates.append(whole / served)
                mistaken, asked = mistaken + wrong(answers, truth), asked + len(answers)
            memory, faults = [resident_mib(server.pid)], page_faults(server.pid)
            for _ in range(REQUESTS // 80):
                _, answers = load(port, bodies, 80)
                mistaken, asked = mistaken + wrong(answers, truth), asked + len(answers)
                memory.append(resident_mib(server.pid))
            faults = page_faults(server.pid) - faults
            server.send_signal(signal.SIGTERM)
            ended = server.wait(30)
    slope = float(np.polyfit(np.arange(len(memory)) * 80 / 1000, memory, 1)[0])
    print(
        json.dumps(
            {
                "throughput over direct": round(statistics.median(ratios), 3),
                "low": round(min(ratios), 3),
                "high": round(max(ratios), 3),
                "least": 0.8,
                "fields a second": round(statistics.median(rates), 1),
                "clients": CLIENTS,
                "answers": asked,
                "answers of another field": mistaken,
                "MiB before": round(memory[0], 1),
                f"MiB after {REQUESTS} requests": round(memory[-1], 1),
                "MiB per 1000 requests": round(slope, 2),
                "page faults a request": round(faults / (REQUESTS // 80 * 80), 1),
                "ms a field, one thread": alone_ms,
                "exit code after SIGTERM": ended,
            }
        )
    )


if __name__ == "__main__":
    main()
