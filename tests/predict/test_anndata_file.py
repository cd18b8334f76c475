"""AnnData of fields and of cells, opened by anndata."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from lociscope.artifacts.cell_table import COLUMNS, cell_schema
from lociscope.artifacts.predictions import Position, Predictions
from lociscope.errors import Code, LociscopeError
from lociscope.labels import LABELS
from lociscope.predict.anndata_file import write_cells_anndata, write_fields_anndata

if TYPE_CHECKING:
    from pathlib import Path


def predictions() -> Predictions:
    rng = np.random.default_rng(0)
    return Predictions(
        ["a", "b", "c"],
        rng.random((3, 28), np.float32),
        [(2, 25), (), (7,)],
        ["ok", "unsure", "ok"],
        [(), (), ()],
        rng.random((3, 5), np.float32),
        [Position("P1", "B02", "1"), Position("P1", "B02", "2"), Position()],
    )


def cells() -> pa.Table:
    rows = [
        dict.fromkeys(COLUMNS)
        | {"id": "a", "cell": number, "predicted": [number], "probability": [number / 10] * 28, "status": "ok"}
        | {"y": 2.0 * number, "x": 1.0 * number, "area_um2": 90.5, "nucleus_area_um2": float("nan"), "at_edge": False}
        | {"intensity": 0.5, "distance": 0.1, "well": "B02"}
        for number in (1, 4)
    ]
    return pa.Table.from_pylist(rows, cell_schema())


def test_fields_open_in_anndata(tmp_path: Path) -> None:
    anndata = pytest.importorskip("anndata")
    write_fields_anndata(predictions(), tmp_path / "f.h5ad")
    found = anndata.read_h5ad(tmp_path / "f.h5ad")
    assert list(found.obs_names) == ["a", "b", "c"]
    assert list(found.var_names) == list(LABELS)
    np.testing.assert_array_equal(found.X, predictions().probability)
    np.testing.assert_array_equal(found.obsm["X_embedding"], predictions().embedding)
    assert [np.flatnonzero(row).tolist() for row in found.layers["predicted"]] == [[2, 25], [], [7]]
    assert list(found.obs["well"]) == ["B02", "B02", ""]
    assert [path.name for path in tmp_path.iterdir()] == ["f.h5ad"]


def test_cells_open_in_anndata(tmp_path: Path) -> None:
    anndata = pytest.importorskip("anndata")
    write_cells_anndata(cells(), tmp_path / "c.h5ad")
    found = anndata.read_h5ad(tmp_path / "c.h5ad")
    assert list(found.obs_names) == ["a/1", "a/4"]
    np.testing.assert_allclose(found.X[:, 0], [0.1, 0.4])
    assert found.obsm["spatial"].tolist() == [[1.0, 2.0], [4.0, 8.0]]
    assert found.obs["area_um2"].tolist() == [90.5, 90.5]
    assert list(found.obs["plate"]) == ["", ""]
    assert found.layers["predicted"][1, 4]


def test_no_cells_are_a_table_without_rows(tmp_path: Path) -> None:
    anndata = pytest.importorskip("anndata")
    write_cells_anndata(cells().slice(0, 0), tmp_path / "c.h5ad")
    assert anndata.read_h5ad(tmp_path / "c.h5ad").shape == (0, 28)


def test_without_anndata_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anndata", None)
    with pytest.raises(LociscopeError) as caught:
        write_fields_anndata(predictions(), tmp_path / "f.h5ad")
    assert caught.value.code is Code.MISSING_EXTRA
    assert "lociscope[cells]" in str(caught.value)
