"""Memory does not grow with the number of fields.

    python benchmarks/memory.py [--fields 2000]

Claim: the peak memory of `lociscope predict` for 20,000 fields is at most 1.1 times that for 2,000. The fields are
small, 128 px, so that the lists of files and rows, which do grow, weigh most.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from lociscope.channels import CHANNEL_NAMES
from lociscope.images.io.write import write_planes
from lociscope.simulate import simulate_field

DIFFERENT = 50
"""Fields that differ; the others are the same files under other names."""
CHILD = """
import resource, sys
from lociscope.cli import app
try: app(sys.argv[1:])
except SystemExit as end: assert not end.code, end.code
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak_mib(folder: Path, fields: int) -> float:
    """Largest resident set of `lociscope predict` for the first fields of a folder, which are added as needed, MiB."""
    for number in range(len(list(folder.iterdir())) // len(CHANNEL_NAMES), fields):
        if number < DIFFERENT:
            write_planes(folder, f"f{number}", simulate_field(number, seed=3, size=128).pixels)
            continue
        for channel in CHANNEL_NAMES:
            (folder / f"f{number}_{channel}.png").hardlink_to(folder / f"f{number % DIFFERENT}_{channel}.png")
    words = [sys.executable, "-c", CHILD, "predict", str(folder), "-o", str(folder.with_name(f"{fields}.csv"))]
    said = subprocess.run(words, check=True, capture_output=True, text=True)
    return int(said.stdout.split()[-1]) / 1024


def main() -> None:
    """Measures and prints JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fields", type=int, default=2000)
    fields = parser.parse_args().fields
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "fields"
        folder.mkdir()
        few, many = (peak_mib(folder, number) for number in (fields, 10 * fields))
    found = {f"MiB, {fields} fields": round(few, 1), f"MiB, {10 * fields} fields": round(many, 1)}
    print(json.dumps({**found, "ratio": round(many / few, 3), "most": 1.1}))


if __name__ == "__main__":
    main()
