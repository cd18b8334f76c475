"""Pictures read whenever they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lociscope.artifacts.card import InputSpec
from lociscope.artifacts.catalog import Catalog, Entry
from lociscope.data.cache import lazy_images
from lociscope.data.cache.lazy_images import open_lazily
from lociscope.data.cache.packing import pack, prepare_catalog
from lociscope.errors import LociscopeError

SPEC = InputSpec(height=16, width=16, low=0.5, high=99.9)
WriteField = Callable[..., Path]


@pytest.fixture
def catalog(write_field: WriteField) -> Catalog:
    names = [f"f{number}" for number in range(5)]
    for number, name in enumerate(names):
        folder = write_field(name, seed=number)
    rows = [
        Entry(n, (3,), f"{n}_red.png", f"{n}_green.png", f"{n}_blue.png", f"{n}_yellow.png", specimen="s")
        for n in names
    ]
    return Catalog.from_entries(rows, folder)


def test_they_are_what_would_be_packed(catalog: Catalog, tmp_path: Path) -> None:
    read = open_lazily(catalog, SPEC, [])
    stored = pack(tmp_path / "packed", {}, 5, lambda start: prepare_catalog(catalog, SPEC, start=start), SPEC)
    assert (read.ids, read.groups, read.x.shape) == (stored.ids, stored.groups, stored.x.shape)
    np.testing.assert_array_equal(read.y, stored.y)
    np.testing.assert_array_equal(read.x[:], stored.x[:])
    part = read.take(np.array([4, 0]))
    np.testing.assert_array_equal(part.x[np.array([1, 0])], stored.x[np.array([0, 4])])
    assert len(part.x) == 2
    np.testing.assert_array_equal(open_lazily(catalog, SPEC, [], workers=2).x[:], stored.x[:])


def test_what_has_no_file_is_listed_and_what_is_damaged_is_reported_when_read(catalog: Catalog) -> None:
    (catalog.folder / "f1_red.png").unlink()
    (catalog.folder / "f3_blue.png").write_text("no picture")
    failures: list[Any] = []
    read = open_lazily(Catalog.from_entries([*catalog, Entry("bare", (1,))], catalog.folder), SPEC, failures)
    assert read.ids == ["f0", "f2", "f3", "f4"]
    assert [failure.id for failure in failures] == ["f1", "bare"]
    assert "f1_red.png' does not exist" in failures[0].reason
    with pytest.raises(LociscopeError, match="f3_blue"):
        read.x[np.array([2])]


def test_no_file_at_all_ends_it(catalog: Catalog) -> None:
    for path in catalog.folder.glob("*.png"):
        path.unlink()
    with pytest.raises(LociscopeError, match=r"nothing to train on\. The first: Field 'f0': .*does not exist"):
        open_lazily(catalog, SPEC, [])


def test_the_hash_is_of_names_and_labels(catalog: Catalog) -> None:
    other = Catalog.from_entries(list(catalog)[:4], catalog.folder)
    assert open_lazily(catalog, SPEC, []).sha256 == open_lazily(catalog, SPEC, []).sha256
    assert open_lazily(catalog, SPEC, []).sha256 != open_lazily(other, SPEC, []).sha256


def test_what_was_read_is_kept_as_far_as_memory_goes(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lazy_images, "MEMORY_BYTES", 3 * 16 * 16 * 4)
    read = open_lazily(catalog, SPEC, [])
    assert isinstance(read.x, lazy_images.LazyImageArray)
    whole = read.x[:]
    assert [*read.x.memory] == ["f0", "f1", "f2"]
    for name in ("f0", "f1", "f2"):
        (catalog.folder / f"{name}_red.png").unlink()
    part = read.take(np.array([4, 2, 0]))
    np.testing.assert_array_equal(part.x[:], whole[[4, 2, 0]])
    np.testing.assert_array_equal(part.x[np.array([1, 1])], whole[[2, 2]])
