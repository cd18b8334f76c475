"""Run the benchmarks, each in its own process, and gather `results.json`.

    python benchmarks/run.py [NAME…] [-- OPTION…]

The options are passed to the benchmarks. Figures are kept with the command that gave them, the date, the commit and the
machine. The figures of a benchmark that fails, or that lacks its data or a program, stay as they were.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
SKIPPED = 77
"""Exit code of a benchmark that cannot run here, as in Automake; it prints the reason on stderr."""


def measure(script: Path, options: Sequence[str] = ()) -> dict[str, object]:
    """Run one benchmark, whose last line is JSON, and return its record."""
    done = subprocess.run([sys.executable, str(script), *options], check=True, stdout=subprocess.PIPE, text=True)
    return {
        "command": " ".join([f"python benchmarks/{script.name}", *options]),
        "measured": json.loads(done.stdout.strip().splitlines()[-1]),
        "date": datetime.now(UTC).date().isoformat(),
        "commit": subprocess.run(
            ["git", "-C", str(HERE), "describe", "--always", "--dirty"], check=True, capture_output=True, text=True
        ).stdout.strip(),
        "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def run_all(scripts: list[Path], results_file: Path, options: Sequence[str] = ()) -> int:
    """Run the scripts in order, keep each result as soon as it is there, and return the number that failed."""
    results = json.loads(results_file.read_text(encoding="utf-8")) if results_file.exists() else {}
    failed = 0
    for script in scripts:
        print(f"{script.stem} …", file=sys.stderr, flush=True)
        try:
            results[script.stem] = measure(script, options)
        except (subprocess.CalledProcessError, json.JSONDecodeError, IndexError) as error:
            skipped = isinstance(error, subprocess.CalledProcessError) and error.returncode == SKIPPED
            print(f"{script.stem} skipped" if skipped else f"{script.stem} failed: {error}", file=sys.stderr)
            failed += not skipped
            continue
        text = json.dumps(results, indent=2, ensure_ascii=False, sort_keys=True)
        results_file.write_text(text + "\n", encoding="utf-8")
        print(json.dumps(results[script.stem]["measured"], indent=2))
    return failed


def main(given: list[str]) -> int:
    """Run the named benchmarks, or all."""
    names, options = given, []
    if "--" in given:
        names, options = given[: given.index("--")], given[given.index("--") + 1 :]
    scripts = {path.stem: path for path in sorted(HERE.glob("*.py")) if path.name != "run.py"}
    unknown = [name for name in names if name not in scripts]
    if unknown:
        print(f"{unknown[0]!r} is not a benchmark. Choose from: {', '.join(scripts)}.", file=sys.stderr)
        return 2
    return 1 if run_all([scripts[name] for name in names or scripts], RESULTS, options) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
