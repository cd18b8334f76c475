"""Chunks that are absent are never read as zeros."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fixtures.zarrs import PIXELS, RGBY, write

from lociscope.errors import LociscopeError
from lociscope.images.io.container import PlaneRef
from lociscope.images.io.zarr import read_zarr

if TYPE_CHECKING:
    from pathlib import Path

zarr = pytest.importorskip("zarr")

SIDE = 20
LARGE = np.random.default_rng(1).integers(1, 4096, (4, SIDE, SIDE), np.uint16)
SHARDED: dict[str, Any] = {"pixels": LARGE, "chunks": (1, 4, 4), "shards": (1, 16, 16)}
"""25 chunks a channel; of its four shards those at the edges hold 4, 4 and 1 of them."""


def files_of(folder: Path) -> list[Path]:
    """The files of chunks or shards."""
    return sorted(path for path in (folder / "0").rglob("*") if path.is_file() and path.name[0].isdigit())


def refusal(folder: Path, plane: int | None = None) -> str:
    with pytest.raises(LociscopeError) as caught:
        read_zarr(PlaneRef(folder), plane)
    return str(caught.value)


@pytest.mark.parametrize("location", ["start", "end"])
def test_whole_shards_are_read(tmp_path: Path, location: str) -> None:
    sharding = zarr.codecs.ShardingCodec(chunk_shape=(1, 4, 4), index_location=location)
    write(tmp_path / "a.zarr", **SHARDED)
    other = zarr.create_array(
        str(tmp_path / "b"),
        shape=LARGE.shape,
        dtype="uint16",
        chunks=(1, 16, 16),
        serializer=sharding,
        compressors=None,
    )
    other[:] = LARGE
    (tmp_path / "a.zarr" / "0" / "zarr.json").write_text((tmp_path / "b" / "zarr.json").read_text())
    for path in files_of(tmp_path / "a.zarr"):
        path.write_bytes((tmp_path / "b" / path.relative_to(tmp_path / "a.zarr" / "0")).read_bytes())
    np.testing.assert_array_equal(read_zarr(PlaneRef(tmp_path / "a.zarr")).pixels, np.moveaxis(LARGE, 0, -1))
    files_of(tmp_path / "a.zarr")[0].write_bytes(b"")
    assert "lacks 16 of its 100 chunks" in refusal(tmp_path / "a.zarr")


@pytest.mark.parametrize(("number", "lacking"), [(0, 16), (1, 4), (3, 1)])
def test_a_lost_shard_counts_the_chunks_that_it_holds(tmp_path: Path, number: int, lacking: int) -> None:
    folder = write(tmp_path / "a.zarr", **SHARDED)
    files_of(folder)[number].unlink()
    said = f"lacks {lacking} of its 100 chunks. Copy it again, or write empty chunks too."
    assert refusal(folder) == f"'{folder}' {said}"


def test_half_written_shards(tmp_path: Path) -> None:
    folder = write(tmp_path / "a.zarr", **SHARDED)
    for path in files_of(folder):
        path.unlink()
    zarr.open_array(str(folder / "0"), mode="r+")[:, :8] = LARGE[:, :8]
    assert "lacks 60 of its 100 chunks" in refusal(folder)


def test_a_shard_without_a_chunk_of_nothing_but_the_fill_value(tmp_path: Path) -> None:
    """It is refused, as without shards: a picture that is still being written looks the same."""
    pixels = LARGE.copy()
    pixels[1, :4, :4] = 0
    folder = write(tmp_path / "a.zarr", pixels=pixels, chunks=(1, 4, 4), shards=(1, 16, 16))
    assert "lacks 1 of its 100 chunks" in refusal(folder)
    config = {"config": {"write_empty_chunks": True}}
    folder = write(tmp_path / "b.zarr", pixels=pixels, chunks=(1, 4, 4), shards=(1, 16, 16), array=config)
    np.testing.assert_array_equal(read_zarr(PlaneRef(folder)).pixels, np.moveaxis(pixels, 0, -1))


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("shards", [None, (1, 16, 16)])
@pytest.mark.parametrize("compressed", [True, False])
def test_chunks_and_shards_cut_short_anywhere(
    tmp_path: Path, version: str, shards: tuple[int, ...] | None, compressed: bool
) -> None:
    if shards and version == "0.4":
        pytest.skip("version 0.4 has no shards")
    array = {} if compressed else {"compressors": None}
    folder = write(tmp_path / "a.zarr", version, LARGE, chunks=(1, 8, 8), shards=shards, array=array)
    path = files_of(folder)[0]
    whole = path.read_bytes()
    for length in range(0, len(whole), max(1, len(whole) // 9)):
        path.write_bytes(whole[:length])
        assert re.search(r"lacks [14] of its 36 chunks|is damaged or truncated", refusal(folder))
    path.write_bytes(b"\0" * len(whole))  # as a copy that was preallocated
    if compressed or shards:
        assert "is damaged or truncated" in refusal(folder)


def test_only_the_chosen_slice_must_be_there(tmp_path: Path) -> None:
    stack = np.stack([PIXELS, PIXELS[::-1]], axis=1)
    folder = write(tmp_path / "a.zarr", pixels=stack, axes="czyx")
    for path in files_of(folder):
        if path.parts[-3] == "1":
            path.unlink()
    np.testing.assert_array_equal(read_zarr(PlaneRef(folder), 0).pixels, RGBY)
    assert "lacks 16 of its 16 chunks" in refusal(folder, 1)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[: len(text) // 2],
        lambda _: "",
        lambda _: "[]",
        lambda text: text.replace('"uint16"', '"uint17"'),
        lambda text: text.replace("[1,16,16]", "[1,15,16]").replace("16,\n", "15,\n"),
        lambda text: text.replace("crc32c", "crc64"),
        lambda text: text.replace("sharding_indexed", "sharding"),
    ],
)
def test_damaged_metadata_of_an_array(tmp_path: Path, change: Any) -> None:
    folder = write(tmp_path / "a.zarr", **SHARDED)
    path = folder / "0" / "zarr.json"
    changed = change(path.read_text())
    assert changed != path.read_text()
    path.write_text(changed)
    assert re.search("is damaged or truncated|has no pixels", refusal(folder))


def test_more_chunks_than_anybody_writes(tmp_path: Path) -> None:
    folder = write(tmp_path / "a.zarr")
    about = json.loads((folder / "0" / "zarr.json").read_text())
    about["shape"], about["chunk_grid"]["configuration"]["chunk_shape"] = [4, 8192, 8192], [1, 1, 1]
    (folder / "0" / "zarr.json").write_text(json.dumps(about))
    assert "has 268435456 chunks, more than the 1048576 that lociscope reads" in refusal(folder)


@pytest.mark.filterwarnings("ignore:Combining a `sharding_indexed` codec")
def test_shards_that_cannot_be_checked(tmp_path: Path) -> None:
    """Within them, zarr would fill what is absent with zeros."""
    sharding = zarr.codecs.ShardingCodec
    inner = sharding(chunk_shape=(1, 4, 4), codecs=[sharding(chunk_shape=(1, 2, 2))])
    write(tmp_path / "a.zarr", pixels=LARGE, chunks=(1, 4, 4), shards=(1, 16, 16))
    for number, filters in enumerate(({}, {"filters": [zarr.codecs.TransposeCodec(order=(0, 2, 1))]})):
        folder = tmp_path / f"{number}.zarr"
        shutil.copytree(tmp_path / "a.zarr", folder)
        shutil.rmtree(folder / "0")
        serializer = sharding(chunk_shape=(1, 4, 4)) if filters else inner
        made = zarr.create_array(
            str(folder / "0"), shape=LARGE.shape, dtype="uint16", chunks=(1, 16, 16), serializer=serializer,
            compressors=None, **filters,
        )  # fmt: skip
        made[:, :8] = LARGE[:, :8]
        assert "has nested shards, or shards behind another codec" in refusal(folder)


def test_an_index_that_leaves_its_shard(tmp_path: Path) -> None:
    folder = write(tmp_path / "a.zarr", **SHARDED)
    path = files_of(folder)[0]
    path.write_bytes(path.read_bytes()[:-20] + b"\x7f" * 20)
    assert "is damaged or truncated (a shard whose index leads out of it)" in refusal(folder)
    about = json.loads((folder / "0" / "zarr.json").read_text())
    about["codecs"][0]["configuration"]["index_codecs"] = [{"name": "gzip", "configuration": {"level": 5}}]
    (folder / "0" / "zarr.json").write_text(json.dumps(about))
    assert "is damaged or truncated" in refusal(folder)
