"""Packing: once, whole, and never for another recipe."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lociscope.bundle import InputSpec
from lociscope.data.pack import Prepared, Rows, pack
from lociscope.errors import LociscopeError

SPEC = InputSpec(height=16, width=16, low=0.5, high=99.9, floor=0.04)


def fields(n: int) -> Iterator[Prepared]:
    rng = np.random.default_rng(0)
    for number in range(n):
        yield Prepared(f"f{number}", f"g{number // 2}", rng.integers(0, 256, (16, 16, 4), np.uint8), (number,))


def test_what_is_packed_comes_back(tmp_path: Path) -> None:
    made = pack(tmp_path / "packed", {"a": 1}, 4, lambda: fields(4), SPEC)
    assert made.ids == ["f0", "f1", "f2", "f3"]
    assert made.groups == ["g0", "g0", "g1", "g1"]
    np.testing.assert_array_equal(made.x, [field.pixels for field in fields(4)])
    np.testing.assert_array_equal(np.argwhere(made.y), [[0, 0], [1, 1], [2, 2], [3, 3]])


def test_a_second_call_draws_nothing(tmp_path: Path) -> None:
    first = pack(tmp_path / "packed", {"a": 1}, 4, lambda: fields(4), SPEC)

    def never() -> Iterator[Prepared]:
        raise AssertionError("packed again")

    again = pack(tmp_path / "packed", {"a": 1}, 4, never, SPEC)
    assert again.sha256 == first.sha256


def test_unreadable_fields_leave_no_hole(tmp_path: Path) -> None:
    made = pack(tmp_path / "packed", {}, 9, lambda: fields(3), SPEC)
    assert len(made) == len(made.x) == len(made.y) == 3


def test_another_recipe_is_refused(tmp_path: Path) -> None:
    pack(tmp_path / "packed", {"a": 1}, 2, lambda: fields(2), SPEC)
    with pytest.raises(LociscopeError, match="another recipe"):
        pack(tmp_path / "packed", {"a": 2}, 2, lambda: fields(2), SPEC)


def test_no_field_at_all(tmp_path: Path) -> None:
    with pytest.raises(LociscopeError, match="No field could be read"):
        pack(tmp_path / "packed", {}, 2, lambda: fields(0), SPEC)
    assert list(tmp_path.iterdir()) == []


def test_a_cut_off_packing_leaves_nothing(tmp_path: Path) -> None:
    def cut() -> Iterator[Prepared]:
        yield from fields(2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack(tmp_path / "packed", {}, 4, cut, SPEC)
    assert list(tmp_path.iterdir()) == []


def test_the_hash_sees_pixels_and_labels(tmp_path: Path) -> None:
    first = pack(tmp_path / "a", {}, 2, lambda: fields(2), SPEC)
    moved = pack(tmp_path / "b", {}, 2, lambda: (f._replace(target=(27,)) for f in fields(2)), SPEC)
    brighter = pack(tmp_path / "c", {}, 2, lambda: (f._replace(pixels=f.pixels | 1) for f in fields(2)), SPEC)
    assert len({first.sha256, moved.sha256, brighter.sha256}) == 3


def test_taken_rows_stay_on_disk_and_read_as_the_array_does(tmp_path: Path) -> None:
    made = pack(tmp_path / "packed", {}, 4, lambda: fields(4), SPEC)
    part = made.take(np.array([3, 1]))
    assert isinstance(part.x, Rows)
    assert part.x.array is made.x
    assert part.ids == [made.ids[3], made.ids[1]]
    np.testing.assert_array_equal(part.x, np.asarray(made.x)[[3, 1]])
    np.testing.assert_array_equal(part.x[np.array([1])], np.asarray(made.x)[[1]])
    assert len(part) == len(part.x) == part.x.shape[0] == 2
    np.testing.assert_array_equal(part.y, made.y[[3, 1]])
