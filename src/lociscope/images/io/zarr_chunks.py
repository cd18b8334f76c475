"""Check that all chunks of a Zarr array exist: zarr replaces missing chunks by zeros."""

from __future__ import annotations

import itertools
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lociscope.errors import Code, LociscopeError
from lociscope.images.io.picture import check_bytes
from lociscope.images.io.zarr_layout import get_file_size, read_small

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lociscope.images.io.zarr_layout import Folder

_ABSENT = np.uint64(2**64 - 1)
"""Offset and length of a missing chunk in a shard, by the specification of `sharding_indexed`."""

MOST_CHUNKS = 1 << 20
"""Maximum number of chunks to read: four planes of 8192 × 8192 px in chunks of 16 × 16."""

_SHARDS = "sharding_indexed"

Region = tuple[slice, ...]
"""The part of an array to read: a start and a stop along each axis."""


def check_chunks(array: Any, folder: Folder, region: Region, name: str) -> None:  # noqa: ANN401
    """Check that all chunks of a region are stored.

    Args:
        array: The `zarr.Array`.
        folder: Its folder.
        region: The part to read.
        name: Its name in error messages.

    Raises:
        LociscopeError: Chunks are missing or empty files; in a shard, by the shard's index.
        ValueError: The index of a shard is truncated, or of an unknown kind.
    """
    stored = array.shards or array.chunks
    settings = _read_sharding(folder, name)
    number = math.prod(len(part) for part in _iterate_chunks(region, array.chunks))
    if number > MOST_CHUNKS:
        raise LociscopeError(
            f"'{name}' has {number} chunks, more than the {MOST_CHUNKS} that lociscope reads. Write it in larger ones.",
            code=Code.TOO_LARGE,
        )
    lacking = total = 0
    for at in itertools.product(*_iterate_chunks(region, stored)):
        first = tuple(i * side for i, side in zip(at, stored, strict=True))
        inner = tuple(
            slice((max(part.start, begin) - begin) // chunk, -(-(min(part.stop, begin + side) - begin) // chunk))
            for part, begin, side, chunk in zip(region, first, stored, array.chunks, strict=True)
        )
        number = math.prod(part.stop - part.start for part in inner)
        total += number
        path = folder / array.metadata.encode_chunk_key(at)
        size = get_file_size(path)
        if not size:
            lacking += number
        elif settings:
            if number == math.prod(side // chunk for side, chunk in zip(stored, array.chunks, strict=True)):
                check_bytes(size, name)  # it is read as a whole
            lacking += int(np.count_nonzero(_find_absent_chunks(array, settings, path, size)[inner]))
        else:
            check_bytes(size, name)
    if lacking:
        raise LociscopeError(
            f"'{name}' lacks {lacking} of its {total} chunks. Copy it again, or write empty chunks too.",
            code=Code.INCOMPLETE,
        )


def _iterate_chunks(region: Region, stored: tuple[int, ...]) -> Iterator[range]:
    """Yield the indices along each axis of the stored pieces that a region overlaps."""
    for part, side in zip(region, stored, strict=True):
        yield range(part.start // side, -(-part.stop // side))


def _read_sharding(folder: Folder, name: str) -> dict[str, Any]:
    """Return the settings of the sharding codec; empty where there is none."""
    text = read_small(folder / "zarr.json", name)
    codecs = json.loads(text)["codecs"] if text else []
    shards = [codec for codec in codecs if codec["name"] == _SHARDS]
    if not shards:
        return {}
    settings: dict[str, Any] = shards[0]["configuration"]
    if len(codecs) > 1 or any(codec["name"] == _SHARDS for codec in settings["codecs"]):
        raise LociscopeError(
            f"'{name}' has nested shards, or shards behind another codec, which cannot be checked for missing chunks. "
            "Write it again with plain shards.",
            code=Code.UNSUPPORTED_FORMAT,
        )
    return settings


def _find_absent_chunks(array: Any, settings: dict[str, Any], path: Folder, size: int) -> np.ndarray:  # noqa: ANN401
    """Return which chunks are missing from a shard, in the shape of its chunks."""
    index = {each["name"]: each.get("configuration", {}) for each in settings["index_codecs"]}
    if set(index) - {"bytes", "crc32c"}:
        raise ValueError(f"a shard's index with {', '.join(index)}")
    shape = tuple(shard // chunk for shard, chunk in zip(array.shards, array.chunks, strict=True))
    length = 16 * math.prod(shape)
    whole = length + 4 * ("crc32c" in index)
    if size < whole:
        raise ValueError(f"a shard of {size} bytes")
    with path.open("rb") as file:
        if settings.get("index_location", "end") == "end":
            file.seek(size - whole)
        data = file.read(length)
    order = ">" if index.get("bytes", {}).get("endian") == "big" else "<"
    pairs = np.frombuffer(data, f"{order}u8").reshape(*shape, 2)
    if np.any(pairs.max(axis=-1, where=pairs != _ABSENT, initial=0) > size):
        raise ValueError("a shard whose index leads out of it")
    absent: np.ndarray = pairs[..., 0] == _ABSENT
    return absent
