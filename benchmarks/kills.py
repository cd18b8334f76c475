"""A prediction that is killed a hundred times ends with each field exactly once.

    python benchmarks/kills.py [--kills 100] [--fields 2000] [--seconds 8] [--seed 0]

`lociscope predict` of the same folder into the same table is started again and again, and killed with SIGKILL at a
random moment within `--seconds`, most of them after it has begun to predict; then it runs to its end. A part of the
work is safe every 256 fields. Claim: no field is lost and none is doubled, and the probabilities are those of a run
without kills.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lociscope.channels import CHANNEL_NAMES
from lociscope.images.io.write import write_planes
from lociscope.simulate import simulate_field

DIFFERENT = 50
"""Fields that differ; the others are the same files under other names."""


def write_fields(folder: Path, fields: int) -> None:
    """Write fields of 128 px, four PNG files each."""
    folder.mkdir()
    for number in range(fields):
        if number < DIFFERENT:
            write_planes(folder, f"f{number}", simulate_field(number, seed=3, size=128).pixels)
            continue
        for channel in CHANNEL_NAMES:
            (folder / f"f{number}_{channel}.png").hardlink_to(folder / f"f{number % DIFFERENT}_{channel}.png")


def read_rows(table: Path) -> list[list[str]]:
    """Return the rows of a table of predictions."""
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))[1:]


def kill_often(words: list[str], table: Path, kills: int, rng: random.Random, seconds: float) -> int:
    """Start a command and kill it, again and again; return how often it was killed before it had ended by itself."""
    killed = 0
    while killed < kills:
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                process.wait(rng.uniform(0.05, seconds))
            except subprocess.TimeoutExpired:
                process.kill()
                killed += 1
            else:  # it had ended: begin again, so that the other kills also hit work
                for path in table.parent.glob(f"{table.stem}.*"):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
    return killed


def main() -> None:
    """Measures and prints JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--fields", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "fields"
        write_fields(folder, args.fields)
        command = [sys.executable, "-m", "lociscope", "predict", str(folder), "-o"]
        whole, table = Path(name) / "whole.csv", Path(name) / "killed.csv"
        start = time.perf_counter()
        subprocess.run([*command, str(whole)], check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - start
        seconds, rng = min(seconds, args.seconds), random.Random(args.seed)  # noqa: S311
        killed = kill_often([*command, str(table)], table, args.kills, rng, seconds)
        subprocess.run([*command, str(table)], check=True, stdout=subprocess.DEVNULL)
        rows, expected = read_rows(table), read_rows(whole)
        left = sorted(path.name for path in Path(name).glob(".*.part"))
    ids = [row[0] for row in rows]
    found = {
        "kills": killed,
        "fields": len(expected),
        "lost": len({row[0] for row in expected} - set(ids)),
        "doubled": len(ids) - len(set(ids)),
        "rows that differ from those without kills": sum(
            one != other for one, other in zip(rows, expected, strict=False)
        ),
        "files left": left,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
