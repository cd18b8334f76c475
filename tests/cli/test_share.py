"""`lociscope summarize` and `lociscope convert`."""

from __future__ import annotations

import csv
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.artifacts.predictions import Position, Predictions

if TYPE_CHECKING:
    from pathlib import Path

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "out.parquet"
    positions = [Position("P1", "B02", "1"), Position("P1", "B03", "1")]
    Predictions(
        ["a", "b"], np.full((2, 28), 0.5, np.float32), [(2,), ()], ["ok", "unsure"], [(), ()], None, positions
    ).write(path)
    return path


def test_a_summary_by_well(lociscope: Command, table: Path, tmp_path: Path) -> None:
    assert lociscope("summarize", table, "-o", "wells.csv") == (0, "2 rows in wells.csv\n", "")
    with (tmp_path / "wells.csv").open(newline="", encoding="utf-8") as file:
        assert [(row["plate"], row["well"], row["locations"]) for row in csv.DictReader(file)] == [
            ("P1", "B02", "Nucleoli"),
            ("P1", "B03", ""),
        ]


def test_mistakes_are_one_line(lociscope: Command, table: Path) -> None:
    code, _, said = lociscope("summarize", table, "--by", "antibody", "-o", "a.csv")
    assert (code, "No field has a known antibody" in said, "--catalog" in said) == (1, True, True)
    assert lociscope("summarize", table, "--by", "wel", "-o", "a.csv")[0] == 2
    assert lociscope("summarize", "none.parquet", "-o", "a.csv")[0] == 1
    assert lociscope("convert", table, "--to", "excel", "-o", "a.csv")[0] == 2
    assert lociscope("convert", table, "--to", "omero", "-o", "a.h5ad")[0] == 2


def test_conversion_to_omero(lociscope: Command, table: Path, tmp_path: Path) -> None:
    done = lociscope("convert", table, "--to", "omero", "--image-suffix", ".tif", "-o", "o.csv")
    assert done == (0, "2 rows in o.csv\n", "")
    assert (tmp_path / "o.csv").read_text(encoding="utf-8").splitlines()[2].startswith("a.tif,Nucleoli,ok,,0.5")
    assert lociscope("convert", table, "--to", "omero-wells", "-o", "w.csv")[0] == 0


def test_conversion_to_anndata(lociscope: Command, table: Path, tmp_path: Path) -> None:
    anndata = pytest.importorskip("anndata")
    assert lociscope("convert", table, "--to", "anndata", "-o", "f.h5ad") == (0, "2 rows in f.h5ad\n", "")
    assert list(anndata.read_h5ad(tmp_path / "f.h5ad").obs_names) == ["a", "b"]
