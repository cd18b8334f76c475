"""Fields as the competition stores them."""

from pathlib import Path

import numpy as np
import pytest

from lociscope.channels import CHANNEL_NAMES
from lociscope.errors import LociscopeError
from lociscope.images.read import read_plane
from lociscope.images.write import write_planes


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_four_files_by_name_and_nothing_else(tmp_path: Path, kind: type[np.unsignedinteger]) -> None:
    pixels = np.random.default_rng(0).integers(0, np.iinfo(kind).max + 1, (5, 7, 4), kind)
    paths = write_planes(tmp_path / "new", "a 1", pixels)
    assert [path.name for path in paths] == [f"a 1_{name}.png" for name in CHANNEL_NAMES]
    assert sorted(paths) == sorted((tmp_path / "new").iterdir())
    np.testing.assert_array_equal(np.stack([read_plane(path) for path in paths], axis=-1), pixels)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LociscopeError, match=r"Cannot write .*a1_red.png'"):
        write_planes(tmp_path / "file", "a1", np.zeros((4, 4, 4), np.uint8))
