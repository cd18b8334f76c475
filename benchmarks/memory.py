"""Memory does not grow with the number of fields.

Claim: the peak memory of predicting 56 fields and of predicting the same fields under ten names are equal within 10 %.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from lociscope.channels import CHANNEL_NAMES
from lociscope.images.io.write import write_planes
from lociscope.simulate import simulate_field

FIELDS = 56
NAMES = 10
CHILD = """
import resource, sys
from lociscope.cli import app
try: app(sys.argv[1:])
except SystemExit as end: assert not end.code, end.code
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak_mib(folder: Path, out: Path) -> float:
    """Largest resident set of one `lociscope predict`, MiB."""
    words = [sys.executable, "-c", CHILD, "predict", str(folder), "-o", str(out)]
    said = subprocess.run(words, check=True, capture_output=True, text=True)
    return int(said.stdout.split()[-1]) / 1024


def main() -> None:
    """Measures and prints JSON."""
    with tempfile.TemporaryDirectory() as name:
        once, often = Path(name) / "once", Path(name) / "often"
        once.mkdir()
        often.mkdir()
        for number in range(FIELDS):
            write_planes(once, f"f{number}", simulate_field(number % 8, seed=3, size=512).pixels)
            for copy in range(NAMES):
                for channel in CHANNEL_NAMES:
                    (often / f"f{number}-{copy}_{channel}.png").hardlink_to(once / f"f{number}_{channel}.png")
        few = [peak_mib(once, Path(name) / f"few{i}.csv") for i in range(3)]
        many = [peak_mib(often, Path(name) / f"many{i}.csv") for i in range(3)]
    found = {"fields": FIELDS, "MiB": round(min(few), 1), f"MiB under {NAMES} names": round(min(many), 1)}
    print(json.dumps({**found, "ratio": round(min(many) / min(few), 3), "most": 1.1}))


if __name__ == "__main__":
    main()
