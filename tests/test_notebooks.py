"""The notebooks of the documentation run, and their pages are theirs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"
SOURCES = sorted(FOLDER.glob("*.py"))
Load = Callable[[str], ModuleType]


def code_of(page: str) -> list[str]:
    return re.findall(r"^```py\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_page_has_the_code_of_its_notebook(source: Path) -> None:
    jupytext = pytest.importorskip("jupytext", reason="needs the dependency group 'docs'")
    cells = [cell.source + "\n" for cell in jupytext.read(source).cells if cell.cell_type == "code"]
    assert code_of(source.with_suffix(".md").read_text(encoding="utf-8")) == cells


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_notebook_runs(source: Path, load_script: Load) -> None:
    pytest.importorskip("nbclient", reason="needs the dependency group 'docs'")
    notebook, _ = load_script("docs/_generate/notebook_pages").run(source)
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not [output for output in outputs if output.output_type == "error"]
