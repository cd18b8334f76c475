"""The Python interface: light to import, complete, and the same functions that the commands call."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import lociscope


def test_every_name_can_be_imported() -> None:
    names: dict[str, object] = {}
    exec("from lociscope import *", names)
    assert {*lociscope._MODULES, "__version__"} <= {*names} & {*dir(lociscope)}
    assert None not in names.values()


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(lociscope.__file__).read_text("utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    names = [(each.name, each.asname, node.module) for node in imports for each in node.names]
    assert sorted(names) == [(name, name, f"lociscope.{module}") for name, module in sorted(lociscope._MODULES.items())]


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        lociscope.no_such_name  # type: ignore[attr-defined]  # noqa: B018


def test_importing_it_imports_nothing_heavy() -> None:
    program = "import sys, lociscope; print([name for name in sys.modules if name.partition('.')[0] in {heavy}])"
    heavy = ["numpy", "onnxruntime", "pyarrow", "pydantic", "tensorflow", "PIL"]
    found = subprocess.run(
        [sys.executable, "-c", program.replace("{heavy}", str(heavy))], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def test_paths_may_be_text(tmp_path: Path, tiny_bundle: Path) -> None:
    atlas = lociscope.simulate_atlas(str(tmp_path / "atlas"), 3, size=128, seed=1)
    catalog = lociscope.import_folders([str(atlas / "train")], str(tmp_path / "catalog.parquet"))
    assert len(catalog.catalog) == 3
    made = lociscope.predict_files([str(atlas / "train")], str(tmp_path / "out.parquet"), bundle=str(tiny_bundle))
    assert (made.rows, made.new, made.failures) == (3, 3, [])
    scored = lociscope.evaluate(str(tmp_path / "out.parquet"), str(atlas / "train.csv"), str(tmp_path / "report"))
    assert scored.page.is_file()
    assert [field.id for field in lociscope.read_fields(str(atlas / "train"))] == list(
        lociscope.Predictions.read(tmp_path / "out.parquet").ids
    )
