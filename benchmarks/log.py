"""The prediction log costs a prediction at most 2 %, in an SQLite file and in PostgreSQL.

    python benchmarks/log.py [--fields 64] [--rounds 20]

The same simulated fields of 512 px are predicted without a log and with each log in turn, repeatedly. Waiting for the
log at the end is included; `open_seconds`, once per command, is not. `seconds` and `cpu_seconds` (all threads of the
command) are those of the fastest round, which other work on the machine disturbs least; `more` and `more_cpu` are
their ratios to no log, minus 1; `more_cpu_median` is the median of the ratios within a round. `writer_share` is the
time to make and write the row of one prediction, alone, as a share of the CPU seconds of that prediction. Where
PostgreSQL's server is not installed, its row is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from lociscope.artifacts.predictions import Predictions
from lociscope.channels import CHANNEL_NAMES
from lociscope.images.discovery.sources import find_fields
from lociscope.images.io.write import write_planes
from lociscope.images.statistics import STATISTICS
from lociscope.labels import N_LABELS
from lociscope.predict.batch import predict_to_file
from lociscope.predict.output import OutputOptions
from lociscope.predict.predictor import Predictor, open_bundle
from lociscope.prediction_log.log import PredictionLog, open_log
from lociscope.prediction_log.rows import make_rows
from lociscope.prediction_log.writer import MOST_AT_ONCE
from lociscope.simulate import simulate_field

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from fixtures.postgres import Postgres, program

if TYPE_CHECKING:
    from collections.abc import Iterator

DRAWN = 25


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


def fields_in(folder: Path, number: int, simulated: int = DRAWN, size: int = 512) -> None:
    """Draws a few fields, and names each as often as it takes."""
    for first in range(min(simulated, number)):
        write_planes(folder, f"f{first}", simulate_field(2 * first, seed=3, size=size).pixels)
        for again in range(first + simulated, number, simulated):
            for name in CHANNEL_NAMES:
                os.link(folder / f"f{first}_{name}.png", folder / f"f{again}_{name}.png")


def timed(predictor: Predictor, fields: Path, out: Path, log: PredictionLog | None) -> tuple[float, float]:
    """Seconds, and seconds of all threads, of predicting a folder to a file."""
    found, _ = find_fields([fields])
    began, cpu = time.perf_counter(), time.process_time()
    outcome = predict_to_file(predictor, found, out, OutputOptions(), log=log)
    spent = time.perf_counter() - began, time.process_time() - cpu
    if (outcome.new, outcome.unlogged) != (len(found), 0):
        raise AssertionError(f"{outcome.new} predicted, {outcome.unlogged} not logged, of {len(found)}")
    return spent


def writing(log: PredictionLog) -> float:
    """CPU seconds of making and writing one row, in transactions as `LogWriter` makes them; the fastest of twenty."""
    n = MOST_AT_ONCE
    made = Predictions(
        [f"f{number}" for number in range(n)], np.full((n, N_LABELS), 0.5, np.float32), [(0, 25)] * n, ["ok"] * n,
        [()] * n, np.ones((n, 128), np.float32),
    )  # fmt: skip
    laps = []
    for _ in range(20):
        began = time.process_time()
        rows = make_rows(made, np.zeros((n, len(STATISTICS)), np.float32), bundle="b" * 64, command="predict")
        log.write(rows, uuid4().hex)
        laps.append((time.process_time() - began) / n)
    return min(laps)


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
        written = {kind: 0.0 if log is None else writing(log) for kind, log in logs.items()}
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
            "writer_share": round(written[kind] / (min(lap[1] for lap in none) / number), 4),
        }
    return {"fields": number, "rounds": rounds, **found}


def main() -> None:
    """Measures and prints JSON."""
    parser = argparse.ArgumentParser(description="The cost of the prediction log.")
    parser.add_argument("--fields", type=int, default=64, help="fields of 512 px that are predicted in each lap")
    parser.add_argument("--rounds", type=int, default=20, help="laps without a log, and with each")
    given = parser.parse_args()
    with server() as postgres:
        print(json.dumps(cost(given.fields, given.rounds, postgres)))


if __name__ == "__main__":
    main()
