"""Runs the benchmarks, each in a process of its own, and gathers `results.json`.

    python benchmarks/run.py [NAME…]

Figures are kept with the command that gave them, the date, the commit and the machine. A benchmark that fails
leaves its earlier figures as they were.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"


def claim_of(script: Path) -> str:
    """What a benchmark is about: its docstring."""
    text = script.read_text(encoding="utf-8")
    return text.split('"""')[1].strip()


def measure(script: Path) -> dict[str, object]:
    """Runs one benchmark; the last line that it prints is JSON."""
    said = subprocess.run([sys.executable, str(script)], check=True, stdout=subprocess.PIPE, text=True)
    return {
        "claim": claim_of(script),
        "command": f"python benchmarks/{script.name}",
        "measured": json.loads(said.stdout.strip().splitlines()[-1]),
        "date": datetime.now(UTC).date().isoformat(),
        "commit": subprocess.run(
            ["git", "-C", str(HERE), "describe", "--always", "--dirty"], check=True, capture_output=True, text=True
        ).stdout.strip(),
        "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def main(names: list[str]) -> int:
    """Runs the named benchmarks, or all; returns the number that failed."""
    scripts = {path.stem: path for path in sorted(HERE.glob("*.py")) if path.name != "run.py"}
    unknown = [name for name in names if name not in scripts]
    if unknown:
        print(f"No benchmark {unknown[0]!r}. Known: {', '.join(scripts)}.", file=sys.stderr)
        return 2
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    failed = 0
    for name in names or scripts:
        print(f"{name} …", file=sys.stderr, flush=True)
        try:
            results[name] = measure(scripts[name])
        except (subprocess.CalledProcessError, json.JSONDecodeError, IndexError) as error:
            print(f"{name} failed: {error}", file=sys.stderr)
            failed += 1
            continue
        RESULTS.write_text(json.dumps(results, indent=2, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
        print(json.dumps(results[name]["measured"], indent=2))
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
