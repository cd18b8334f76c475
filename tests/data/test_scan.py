"""One reading of every field."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from lociscope.artifacts.catalog import Catalog, Entry
from lociscope.data.scan import scan_catalog
from lociscope.images.statistics import STATISTICS

WriteField = Callable[..., Path]


def catalog(write_field: WriteField, n: int = 5) -> Catalog:
    for number in range(n):
        folder = write_field(f"f{number}", seed=number, size=40)
    names = [f"f{number}" for number in range(n)]
    rows = [
        Entry(name, (0,), f"{name}_red.png", f"{name}_green.png", f"{name}_blue.png", f"{name}_yellow.png")
        for name in names
    ]
    return Catalog.from_entries(rows, folder)


def test_processes_see_the_same(write_field: WriteField) -> None:
    fields, reports = catalog(write_field), []
    alone = scan_catalog(fields, statistics=True, progress=lambda done, total: reports.append((done, total)))
    assert reports == [(number, 5) for number in range(1, 6)]
    assert alone.statistics.shape == (5, len(STATISTICS))
    together = scan_catalog(fields, statistics=True, workers=2)
    np.testing.assert_array_equal(alone.thumbnails, together.thumbnails)
    np.testing.assert_array_equal(alone.statistics, together.statistics)


def test_without_statistics_and_without_files(write_field: WriteField) -> None:
    fields = catalog(write_field)
    (fields.folder / "f1_red.png").unlink()
    bare = Catalog.from_entries([*fields, Entry("bare", (1,))], fields.folder)
    seen = scan_catalog(bare)
    assert seen.statistics.shape == (4, 0)
    assert seen.thumbnails.shape == (4, 48, 48, 4)
    assert seen.rows.tolist() == [0, 2, 3, 4]
    assert [failure.id for failure in seen.failures] == ["f1", "bare"]
    assert "has no red file" in seen.failures[1].reason or "has no file" in seen.failures[1].reason
