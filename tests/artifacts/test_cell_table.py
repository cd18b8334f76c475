"""The table of cells: its columns, its metadata, and files that are none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lociscope.artifacts.cell_table import COLUMNS, cell_schema, get_about, is_cell_table, read_cells, write_cells
from lociscope.errors import Code, LociscopeError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    table = cell_schema().empty_table()
    write_cells(table, tmp_path / "c.parquet", {"bundle": "b"})
    found = read_cells(tmp_path / "c.parquet")
    assert found.column_names == list(COLUMNS)
    assert found.schema.equals(table.schema)
    assert get_about(found.schema) == {"bundle": "b"}
    assert is_cell_table(tmp_path / "c.parquet")


def test_other_files_are_refused(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(cell_schema().empty_table(), tmp_path / "other.parquet")
    (tmp_path / "text.parquet").write_text("no table")
    for name, code in (("other", Code.WRONG_FILE), ("text", Code.WRONG_FILE), ("none", Code.NOT_FOUND)):
        assert not is_cell_table(tmp_path / f"{name}.parquet")
        with pytest.raises(LociscopeError) as caught:
            read_cells(tmp_path / f"{name}.parquet")
        assert caught.value.code is code
