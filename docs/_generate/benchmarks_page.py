"""Prints docs/reference/benchmarks.md from benchmarks/results.json; `python docs/_generate/benchmarks_page.py > …` writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results.json"
HEAD = """# Benchmarks

`make bench` runs the scripts of `benchmarks/`, each in a process of its own, and keeps what they measured in
`benchmarks/results.json`; this page is made of it. Times are given as ratios to what stands beside them in the same
run. `research/real_fields.py` scores a model on real fields, `research/difficulty.py` on the reference atlas; both are
run by hand, since the model has to be named.
"""


def rows_of(measured: Any, name: str = "") -> list[tuple[str, Any]]:  # noqa: ANN401 - any JSON value
    """The figures of a nested result, each with its whole name."""
    if not isinstance(measured, dict):
        return [(name, measured)]
    return [row for key, value in measured.items() for row in rows_of(value, f"{name}, {key}" if name else key)]


def section(name: str, result: dict[str, Any]) -> str:
    """One benchmark as a section of the page."""
    lines = [f"## {name}", "", result["claim"], "", "| measured | |", "|---|---:|"]
    lines += [f"| {key} | {value if value != [] else 'none'} |" for key, value in rows_of(result["measured"])]
    where = f"`{result['command']}`, {result['date']}, commit {result['commit']}, {result['machine']}"
    return "\n".join([*lines, "", f"{where}, Python {result['python']}.", ""])


def page() -> str:
    """The whole page."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    return "\n".join([HEAD, *(section(name, result) for name, result in results.items())])


if __name__ == "__main__":
    print(page(), end="")
