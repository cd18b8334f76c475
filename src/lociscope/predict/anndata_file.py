"""Write predictions of fields or cells as AnnData (`.h5ad`), for scanpy, squidpy and CellxGene."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from lociscope.errors import MissingExtraError
from lociscope.labels import LABELS, N_LABELS
from lociscope.storage.atomic import atomic_write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa

    from lociscope.artifacts.predictions import Predictions

CELL_COLUMNS = (
    *("id", "cell", "status", "area_um2", "nucleus_area_um2", "at_edge", "intensity", "distance"),
    *("plate", "well", "site"),
)
"""The columns of a table of cells that become columns of `obs`."""


def write_fields_anndata(predictions: Predictions, path: Path) -> None:
    """Write fields: `X` has the probabilities, `obs` a row for each field, `var` the 28 locations.

    Args:
        predictions: The fields.
        path: The file, by convention `.h5ad`.

    Raises:
        LociscopeError: The file cannot be written.
        MissingExtraError: anndata is not installed.
    """
    positions: Sequence[Sequence[str]] = predictions.positions or [("", "", "")] * len(predictions)
    columns = {
        "status": predictions.status,
        "warnings": ["; ".join(map(str, warnings)) for warnings in predictions.warnings],
        **{name: [position[axis] for position in positions] for axis, name in enumerate(("plate", "well", "site"))},
    }
    arrays = {} if predictions.embedding is None else {"X_embedding": predictions.embedding}
    _write(path, predictions.ids, predictions.probability, predictions.predicted, columns, arrays)


def write_cells_anndata(cells: pa.Table, path: Path) -> None:
    """Write cells: as `write_fields_anndata`, named `<id>/<cell>`, with their centres in px (x, y) in `obsm`.

    Args:
        cells: The table of cells.
        path: The file, by convention `.h5ad`.

    Raises:
        LociscopeError: The file cannot be written.
        MissingExtraError: anndata is not installed.
    """
    columns = {name: cells[name].to_pylist() for name in CELL_COLUMNS}
    names = [f"{name}/{number}" for name, number in zip(columns["id"], columns["cell"], strict=True)]
    for name in ("plate", "well", "site"):
        columns[name] = [value or "" for value in columns[name]]
    probability = np.asarray(cells["probability"].to_pylist(), np.float32).reshape(-1, N_LABELS)
    spatial = np.stack([cells[axis].to_numpy() for axis in "xy"], axis=1)
    _write(path, names, probability, cells["predicted"].to_pylist(), columns, {"spatial": spatial})


def _write(
    path: Path,
    names: Sequence[str],
    probability: np.ndarray,
    predicted: Sequence[Sequence[int]],
    columns: dict[str, Any],
    arrays: dict[str, np.ndarray],
) -> None:
    try:
        import anndata
        import pandas as pd
    except ImportError as error:
        raise MissingExtraError("Writing AnnData", "cells") from error
    decided = np.zeros(probability.shape, bool)
    for row, numbers in enumerate(predicted):
        decided[row, list(numbers)] = True
    table = anndata.AnnData(
        X=np.asarray(probability, np.float32),
        obs=pd.DataFrame(columns, index=pd.Index(list(names), dtype=str)),
        var=pd.DataFrame({"number": range(N_LABELS)}, index=pd.Index(LABELS, dtype=str)),
        layers={"predicted": decided},
        obsm=arrays,
    )
    logging.getLogger("anndata").setLevel(logging.WARNING)  # it reports each column that it stores as categories
    with atomic_write(path) as part:
        table.write_h5ad(part)
