"""NDTiff, as pycro-manager writes it: fields by position, channels by name."""

from __future__ import annotations

import contextlib
import shutil
import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fixtures.file_sets import ND_STAINS, NDTIFF, frames, write_ndtiff
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lociscope.errors import LociscopeError
from lociscope.images.discovery.naming import Rules
from lociscope.images.discovery.sources import find_fields
from lociscope.images.io.container import parse_plane_ref
from lociscope.images.io.formats import read_picture
from lociscope.images.io.read import read_field

if TYPE_CHECKING:
    from pathlib import Path

RGBY = np.moveaxis(NDTIFF, 0, -1)


def test_a_data_set_of_positions(tmp_path: Path) -> None:
    folder = write_ndtiff(tmp_path / "run_1", [*frames(0, position=0), *frames(1, position=1)])
    for source in (folder, folder / "NDTiff.index", folder / "run_NDTiffStack.tif"):
        found, failures = find_fields([source])
        assert ([field.id for field in found], failures) == (["run_1_0", "run_1_1"], [])
        assert found[1].about == (("site", "1"),)
        for number, field in enumerate(map(read_field, found)):
            np.testing.assert_array_equal(field.pixels, RGBY + np.uint16(number))
            assert field.pixel_size == 0.32
            assert field.pixels.dtype == np.uint16


def test_one_field_is_named_after_its_folder(tmp_path: Path) -> None:
    (found,), _ = find_fields([write_ndtiff(tmp_path / "run_1", frames(0, time=0))])
    assert found.id == "run_1"
    rules = Rules({"red": "GFP", "green": "Tubulin"})
    (named,), _ = find_fields([tmp_path / "run_1"], rules)
    np.testing.assert_array_equal(read_field(named).pixels, RGBY[..., [1, 0, 2, 3]])


def test_channels_by_number_are_named_by_the_summary(tmp_path: Path) -> None:
    numbered = [({"channel": number}, plane) for number, plane in enumerate(NDTIFF)]
    (found,), _ = find_fields([write_ndtiff(tmp_path / "a", numbered, ChNames=ND_STAINS)])
    np.testing.assert_array_equal(read_field(found).pixels, RGBY)
    (found,), _ = find_fields([write_ndtiff(tmp_path / "b", numbered)])
    with pytest.raises(LociscopeError, match=r"found '0', '1', '2', '3'\). Pass `channels"):
        read_field(found)


def test_slices(tmp_path: Path) -> None:
    folder = write_ndtiff(tmp_path / "a", [*frames(0, z=-1), *frames(1, z=0), *frames(2, z=1)])
    ref = parse_plane_ref(folder / "NDTiff.index")
    with pytest.raises(LociscopeError, match=r"\(3 along Z\). Pass `plane=N`"):
        read_picture(ref)
    np.testing.assert_array_equal(read_picture(ref, plane=1).pixels, RGBY + np.uint16(1))
    with pytest.raises(LociscopeError, match="has no plane 3; it has 3, from 0"):
        read_picture(ref, plane=3)
    several = write_ndtiff(tmp_path / "b", [*frames(0, z=0, time=0), *frames(1, z=1, time=0), *frames(0, z=0, time=1)])
    with pytest.raises(LociscopeError, match="2 along T and 2 along Z"):
        read_picture(parse_plane_ref(several / "NDTiff.index"), plane=0)


def test_an_incomplete_data_set(tmp_path: Path) -> None:
    folder = write_ndtiff(tmp_path / "a", [*frames(0, position=0), *frames(1, position=1)[:3]])
    found, _ = find_fields([folder])
    with pytest.raises(
        LociscopeError, match=r"no channel that is known to be yellow \(found 'Tubulin', 'GFP', 'DAPI'\)"
    ):
        read_field(found[1])
    stack = folder / "run_NDTiffStack.tif"
    stack.write_bytes(stack.read_bytes()[:600])
    with pytest.raises(LociscopeError, match=r"run_NDTiffStack.tif' is damaged or truncated"):
        read_field(found[0])
    stack.unlink()
    with pytest.raises(LociscopeError, match=r"names 'run_NDTiffStack.tif', which is not beside it. Copy it there"):
        read_field(found[0])
    (folder / "NDTiff.index").write_bytes(b"")
    assert "is empty (0 bytes)" in find_fields([folder])[1][0].reason


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=5))
def test_random_bytes_are_read_or_refused(tmp_path: Path, changes: list[tuple[int, int]]) -> None:
    folder = tmp_path / "a"
    if not folder.exists():
        write_ndtiff(folder, frames(0, z=0))
        shutil.copyfile(folder / "NDTiff.index", tmp_path / "good")
    damaged = bytearray((tmp_path / "good").read_bytes())
    for at, byte in changes:
        damaged[at % len(damaged)] = byte
    (folder / "NDTiff.index").write_bytes(damaged)
    found, failures = find_fields([folder])
    assert found or failures
    for source in found:
        with contextlib.suppress(LociscopeError):
            assert read_field(source).pixels.shape[-1] == 4


def test_unsupported_frames_and_files_elsewhere(tmp_path: Path) -> None:
    folder = write_ndtiff(tmp_path / "a", frames(0))
    index = folder / "NDTiff.index"
    whole = index.read_bytes()
    index.write_bytes(whole.replace(struct.pack("<iii", 10, 12, 1), struct.pack("<iii", 10, 12, 2)))
    assert "lists colour or compressed frames" in find_fields([folder])[1][0].reason
    index.write_bytes(whole.replace(struct.pack("<ii", 10, 12), struct.pack("<ii", 60_000, 60_000)))
    assert "claims 60000 × 60000 pixels" in find_fields([folder])[1][0].reason
    index.write_bytes(whole.replace(struct.pack("<ii", 10, 12), struct.pack("<ii", -10, 12)))
    assert "is damaged or truncated (a frame of -10 × 12 pixels)" in find_fields([folder])[1][0].reason
    index.write_bytes(whole.replace(b"run_NDTiffStack.tif", b"../_NDTiffStack.tif"))
    assert "names the file '../_NDTiffStack.tif', which is not beside it" in find_fields([folder])[1][0].reason
