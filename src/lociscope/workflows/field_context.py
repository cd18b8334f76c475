"""What is known of predicted fields besides their labels: groups, cell lines, and whether their cells differ."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lociscope.splits.groups import find_group_columns, group_ids
from lociscope.storage.schema import CORRUPT_FILE_ERRORS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lociscope.artifacts.catalog import Catalog

COLUMN = "single_cell_variation"
"""Column of a Catalog that says whether the cells of a field differ: true or false, 1 or 0, yes or no."""

MIN_SHARE = 0.1
"""Share of the cells that must differ from the commonest cells of their field."""

_YES, _NO = {"true", "1", "yes"}, {"false", "0", "no"}


@dataclass(frozen=True, slots=True)
class FieldContext:
    """What a Catalog says of predicted fields.

    Attributes:
        groups: Names of groups of fields that are not independent; None where none are known.
        cell_lines: The cell line of each field, where known.
        varied: By row, whether the cells of the field differ from each other, where it is known.
    """

    groups: np.ndarray | None
    cell_lines: list[str | None]
    varied: dict[int, bool]


def read_context(catalog: Catalog, ids: Sequence[str]) -> FieldContext:
    """Read what a Catalog says of fields; a field that it lacks is its own group, without a cell line.

    Args:
        catalog: The fields; a simulated atlas has the truth of its cells beside its images.
        ids: The predicted fields.
    """
    lines = catalog.table["cell_line"].to_pylist()
    known = dict(zip(catalog.ids, zip(group_ids(catalog), lines, strict=True), strict=True))
    pairs = [known.get(name, (name, None)) for name in ids]
    groups = np.array([group for group, _ in pairs]) if find_group_columns(catalog) else None
    return FieldContext(groups, [line for _, line in pairs], find_varied(catalog, ids))


def find_varied(catalog: Catalog, ids: Sequence[str]) -> dict[int, bool]:
    """Return by row whether the cells of a field differ, for the fields of which it is known.

    Args:
        catalog: The fields; a simulated atlas has the truth of its cells beside its images.
        ids: The rows.
    """
    known = _read_column(catalog) if COLUMN in catalog.table.column_names else _read_atlas(catalog)
    return {row: known[name] for row, name in enumerate(ids) if name in known}


def _read_column(catalog: Catalog) -> dict[str, bool]:
    known = {}
    for name, value in zip(catalog.ids, catalog.table[COLUMN].to_pylist(), strict=True):
        text = str(value).strip().lower()
        if text in _YES | _NO:
            known[name] = text in _YES
    return known


def _read_atlas(catalog: Catalog) -> dict[str, bool]:
    """Read `cells.parquet` of the atlas that the first image is in; empty where there is none."""
    first = next((path for path in catalog.table["red"].to_pylist() if path), None)
    if first is None:
        return {}
    table = (catalog.folder / first).resolve().parent.parent / "cells.parquet"
    return _read_cells(table) if table.is_file() else {}


def _read_cells(path: Path) -> dict[str, bool]:
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, columns=["id", "places"])
    except CORRUPT_FILE_ERRORS:
        return {}
    sets: dict[str, Counter[tuple[int, ...]]] = {}
    for name, places in zip(table["id"].to_pylist(), table["places"].to_pylist(), strict=True):
        sets.setdefault(name, Counter())[tuple(sorted(places or ()))] += 1
    return {name: 1 - max(found.values()) / found.total() >= MIN_SHARE for name, found in sets.items()}
