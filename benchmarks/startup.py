"""Predicting one field from the shell takes little longer than importing its libraries.

Claim: `lociscope predict` of one 512 × 512 field takes at most 2.5 times as long as `python -c "import numpy,
onnxruntime"` when it writes CSV, 3.5 times when it writes Parquet.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lociscope.images.io.write import write_planes
from lociscope.simulate import simulate_field

ROUNDS = 15
FLOOR = [sys.executable, "-c", "import numpy, onnxruntime"]


def seconds(command: list[str]) -> float:
    """Wall time of a command that must succeed."""
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def ratios(folder: Path, suffix: str) -> list[float]:
    """Ratio of each pair of runs, the two in turn; the first pair, which warms the caches, is left out."""
    found = []
    for number in range(ROUNDS + 1):
        out = folder / f"out{number}{suffix}"
        predict = [sys.executable, "-m", "lociscope", "predict", str(folder / "field"), "-o", str(out)]
        found.append(seconds(predict) / seconds(FLOOR))
    return found[1:]


def loaded(folder: Path) -> list[str]:
    """Heavy modules that predicting to CSV has loaded; there should be none."""
    heavy = ("tensorflow", "keras", "pyarrow", "pydantic", "scipy", "matplotlib", "rich", "tifffile")
    code = (
        "import sys; from lociscope.cli import app\n"
        f"try: app(['predict', {str(folder / 'field')!r}, '-o', {str(folder / 'loaded.csv')!r}])\n"
        "except SystemExit: pass\n"
        f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return json.loads(said.stderr.strip().splitlines()[-1].replace("'", '"'))  # type: ignore[no-any-return]


def main() -> None:
    """Measures and prints JSON."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "field").mkdir()
        write_planes(folder / "field", "a1", simulate_field(0, seed=3, size=512).pixels)
        found = {}
        for suffix, most in ((".csv", 2.5), (".parquet", 3.5)):
            pairs = ratios(folder, suffix)
            found[suffix[1:]] = {
                "ratio": round(statistics.median(pairs), 2),
                "low": round(min(pairs), 2),
                "high": round(max(pairs), 2),
                "pairs": len(pairs),
                "most": most,
            }
        print(json.dumps({"to one import of numpy and onnxruntime": found, "heavy modules": loaded(folder)}))


if __name__ == "__main__":
    main()
