"""The manifest of the parts of an output."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from lociscope.errors import Code, LociscopeError
from lociscope.predict.shards import NAME, SCHEMA, hash_shard, read_manifest, write_manifest

if TYPE_CHECKING:
    from pathlib import Path


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_manifest(tmp_path) == {}
    assert write_manifest(tmp_path, {"bundle": "b"}, {"1.npz": "hash"}) == tmp_path / NAME
    assert read_manifest(tmp_path) == {"bundle": "b", "shards": {"1.npz": "hash"}}


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"schema": 1, "shards": 3}'])
def test_a_damaged_manifest_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    assert read_manifest(tmp_path) == {}


def test_a_newer_manifest_is_refused(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(json.dumps({"schema": SCHEMA + 1, "shards": {}}))
    with pytest.raises(LociscopeError) as caught:
        read_manifest(tmp_path)
    assert caught.value.code == Code.UNSUPPORTED_VERSION


def test_the_hash_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "1.npz").write_bytes(b"abc")
    assert hash_shard(tmp_path / "1.npz") == hashlib.sha256(b"abc").hexdigest()
