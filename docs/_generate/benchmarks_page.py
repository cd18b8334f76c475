"""Print docs/reference/benchmarks.md: what each script of benchmarks/ claims, and what it measured.

python docs/_generate/benchmarks_page.py > docs/reference/benchmarks.md
"""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
HEAD = """# Benchmarks

`make bench` runs every script of `benchmarks/` in its own process and keeps what it measured in `benchmarks/results.json`. This page shows, for each
benchmark, its claim and its latest figures. Times are given as ratios to a reference that is measured in the same run, since they depend on the
machine. Scripts that need a trained model or real fields are not among them: they are in `research/`, such as `research/real_fields.py`.

"""


def claim_of(name: str) -> str:
    """Return the docstring of a benchmark."""
    return ast.get_docstring(ast.parse((BENCHMARKS / f"{name}.py").read_text(encoding="utf-8"))) or ""


def rows_of(measured: Any, name: str = "") -> list[tuple[str, Any]]:  # noqa: ANN401 - any JSON value
    """Return the figures of a nested result, each with its whole name."""
    if not isinstance(measured, dict):
        return [(name, measured)]
    return [row for key, value in measured.items() for row in rows_of(value, f"{name}, {key}" if name else key)]


def written(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Return a figure as the table shows it."""
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    if isinstance(value, list):
        return ", ".join(map(written, value)) or "none"
    return str(value)


def section(name: str, result: dict[str, Any]) -> str:
    """Return one benchmark as a section of the page."""
    lines = [f"## {name}", "", claim_of(name), "", "| measured | |", "|---|---:|"]
    lines += [f"| {key} | {written(value)} |" for key, value in rows_of(result["measured"])]
    where = f"`{result['command']}`, {result['date']}, commit {result['commit']}, {result['machine']}"
    return "\n".join([*lines, "", f"{where}, Python {result['python']}.", ""])


def page() -> str:
    """Return the whole page."""
    results = json.loads((BENCHMARKS / "results.json").read_text(encoding="utf-8"))
    contents = ["| benchmark | question or claim |", "|---|---|"]
    contents += [f"| [{name}](#{name}) | {claim_of(name).splitlines()[0]} |" for name in results]
    return HEAD + "\n".join([*contents, "", *(section(name, result) for name, result in results.items())])


if __name__ == "__main__":
    print(page(), end="")
