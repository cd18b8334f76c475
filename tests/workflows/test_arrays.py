"""Fields as NumPy arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope import import_competition, load_arrays, simulate_arrays, simulate_atlas
from lociscope.errors import Code, LociscopeError, UsageError

if TYPE_CHECKING:
    from pathlib import Path


def test_simulated_fields_show_one_location_each_in_turn() -> None:
    arrays = simulate_arrays(4, 64, locations=["Nucleoli", "Cytosol"], pixel_size=0.5, seed=3)
    assert arrays.x.shape == (4, 64, 64, 4)
    assert arrays.x.dtype == np.uint8
    assert [np.flatnonzero(row).tolist() for row in arrays.y] == [[2], [2], [25], [25]]
    assert arrays.groups[0] == arrays.groups[1] != arrays.groups[2]


def test_the_same_seed_gives_the_same_pixels() -> None:
    one, same, other = (simulate_arrays(2, 64, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one.x, same.x)
    assert not np.array_equal(one.x, other.x)


def test_an_unknown_location_is_refused() -> None:
    with pytest.raises(UsageError):
        simulate_arrays(2, 64, locations=["Nucleolus of doubt"])


def test_a_catalog_is_loaded_and_broken_fields_are_listed(tmp_path: Path) -> None:
    atlas = simulate_atlas(tmp_path / "atlas", 4, size=64, seed=5)
    broken = sorted((atlas / "train").glob("*_green.png"))[0]
    broken.write_bytes(b"no picture")
    import_competition(atlas, tmp_path / "catalog.parquet")
    arrays = load_arrays(tmp_path / "catalog.parquet", 64)
    assert arrays.x.shape == (3, 64, 64, 4)
    assert arrays.y.shape == (3, 28)
    assert [failure.id for failure in arrays.failures] == [broken.name.removesuffix("_green.png")]


def test_a_catalog_without_a_readable_field_is_an_error(tmp_path: Path) -> None:
    atlas = simulate_atlas(tmp_path / "atlas", 2, size=64)
    import_competition(atlas, tmp_path / "catalog.parquet")
    for path in (atlas / "train").iterdir():
        path.write_bytes(b"")
    with pytest.raises(LociscopeError) as refused:
        load_arrays(tmp_path / "catalog.parquet", 64)
    assert refused.value.code == Code.NOTHING_FOUND
