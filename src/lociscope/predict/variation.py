"""Single-cell variation: how much the cells of a field differ from each other and from the field's answer."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from lociscope.labels import LABELS, N_LABELS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pyarrow as pa

SHARE_COLUMNS: tuple[str, ...] = tuple(f"s{number:02d}" for number in range(N_LABELS))
COLUMNS = (
    *("id", "cells", "whole_cells", "locations", "differing", "distance", "intensity", "intensity_cv"),
    *SHARE_COLUMNS,
)
"""The columns of the table; `docs/reference/files.md` describes them."""


def measure_variation(cells: pa.Table, predicted: dict[str, tuple[int, ...]]) -> list[dict[str, Any]]:
    """Measure the variation of each field.

    Parts of cells without nucleus count as `cells`, and in nothing else.

    Args:
        cells: Rows of a table of cells, all those of each field that it names.
        predicted: The predicted locations of each field by its id; fields without cells get a row, too.

    Returns:
        One row for each field of `predicted`, with the columns of `COLUMNS`; None for what needs a cell.
    """
    rows_of: dict[str, list[int]] = {}
    for number, name in enumerate(cells["id"].to_pylist()):
        rows_of.setdefault(name, []).append(number)
    sets = [tuple(numbers) for numbers in cells["predicted"].to_pylist()]
    nucleus = cells["nucleus_area_um2"].to_numpy(zero_copy_only=False)
    intensity, distance = (cells[name].to_numpy() for name in ("intensity", "distance"))
    rows = []
    for name, answer in predicted.items():
        found = rows_of.get(name, [])
        whole = [number for number in found if nucleus[number] != 0]
        row: dict[str, Any] = dict.fromkeys(COLUMNS)
        row |= {"id": name, "cells": len(found), "whole_cells": len(whole)}
        row["locations"] = "; ".join(LABELS[number] for number in answer)
        if whole:
            counts = np.bincount([number for each in whole for number in sets[each]], minlength=N_LABELS)
            level = float(intensity[whole].mean())
            row |= {
                "differing": sum(sets[each] != answer for each in whole) / len(whole),
                "distance": float(distance[whole].mean()),
                "intensity": level,
                "intensity_cv": float(intensity[whole].std()) / level if level > 0 else None,
                **dict(zip(SHARE_COLUMNS, (counts / len(whole)).tolist(), strict=True)),
            }
        rows.append(row)
    return rows


def to_line(row: dict[str, Any]) -> str:
    """Return a row as a line of CSV, to four decimals: a fraction of the memory that the values take."""
    line = io.StringIO()
    values = (f"{value:.4f}" if isinstance(value, float) else value for value in row.values())
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue()


def write_variation(lines: Iterable[str], path: Path) -> None:
    """Write lines that `to_line` made, below the names of the columns; `path` is a temporary file of `atomic_write`."""
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(",".join(COLUMNS) + "\n")
        file.writelines(lines)
