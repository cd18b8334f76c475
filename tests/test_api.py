"""The Python interface: light to import, complete, and the same functions that the commands call."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import lociscope

if TYPE_CHECKING:
    from pathlib import Path


def test_every_name_can_be_imported() -> None:
    for name in lociscope.__all__:
        assert getattr(lociscope, name) is not None
    assert {*lociscope._HOMES, "__version__"} == {*lociscope.__all__}
    assert {*lociscope.__all__} <= {*dir(lociscope)}


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        lociscope.no_such_name  # noqa: B018


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
