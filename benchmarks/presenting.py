"""What `lociscope explore` and `lociscope evaluate` cost, and how that grows.

    python benchmarks/presenting.py [--fields 1000]

Each case is a separate process: its processor time, start included, its peak memory, and the size of its page.
`explore` reads simulated fields of 256 px, half as many first, real fields of 512 px if LOCISCOPE_REAL_DATA has them,
and labels without images; `evaluate` reads predictions of random networks that are right to a fair degree,
without images. Claims: pages stay below 5 MB, and neither time nor memory grows faster than the number of fields.
`growth` is the exponent of the processor time between the two sizes, without the start: 1 is linear.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from lociscope.artifacts.predictions import Predictions
from lociscope.decide.prior import HPA_2018
from lociscope.labels import N_LABELS, format_target
from lociscope.workflows.simulate import simulate_atlas

REAL = Path(os.environ.get("LOCISCOPE_REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))
EXPLORE = "from lociscope import explore; page = explore(sys.argv[1], sys.argv[2]).page"
EVALUATE = (
    "from lociscope import evaluate; evaluate(sys.argv[1], sys.argv[3], sys.argv[2]); "
    "page = __import__('pathlib').Path(sys.argv[2]) / 'report.html'"
)
MEASURE = """
import json, resource, sys, time
{}
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([time.process_time(), used.ru_maxrss, page.stat().st_size]))
"""


def run(program: str, *arguments: Path) -> dict[str, float]:
    """Run a case, and return its processor time in s, its peak memory in MB and the size of its page in MB."""
    command = [sys.executable, "-c", MEASURE.format(program), *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    seconds, kilobytes, size = json.loads(done.stdout.splitlines()[-1])
    return {"cpu_s": round(seconds, 1), "peak_mb": round(kilobytes / 1000), "page_mb": round(size / 1e6, 2)}


def sample_truth(n: int, rng: np.random.Generator) -> np.ndarray:
    """Return (n, 28) labels at the competition's rates; a field without one has nucleoplasm."""
    truth = rng.random((n, N_LABELS)) < HPA_2018
    truth[~truth.any(axis=1), 0] = True
    return truth


def write_labels(path: Path, truth: np.ndarray) -> Path:
    """Write `Id,Target`."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["Id", "Target"])
        rows.writerows([f"f{number:05d}", format_target(np.flatnonzero(row))] for number, row in enumerate(truth))
    return path


def write_predictions(path: Path, truth: np.ndarray, rng: np.random.Generator) -> Path:
    """Write Predictions whose log odds are 3 higher where a label is, with a deviation of 1.5."""
    odds = np.log(HPA_2018 / (1 - HPA_2018)) + 3 * truth + rng.normal(0, 1.5, truth.shape)
    probability = (1 / (1 + np.exp(-odds))).astype(np.float32)
    predicted = [tuple(np.flatnonzero(row > 0.3).tolist()) for row in probability]
    ids = [f"f{number:05d}" for number in range(len(truth))]
    Predictions(ids, probability, predicted, ["ok"] * len(ids), [()] * len(ids)).write(path)
    return path


def growth(few: dict[str, float], many: dict[str, float], start: float, factor: float) -> float:
    """Return the exponent of the processor time in the number of fields."""
    return round(math.log((many["cpu_s"] - start) / max(few["cpu_s"] - start, 0.1)) / math.log(factor), 2)


def main() -> None:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fields", type=int, default=1000)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    result: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        labels: dict[int, Any] = {n: sample_truth(n, rng) for n in (30, 3107, 31072)}
        tables = {n: write_labels(folder / f"{n}.csv", truth) for n, truth in labels.items()}
        explored = {n: run(EXPLORE, path, folder / f"{n}.html") for n, path in tables.items()}
        scored = {
            n: run(EVALUATE, write_predictions(folder / f"{n}.parquet", truth, rng), folder / f"{n}", tables[n])
            for n, truth in labels.items()
        }
        for what, found in (("explore_labels", explored), ("evaluate", scored)):
            result[what] = {str(n): each for n, each in found.items()}
            result[what]["growth"] = growth(found[3107], found[31072], found[30]["cpu_s"], 10)
        if (REAL / "hpa2018" / "train").is_dir():
            result["explore_real_fields"] = {"56": run(EXPLORE, REAL / "hpa2018" / "train", folder / "real.html")}
        if options.fields:
            half = simulate_atlas(folder / "half", options.fields // 2, size=256, seed=1, workers=2)
            whole = simulate_atlas(folder / "whole", options.fields, size=256, seed=1, workers=2)
            images = {each.name: run(EXPLORE, each / "train", folder / f"{each.name}.html") for each in (half, whole)}
            result["explore_simulated"] = {
                str(options.fields // 2): images["half"],
                str(options.fields): images["whole"],
                "growth": growth(images["half"], images["whole"], explored[30]["cpu_s"], 2),
            }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
