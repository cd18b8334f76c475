"""`make bench` runs unattended: no benchmark needs arguments, and one that fails costs no other its figures."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCRIPTS = sorted(path for path in BENCHMARKS.glob("*.py") if path.name != "run.py")


@pytest.fixture
def script(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("benchmarks/run")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_benchmark_states_its_claim_and_needs_no_argument(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    added = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument"
    ]
    for node in added:
        keywords = {each.arg: ast.unparse(each.value) for each in node.keywords}
        assert ast.literal_eval(node.args[0]).startswith("-") or keywords.get("nargs") in ("'?'", "'*'")
        assert keywords.get("required") != "True"


def test_results_are_of_benchmarks_that_exist() -> None:
    results = json.loads((BENCHMARKS / "results.json").read_text(encoding="utf-8"))
    assert set(results) <= {path.stem for path in SCRIPTS}


def test_each_result_is_kept_and_failures_are_counted(script: ModuleType, tmp_path: Path) -> None:
    programs = {"fails": "raise SystemExit(1)", "skipped": "raise SystemExit(77)", "works": "print('{\"s\": 2}')"}
    for name, text in programs.items():
        (tmp_path / f"{name}.py").write_text(text)
    results = tmp_path / "results.json"
    results.write_text('{"fails": "as before"}')
    assert script.run_all([tmp_path / f"{name}.py" for name in programs], results) == 1
    kept = json.loads(results.read_text())
    assert (kept["fails"], kept["works"]["measured"]) == ("as before", {"s": 2})
    assert set(kept) == {"fails", "works"}


def test_an_unknown_benchmark_is_named(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert script.main(["startupp"]) == 2
    assert "startupp" in capsys.readouterr().err


def test_options_are_passed_on_and_recorded(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "echo.py").write_text("import json, sys; print(json.dumps({'given': sys.argv[1:]}))")
    results = tmp_path / "results.json"
    assert script.run_all([tmp_path / "echo.py"], results, ["--keep", "parts.json"]) == 0
    kept = json.loads(results.read_text())["echo"]
    assert kept["measured"] == {"given": ["--keep", "parts.json"]}
    assert kept["command"] == "python benchmarks/echo.py --keep parts.json"
